"""When a prediction is ripe: old enough that its label, if it ever comes, has come."""

from __future__ import annotations

from driftline.contracts.reference import Reference
from driftline.contracts.settings import ModelSettings
from driftline.contracts.times import DAY_MS, parse_duration


def label_wait(settings: ModelSettings, reference: Reference | None) -> int:
    """Return how old a prediction has to be (ms): as set, else the reference's p95 label delay, else a day.

    A label that takes longer is late, by this rule alone and whenever it arrives: it corrects windows and never reaches sequential detectors.
    """
    if settings.label_wait != "auto":
        return parse_duration(settings.label_wait, "label_wait")
    if reference is None or reference.label_delay_p95 is None:
        return DAY_MS
    return reference.label_delay_p95
