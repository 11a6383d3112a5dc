"""Causes, episodes and what a policy sees, as plain as they can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from driftline.alerts.episodes import Crossing, Episode, opened, watched
from driftline.alerts.policy import PolicyInput
from driftline.contracts.findings import Alert, Cause, Performance
from driftline.contracts.times import DAY_MS

T0 = 1_600_000_000_000
HOUR = 3_600_000
DAY = DAY_MS
HASH = "config"


def cause(column: str = "x", **changed: Any) -> Cause:
    fields: dict[str, Any] = {"term": "location", "direction": "up", "effect": 0.5, "low": 0.4, "high": 0.6, "tolerance": 0.2}
    fields |= {"share": 1.0, "importance": 0.3, "onset": T0}
    return Cause(column=column, **{**fields, **changed})


def above(column: str = "x", **changed: Any) -> Cause:
    """A cause that is surely beyond tolerance."""
    return cause(column, **changed)


def unsure(column: str = "x", **changed: Any) -> Cause:
    """A cause beyond tolerance that may be chance."""
    return cause(column, **{"effect": 0.3, "low": 0.1, "high": 0.5, **changed})


def wide(column: str = "x", **changed: Any) -> Cause:
    """A cause within tolerance that may be beyond it."""
    return cause(column, **{"effect": 0.1, "low": 0.0, "high": 0.3, **changed})


def within(column: str = "x", **changed: Any) -> Cause:
    """A cause that is surely within tolerance."""
    return cause(column, **{"effect": 0.05, "low": 0.0, "high": 0.1, **changed})


def crossing(*causes: Cause, **changed: Any) -> Crossing:
    fields: dict[str, Any] = {"model": "m", "version": "1", "reference_id": "r", "kind": "features", "at": T0 + HOUR, "onset": T0}
    fields |= {"n": 1_000, "evidence": 800.0, "budget": 720.0}
    return Crossing(causes=causes or (cause(),), **{**fields, **changed})


def episode(*causes: Cause, **changed: Any) -> Episode:
    return opened(crossing(*causes, **changed), HASH)[0]


def seen(**changed: Any) -> PolicyInput:
    fields: dict[str, Any] = {"model": "m", "version": "1", "reference_id": "r", "task": "classification", "at": T0, "performance": None}
    return PolicyInput(**{**fields, "reference_performance": {}, "episodes": (), **changed})


def realised(value: float, low: float, n: int = 1_000, metric: str = "log_loss") -> Performance:
    return Performance(n=n, metrics={metric: value}, low={metric: low}, high={metric: 2 * value - low})


columns = st.sampled_from("abcdef")


def causes_of(*makers: Callable[..., Cause]) -> st.SearchStrategy[Cause]:
    """Causes as these functions make them, of one direction or the other."""
    return st.builds(
        lambda column, make, share, importance, direction: make(column, share=share, importance=importance, direction=direction),
        columns,
        st.sampled_from(makers),
        st.floats(0, 1),
        st.floats(0, 0.3),
        st.sampled_from(["up", "down"]),
    )


def windows_of(causes: st.SearchStrategy[Cause]) -> st.SearchStrategy[tuple[Cause, ...]]:
    """The causes of one window, each column once."""
    return st.lists(causes, max_size=6, unique_by=lambda c: c.column).map(tuple)


any_cause = causes_of(above, unsure, wide, within)
windows = windows_of(any_cause)
#: Windows in which no effect is beyond tolerance.
quiet_windows = windows_of(causes_of(wide, within))


def one_life(first: tuple[Cause, ...], later: list[tuple[Cause, ...]]) -> tuple[list[Episode], list[Alert]]:
    """Return the states and alerts of an episode watched over windows until it ends."""
    state, alert = opened(crossing(*first), HASH)
    states, alerts = [state], [alert]
    for i, causes in enumerate(later):
        state, said = watched(state, causes, state.opened_at + (i + 1) * HOUR, 10 * i, HASH)
        states.append(state)
        alerts += [said] if said is not None else []
        if state.ended_at is not None:
            break
    return states, alerts
