from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.health.catalogue import BY_NAME, CATALOGUE
from driftline.health.labels import OTHER, Capped, Labels
from driftline.health.pages import page
from driftline.health.samples import Samples
from driftline.health.telemetry import Telemetry
from driftline.health.timing import BOUNDS, Timing

ROOT = Path(__file__).parents[2]
UNITS = ("_total", "_seconds", "_ratio", "_sds", "_info")
#: Counts of things that are named after the things.
THINGS = ("_records", "_partitions", "_events", "_episodes", "_triggers", "_running", "_live", "_ready", "_up", "_state", "_distance")

names = st.lists(st.text("abcdef", min_size=1, max_size=3), max_size=200)


def test_the_page_is_made_from_the_catalogue() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == page(), "run: python -m driftline.health.pages > docs/metrics.md"


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda m: m.name)
def test_names_follow_prometheus_conventions(metric: object) -> None:
    name, kind = metric.name, metric.kind  # type: ignore[attr-defined]  # parametrize has no types
    assert re.fullmatch(r"driftline_[a-z][a-z_]*", name)
    assert name.endswith("_total") == (kind == "counter")
    assert name.endswith((*UNITS, *THINGS))
    # Many partitions times many features would be a series each.
    assert not {"partition", "column"} <= set(metric.labels)  # type: ignore[attr-defined]
    assert len(BY_NAME) == len(CATALOGUE)


@given(most=st.integers(1, 5), first=names, coming=names)
def test_labels_stay_few_and_one_name_keeps_its_label(most: int, first: list[str], coming: list[str]) -> None:
    label = Capped(most, first)
    said = [label(name) for name in coming]
    assert len({one for one in said if one != OTHER}) <= most
    assert [label(name) for name in coming] == said
    assert all(label(name) == name for name in list(dict.fromkeys(first))[:most])
    assert all(one in (name, OTHER) for name, one in zip(coming, said, strict=True))


@given(coming=st.lists(st.tuples(st.text("abcdef", min_size=1, max_size=2), st.integers(0, 100)), max_size=200))
def test_nothing_that_is_counted_is_lost_among_few_labels(coming: list[tuple[str, int]]) -> None:
    telemetry = Telemetry(Labels(models=3))
    for model, n in coming:
        telemetry.count_of_model("driftline_events_total", n, model)
    families = {f.name: f for f in telemetry.collect().families()}
    samples = families["driftline_events"].samples if "driftline_events" in families else []
    assert sum(s.value for s in samples) == sum(n for _, n in coming)
    assert len(samples) <= 4


def test_of_gauges_that_share_a_label_the_greatest_in_size_stands() -> None:
    samples = Samples(Labels(models=1, columns=1))
    for column, effect in (("a", 0.1), ("b", 0.2), ("c", -0.7)):
        samples.add("driftline_effect_sds", effect, "m", column)
    assert samples.value("driftline_effect_sds", "m", "a") == 0.1
    assert samples.value("driftline_effect_sds", "m", OTHER) == -0.7
    samples.add("driftline_effect_sds", 0.3, "another", "a")
    assert samples.value("driftline_effect_sds", OTHER, OTHER) == 0.3


def test_what_is_not_in_the_catalogue_can_t_be_told() -> None:
    samples = Samples(Labels())
    with pytest.raises(KeyError):
        samples.add("driftline_mystery_total", 1)
    with pytest.raises(ValueError, match="labels"):
        samples.add("driftline_effect_sds", 1, "m")


@given(st.lists(st.floats(0, 100)))
def test_a_histogram_counts_each_in_every_bucket_that_holds_it(seconds: list[float]) -> None:
    timing = Timing()
    for one in seconds:
        timing.add(one)
    told = dict(timing.cumulative())
    assert told["+Inf"] == len(seconds)
    assert [told[str(bound)] for bound in BOUNDS] == [sum(one <= bound for one in seconds) for bound in BOUNDS]
