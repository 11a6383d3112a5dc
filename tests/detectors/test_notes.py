from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from tests.detectors.made import START
from tests.detectors.test_kinds import TIMES, N, built, pane_of, rows_of

from driftline.alerts.sentences import cause_phrase
from driftline.contracts.findings import Cause
from driftline.contracts.settings import QualitySettings
from driftline.contracts.times import DAY_MS
from driftline.detectors.decider import Decider, DeciderConfig
from driftline.detectors.describe import column_findings
from driftline.detectors.quality import quality_words, value_counts
from driftline.streams.detect.causes import column_notes, noted
from driftline.streams.detect.wording import finding_sentence

RNG = np.random.default_rng(5)
WEIGHT = RNG.normal(70, 12, N).tolist()
CONFIG = DeciderConfig(budget_hours=720.0)


def _cause(column: str, term: str) -> Cause:
    return Cause(
        column=column, term=term, direction="up", effect=3.0, low=2.9, high=3.1, tolerance=0.2, share=1.0, importance=0.0, onset=START
    )  # fmt: skip


def _told(live: list[Any], term: str, pii: dict[str, str] | None = None) -> tuple[str, str]:
    """What an alert and what a finding say."""
    reference = built({"w": WEIGHT})
    pane = pane_of(reference, rows_of({"w": live}, TIMES + DAY_MS), sample=200)
    (cause,) = noted([_cause("w", term)], pane, pii or {})
    columns = column_findings(reference, Decider(reference, CONFIG), "features", pane.counts, 1e3)
    columns = column_notes([replace(c, state="drift") for c in columns], pane, pii or {})
    return cause_phrase(cause), finding_sentence("m", "ok", (START, START + DAY_MS), pane.n, columns=columns, performance=None)


@pytest.mark.parametrize("term", ["location", "scale", "unseen"])
def test_a_change_of_unit_is_said_in_the_alert_and_in_the_finding(term: str) -> None:
    grams = [1_000 * w for w in RNG.normal(70, 12, N).tolist()]
    alert, finding = _told(grams, term)
    assert alert.endswith(", looks like a change of unit: values are about 1,000 times the reference's")
    assert "(looks like a change of unit: values are about 1,000 times the reference's)" in finding


def test_of_values_that_nobody_keeps_the_unit_is_not_told() -> None:
    grams = [1_000 * w for w in WEIGHT]
    for rule in ("drop", "hash", "bucket:10"):
        alert, finding = _told(grams, "location", {"w": rule})
        assert "unit" not in alert + finding


def test_ordinary_drift_is_said_as_it_was() -> None:
    for live in ([w + 12 for w in WEIGHT], [1.5 * w for w in WEIGHT], WEIGHT):
        alert, finding = _told(live, "location")
        assert alert == "w is higher by 3.00 sd (2.90 to 3.10)"
        assert "unit" not in finding


def test_what_was_of_a_wrong_type_or_out_of_range_is_said() -> None:
    mixed = [w if i % 4 else ["12", float("nan"), None][i // 4 % 3] for i, w in enumerate(WEIGHT)]
    assert _told(mixed, "null")[0].endswith(", 8.2% NaN, 8.5% of a wrong type")
    assert _told([w if i % 5 else 1e6 for i, w in enumerate(WEIGHT)], "unseen")[0].endswith("20.0% lie above its range")


def test_a_cause_that_is_no_column_has_no_note() -> None:
    pane = pane_of(built({"w": WEIGHT}), rows_of({"w": WEIGHT}))
    assert noted([_cause("volume", "volume")], pane, {})[0].note == ""


def test_values_of_no_use_are_counted_in_the_findings_quality() -> None:
    reference = built({"w": WEIGHT, "c": ["a", "b"] * (N // 2)})
    live = {"w": [1e9, float("nan"), "x", None, float("inf"), *WEIGHT[5:]], "c": ["new", None, ["x"], *["a"] * (N - 3)]}
    pane = pane_of(reference, rows_of(live))
    found = value_counts(pane.layout, pane.counts)
    # What is in the reference's own range, the sample itself, is in it here too.
    assert found == {"infinite": 1, "nan": 1, "null": 2, "out_of_range": 1, "unseen": 1, "wrong_type": 2}


def test_only_what_is_above_its_limit_is_said() -> None:
    limits = QualitySettings(late=0.1, duplicates=1.0)
    assert quality_words(1_000, 100, {"duplicates": 900, "clock_skew": 10}, limits) == ""
    words = quality_words(1_000, 101, {"clock_skew": 11, "missing_fields": 2_000, "nan": 5}, limits)
    assert words == (
        "10.1% of the events came late; 1.1% of the events are dated ahead of the time at which they were appended; 2 fields an event are missing"
    )
    assert quality_words(0, 0, {}, limits) == ""
    sentence = finding_sentence("m", "ok", (START, START + DAY_MS), 1_000, columns=(), performance=None, quality=words)
    assert sentence.endswith(f"within tolerance. {words}.")
