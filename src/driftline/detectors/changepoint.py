"""Change points of a series by ADWIN (Bifet and Gavalda, 2007; River's): for people who know it, and as a decider where
a user names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from river.drift import ADWIN

from driftline.detectors.values import finite_number

# ADWIN's bound is made for values of about unit size: one of 1e300 would swallow every later difference. Ten sd are as
# clear a change as any.
_CLIP = 10.0


def adwin_changes(series: Sequence[tuple[int, float]], delta: float = 0.002) -> list[int]:
    """Return the times (ms) at which ADWIN drops the part of its window before a change. Re-run over the kept series:
    no state, no pickle.

    Give means of blocks, standardised: on single autocorrelated events ADWIN alarms by the hundred. Values that are not
    finite are left out, since one NaN would silence ADWIN for good.

    >>> adwin_changes([(i, 0.0 if i < 300 else 1.0) for i in range(600)])
    [311]
    """
    # River's ADWIN is Rust without annotations.
    detector: Any = ADWIN(delta=delta, clock=1, grace_period=5)  # type: ignore[no-untyped-call]
    changes = []
    for time, value in series:
        number = finite_number(value)
        if number is not None:
            detector.update(max(-_CLIP, min(_CLIP, number)))
            if detector.drift_detected:
                changes.append(time)
    return changes
