"""Each window is told beside the one before it: the distance of what both hold in the end, whatever came when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.streams.detect.arrivals import Event, concluding
from tests.streams.detect.test_windows import EVENTS, PLAIN, settings_of

from driftline.contracts.findings import Finding, SincePrevious
from driftline.detectors.binning import slots_of
from driftline.detectors.describe import MIN_ROWS
from driftline.detectors.measured import since_previous_of
from driftline.store import findings

KINDS = {
    "time": {"window": "25s"},
    "sliding": {"window": "30s", "slide": "10s"},
    "count": {"window": "205 events"},
    "either": {"window": "30s or 230 events"},
}
X = next(column for column in PLAIN[0].columns if column.name == "x")


def told(folder: Path, kind: str, partitions: list[list[Event]], polls: list[tuple[int, int]]) -> list[Finding]:
    """The findings in the order of their windows."""
    with concluding(folder, settings_of("time", **KINDS[kind]), PLAIN, partitions, polls) as engine:
        found = findings.history(engine, limit=10_000)
    return sorted(found, key=lambda f: f.window_start)


def between(start: int, end: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Slot counts of the events of a stretch, from the events themselves."""
    return np.bincount(slots_of(X, [e.x for e in EVENTS if start <= e.time < end]), minlength=X.slots).astype(np.int64)


def pairs(found: list[Finding], kind: str) -> list[tuple[Finding | None, Finding]]:
    """Each window with the one before it."""
    if kind in ("count", "either"):
        return list(zip([None, *found], found, strict=False))
    by_start = {f.window_start: f for f in found}
    return [(by_start.get(f.window_start - (f.window_end - f.window_start)), f) for f in found]


def expected(before: Finding | None, finding: Finding) -> SincePrevious | None:
    counts = [between(f.window_start, f.window_end) for f in (before, finding) if f is not None and f.n >= MIN_ROWS]
    return since_previous_of([X], counts[:1], counts[1:])[0] if len(counts) == 2 else None


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 30))
def test_it_is_the_distance_of_what_both_windows_hold_in_the_end(kind: str, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tardy = rng.random(len(EVENTS)) < 0.1
    delays = np.where(tardy, rng.integers(0, 60_000, len(EVENTS)), 0).tolist()
    arrival = [e for _, e in sorted((e.time + d, e) for e, d in zip(EVENTS, delays, strict=True))]
    several = int(rng.integers(1, 4))
    partitions: list[list[Event]] = [[] for _ in range(several)]
    for event in arrival:
        partitions[int(rng.integers(several))].append(event)
    polls = [(int(rng.integers(several)), int(rng.integers(1, 60))) for _ in range(40)]
    told_of = pairs(told(tmp_path, kind, partitions, polls), kind)
    # By count a window need not hold what lies in it: a row that came when it was cut goes into the next one if no other row was in its pane.
    known = [pair for pair in told_of if all(f is None or f.n == between(f.window_start, f.window_end).sum() for f in pair)]
    assert known == told_of or kind in ("count", "either")
    found = [(_of_x(finding), expected(before, finding)) for before, finding in known]
    assert all(one == wanted for one, wanted in found)
    shifted = [one.psi / one.psi_chance for one, _ in found if one is not None]
    assert len(shifted) >= 2 or kind in ("count", "either")
    assert max(shifted) > 3


def _of_x(finding: Finding) -> SincePrevious | None:
    return next(c for c in finding.columns if c.column == "x").since_previous


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_late_row_is_seen_from_the_window_after_its_own(kind: str, tmp_path: Path) -> None:
    late = EVENTS[100]
    told_of = pairs(told(tmp_path, kind, [[*EVENTS[:100], *EVENTS[101:], late]], [(0, 50)] * 20), kind)
    assert sum(before is not None and before.window_start <= late.time < before.window_end for before, _ in told_of)
    assert [_of_x(finding) for _, finding in told_of] == [expected(*pair) for pair in told_of]


def test_the_first_window_and_the_one_after_a_gap_have_none_before_them(tmp_path: Path) -> None:
    gap = [e for e in EVENTS if not EVENTS[0].time + 25_000 <= e.time < EVENTS[0].time + 55_000]
    found = told(tmp_path, "time", [gap], [(0, 50)] * 20)
    ends = {f.window_end for f in found}
    assert any(f.window_start not in ends for f in found[1:])
    for before, finding in pairs(found, "time"):
        assert (_of_x(finding) is None) == (before is None or min(before.n, finding.n) < MIN_ROWS)
