"""Column findings are made once for what a window holds, and again for whatever of it changes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from driftline.store.detect_rows import PaneKey
from driftline.streams.detect import judged
from driftline.streams.detect.judged import JudgedColumns

KEY = PaneKey("m", "r", "features", 1_000, 0, late=False)


def _pane(*counts: int, distinct: dict[str, bytes] | None = None) -> Any:
    return SimpleNamespace(counts=np.array(counts, np.int64), distinct=distinct or {})


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    calls: list[tuple[Any, ...]] = []

    def column_findings(*given: Any, **named: Any) -> tuple[Any, ...]:
        calls.append((*given, named))
        return (len(calls),)

    monkeypatch.setattr(judged, "column_findings", column_findings)
    return calls


def _of(columns: JudgedColumns, pane: Any, *, key: PaneKey = KEY, spans: Any = ((0, 1_000, 3),), before: Any = None) -> Any:
    nothing: Any = None
    return columns.of(key, nothing, nothing, pane, spans=spans, before=before)


def test_the_same_window_is_judged_once(made: list[Any]) -> None:
    columns = JudgedColumns()
    first = _of(columns, _pane(1, 2), before=_pane(3, 4))
    assert _of(columns, _pane(1, 2), before=_pane(3, 4)) == first
    assert len(made) == 1


def test_whatever_changes_is_judged_anew(made: list[Any]) -> None:
    columns = JudgedColumns()
    told = [
        _of(columns, _pane(1, 2)),
        _of(columns, _pane(2, 1)),
        _of(columns, _pane(2, 1, distinct={"x": b"a"})),
        _of(columns, _pane(2, 1, distinct={"x": b"b"})),
        _of(columns, _pane(2, 1, distinct={"x": b"b"}), spans=((0, 1_000, 4),)),
        _of(columns, _pane(2, 1, distinct={"x": b"b"}), spans=((0, 1_000, 4),), before=_pane(5, 5)),
        _of(columns, _pane(2, 1, distinct={"x": b"b"}), spans=((0, 1_000, 4),), before=_pane(5, 6)),
        _of(columns, _pane(2, 1, distinct={"x": b"b"}), spans=((0, 1_000, 4),)),
    ]
    assert told == [(i + 1,) for i in range(len(told))]
    assert len(made) == len(told)


def test_few_windows_are_remembered_and_what_was_forgotten_is_made_again(made: list[Any]) -> None:
    columns = JudgedColumns()
    for start in range(judged._MOST + 1):
        _of(columns, _pane(1), key=KEY._replace(start=start))
    assert _of(columns, _pane(1), key=KEY._replace(start=1)) == (2,)
    assert _of(columns, _pane(1), key=KEY._replace(start=0)) == (judged._MOST + 2,)
    assert len(columns._known) == judged._MOST
    assert len(made) == judged._MOST + 2
