"""Cells by model are the same as the cells."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from driftline.contracts.summaries import LEARNING
from driftline.store.detect_rows import PaneKey
from driftline.streams.detect.cells import Cells

KEYS = [
    PaneKey(model, LEARNING, "features", width, start, late)
    for model in ("a", "b")
    for width in (5, 60)
    for start in (0, 60)
    for late in (False, True)
]
ACTIONS = st.sampled_from(["open", "close", "drop", "commit"])


@settings(max_examples=60)
@given(st.lists(st.tuples(ACTIONS, st.sampled_from(KEYS)), max_size=40))
def test_a_model_s_cells_are_those_that_were_opened_for_it_and_are_not_gone(actions: list[tuple[str, PaneKey]]) -> None:
    cells = Cells(lambda _: [], lambda *_, **__: [], lambda *_: None, lambda _: 0, lambda *_: [])
    held: dict[PaneKey, bool] = {}
    for action, key in actions:
        if action == "open":
            cells.open_or_new(key)
            held.setdefault(key, key.late)
        elif action == "close":
            cells.open_or_new(key).closed = held[key] = True
        elif action == "drop":
            cells.drop(key)
            held.pop(key, None)
        elif action == "commit":
            cells.committed(lambda _, cell: not cell.closed)
            held = {k: closed for k, closed in held.items() if not closed}
        assert cells.models() == {k.model for k in held}
        for model in ("a", "b"):
            assert set(cells.open(model)) == {k for k, closed in held.items() if k.model == model and not closed and not k.late}
            found = {k for width in (5, 60) for late in (False, True) for k, _ in cells.range(model, LEARNING, "features", width, 0, 61, late=late)}
            assert found == {k for k in held if k.model == model}
