from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.reports import files


@given(st.text(min_size=1, max_size=200))
def test_a_path_part_stays_below_its_folder(name: str) -> None:
    part = files.path_part(name)
    assert (Path("/a/b") / part).parent == Path("/a/b")
    assert part not in {".", ".."}
    assert len(part) <= 90
    assert part.isascii()


@given(st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12))
def test_different_names_have_different_parts(one: str, two: str) -> None:
    assert (files.path_part(one) == files.path_part(two)) == (one == two)


def test_a_file_that_could_not_be_written_leaves_the_former_one_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.html"
    files.write(path, b"first")

    def full(_: int) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        files.write(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]
