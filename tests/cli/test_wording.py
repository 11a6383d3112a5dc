"""What explain answers where the terms of a column are not of one mind."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from driftline.cli.wording import _unjudged


def _term(name: str, effect: float | None, *, calibrated: bool) -> Any:
    return SimpleNamespace(name=name, effect=effect, tolerance=0.2, calibrated=calibrated)


def test_what_moved_and_cannot_be_judged_is_said_beside_the_answer() -> None:
    main = _term("share of missing values", 0.01, calibrated=True)
    told: Any = SimpleNamespace(terms=(main, _term("level", 0.78, calibrated=False), _term("spread", -0.26, calibrated=False)))
    assert "Its level and spread moved by more than is tolerated, but can't be judged" in _unjudged(told, main)


def test_what_did_not_move_or_is_the_answer_itself_is_not() -> None:
    main = _term("level", 0.01, calibrated=True)
    told: Any = SimpleNamespace(terms=(main, _term("spread", 0.1, calibrated=False), _term("shape", None, calibrated=False)))
    assert _unjudged(told, main) == ""
    alone = _term("level", 0.78, calibrated=False)
    assert _unjudged(SimpleNamespace(terms=(alone,)), alone) == ""  # type: ignore[arg-type]
