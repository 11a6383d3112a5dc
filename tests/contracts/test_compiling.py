"""Compiled code is made beside the work, once, and whatever goes wrong with it nobody has to wait for."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from driftline.contracts import alike_decoding, compiling
from driftline.contracts.compiling import Compiling
from driftline.contracts.typed_events import Shape, TypedEvent

RAW = b'{"event_id":"a","model":"m","event_time":1362114900000,"features":{"x":1.5}}'


def test_it_is_made_once_and_nobody_waits_for_it() -> None:
    asked, go_on = threading.Semaphore(0), threading.Event()

    def trial() -> None:
        asked.release()
        go_on.wait(10)

    code = Compiling("test", trial)
    assert not code.ready()
    assert asked.acquire(timeout=10)
    assert not code.ready()
    go_on.set()
    assert code.wait()
    assert code.ready()
    assert not asked.acquire(blocking=False)


def test_what_can_not_be_compiled_is_told_once_and_done_without(caplog: pytest.LogCaptureFixture) -> None:
    def trial() -> None:
        raise OSError("no space left on device")

    code = Compiling("test", trial)
    with caplog.at_level(logging.ERROR):
        assert not code.wait()
    assert not code.ready()
    assert [record.getMessage() for record in caplog.records] == ["no compiled code for test: they are read as without Numba"]


def test_without_numba_events_are_read_as_structs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "find_spec", lambda _: None)
    code = Compiling("test", lambda: pytest.fail("there is nothing to try"))
    monkeypatch.setattr(alike_decoding, "compiling", code)
    decoder = alike_decoding.AlikeDecoder(learned_after=1, few=1)
    decoder.expect("m", Shape(("x",), ()))
    for _ in range(3):
        contents, unfit = decoder.decode([RAW] * 40)
        assert (len(contents), unfit) == (40, [])
        assert all(isinstance(content, TypedEvent) for content in contents)
    assert not code.wait()


def test_what_is_compiled_is_kept_beside_its_source_or_at_home_or_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = pytest.importorskip("driftline.contracts.compiled")._room.__wrapped__
    beside, closed = tmp_path / "open" / "code.py", tmp_path / "closed" / "code.py"
    for source in (beside, closed):
        source.parent.mkdir()
        source.write_text("x = 1")
    (closed.parent / "__pycache__").write_text("a file where a folder would have to be")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Path(room(str(beside))).parent == beside.parent / "__pycache__"
    assert Path(room(str(closed))).parent == tmp_path / "home" / ".cache" / "driftline"

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    assert Path(room(str(beside))).parent == beside.parent / "__pycache__"
    assert room(str(closed)) == ""
    before = room(str(beside))
    beside.write_text("x = 2")
    assert room(str(beside)) != before
