from __future__ import annotations

import msgspec
import numpy as np
import pytest
from tests.detectors.made import START, autoregressive

from driftline.contracts.reference import Reference
from driftline.contracts.settings import ModelSettings
from driftline.contracts.times import DAY_MS, HOUR_MS
from driftline.detectors.decider import Decider, DeciderConfig
from driftline.detectors.layout import layout_of
from driftline.detectors.preview import own_rates, term_previews, traffic_preview
from driftline.detectors.reference import build_reference
from driftline.detectors.slicing import Slicing
from driftline.detectors.terms import term_tables
from driftline.detectors.whole import Whole

N = 6_000
TIMES = START + np.arange(N, dtype=np.int64) * (60 * DAY_MS // N)
CONFIG = DeciderConfig(720.0, 0.2, tolerances={"steady": 0.3}, weights={"unwatched": 0.0})


@pytest.fixture(scope="module")
def reference() -> Reference:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, N)
    return build_reference(
        model="m",
        version="1",
        task="classification",
        effective_from=0,
        origin="built",
        times=TIMES,
        features={
            "steady": rng.standard_normal(N),
            "wandering": autoregressive(N, 1, 0.9995, rng)[:, 0],
            "rare": [1.0 * i if i % 100 == 0 else None for i in range(N)],
            "early": [float(rng.standard_normal()) if i < N // 3 else None for i in range(N)],
            "colour": rng.choice(["red", "green", "blue"], N).tolist(),
            "unwatched": rng.standard_normal(N),
        },
        scores=rng.random(N),
        labels=[int(y) if i % 4 == 0 else None for i, y in enumerate(labels)],
    )


def test_a_slice_and_a_part_of_a_feature_are_told_with_the_tolerance_that_they_are_judged_by() -> None:
    rng = np.random.default_rng(1)
    features = {"steady": rng.standard_normal(N), "colour": rng.choice(["red", "green"], N).tolist()}
    slicing = Slicing.of(ModelSettings(slices={"colour": 2}))
    made = build_reference(
        model="m", version="1", task="classification", effective_from=0, origin="built", times=TIMES, features=features, slicing=slicing
    )
    told = term_previews(Whole.of(made, DeciderConfig(720.0, 0.2, tolerances={"steady": 0.5}), ()), own_rates(made))
    assert {t.tolerance_set for t in told if t.column.startswith("steady")} == {0.5}
    assert sum(t.column.startswith("steady") and t.column != "steady" for t in told) >= 2
    assert all(t.tolerance == max(t.tolerance_set, t.tolerance_reference) for t in told)


def test_weights_are_shared_out_and_every_term_is_told(reference: Reference) -> None:
    rates = own_rates(reference)
    told = term_previews(Whole.of(reference, CONFIG, ()), rates)
    tables = term_tables(reference, CONFIG)

    assert [(t.kind, t.column, t.term) for t in told] == [(k, *term) for k, table in tables.items() for term in table.terms]
    assert sum(t.weight for t in told) == pytest.approx(1.0)
    assert all((t.why is None) == t.calibrated for t in told)
    assert all(t.weight == 0 and t.visible == {} for t in told if not t.calibrated or t.column == "unwatched")
    assert all(t.tolerance == max(t.tolerance_set, t.tolerance_reference) for t in told)
    assert {t.tolerance_set for t in told if t.column == "steady"} == {0.3}
    assert rates["features"] == pytest.approx(N / 1440, rel=0.01)
    assert rates["outcomes"] == pytest.approx(N / 4 / 1440, rel=0.01)
    rare = next(t for t in told if (t.column, t.term) == ("rare", "location"))
    assert rare.rate == pytest.approx(rates["features"] / 100, rel=0.05)


@pytest.mark.parametrize(
    ("column", "term", "says"),
    [
        ("wandering", "location", "it wanders by itself"),
        ("rare", "location", "60 rows; 200 are needed"),
        ("early", "location", "equal stretches of the reference's time; 16 are needed"),
    ],
)
def test_what_is_blind_says_why(reference: Reference, column: str, term: str, says: str) -> None:
    told = next(t for t in term_previews(Whole.of(reference, CONFIG, ()), own_rates(reference)) if (t.column, t.term) == (column, term))

    assert not told.calibrated
    assert says in (told.why or "")


def test_more_events_show_smaller_shifts_and_none_show_none(reference: Reference) -> None:
    few, many, none = (
        next(
            t
            for t in term_previews(Whole.of(reference, CONFIG, ()), {"features": rate, "outcomes": 0.0})
            if (t.column, t.term) == ("steady", "location")
        ).visible
        for rate in (10.0, 1_000.0, 0.0)
    )

    assert many["day"].up is not None
    assert few["day"].up is None or many["day"].up < few["day"].up
    assert all(v.up is None and v.down is None for v in none.values())


def test_a_reference_that_knows_nothing_of_its_terms_says_so(reference: Reference) -> None:
    bare = msgspec.structs.replace(reference, terms=(), outcome_terms=())

    told = term_previews(Whole.of(bare, CONFIG, ()), own_rates(bare))

    assert {t.why for t in told} == {"the reference says nothing about its wandering"}


def test_traffic_that_alarms_within_a_day_does_so_and_half_of_it_does_not() -> None:
    """The closed form against the decider, which reads as many events as it says."""
    rng = np.random.default_rng(8)
    times = np.sort(START + rng.integers(0, 30 * DAY_MS, 30_000))
    made = build_reference(
        model="m", version="1", task="regression", effective_from=0, origin="built", times=times, features={"x": rng.standard_normal(30_000)},
        all_events=True,
    )  # fmt: skip
    told = traffic_preview(Whole.of(made, CONFIG, ()))
    assert told is not None
    assert told.rate == pytest.approx(30_000 / 720, rel=0.01)
    more, fewer = told.visible["day"]
    assert more is not None
    assert fewer is not None
    assert fewer < 1 / told.factor < told.factor < more
    decider, layout = Decider(made, CONFIG), layout_of(made, "features")
    counts, normal = np.zeros(layout.slots, np.int64), told.rate

    def hours(factor: float) -> int:
        state = decider.start()
        for hour in range(1, 400):
            state = decider.step(state, "features", counts, START + hour * HOUR_MS, 1.0, round(normal * factor))
            if decider.verdict(state).crossed:
                return hour
        return 400

    assert hours(more) == pytest.approx(24, abs=5)
    assert hours(fewer) == pytest.approx(24, abs=5)
    assert hours(1.5) == 400


def test_traffic_is_not_told_of_a_reference_that_is_a_part_of_its_events(reference: Reference) -> None:
    assert traffic_preview(Whole.of(reference, CONFIG, ())) is None
