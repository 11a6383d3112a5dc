"""Compiled code is made beside the work, once, and whatever goes wrong with it nobody has to wait for."""

from __future__ import annotations

import logging
import threading

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
    assert [record.getMessage() for record in caplog.records] == ["no compiled code for test: all is read as without Numba"]


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
