"""What the user's tolerances and weights do to the decider."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from tests.detectors.made import START, Floats, alarms, numeric_reference, slot_matrix

from driftline.contracts.reference import Reference, seal
from driftline.contracts.settings import ModelSettings, config_hash
from driftline.contracts.times import HOUR_MS
from driftline.detectors.decider import Decider, DeciderConfig
from driftline.detectors.layout import layout_of
from driftline.detectors.reference import build_reference
from driftline.detectors.terms import term_tables
from driftline.detectors.weights import shares

PANE = 20_000
LIVE = START + 400 * 24 * HOUR_MS
BUDGET = 100_000 / 3600


@pytest.fixture(scope="module")
def reference() -> Reference:
    return numeric_reference(np.random.default_rng(5).standard_normal((5_000, 3)), np.arange(5_000, dtype=np.int64) * 1000 + START)


def _shifted(by: float, n: int = 2_000) -> Floats:
    values = np.random.default_rng(6).standard_normal((n, 3))
    values[:, 1] += by
    return values


def _first(reference: Reference, config: DeciderConfig, by: float) -> int | None:
    times = np.arange(2_000, dtype=np.int64) * 1000 + LIVE
    found = alarms(Decider(reference, config), reference, slot_matrix(reference, _shifted(by)), times, PANE, first_only=True)
    return found[0][0] if found else None


def test_an_effect_within_a_columns_own_tolerance_is_none(reference: Reference) -> None:
    strict = _first(reference, DeciderConfig(BUDGET, 0.1), 0.6)
    assert strict is not None
    assert strict <= 400
    assert _first(reference, DeciderConfig(BUDGET, 0.1, tolerances={"f1": 0.8}), 0.6) is None
    assert _first(reference, DeciderConfig(BUDGET, 0.1, tolerances={"f0": 0.8}), 0.6) == strict


def test_a_column_of_weight_zero_is_shown_and_never_alarms(reference: Reference) -> None:
    config = DeciderConfig(BUDGET, 0.1, weights={"f1": 0.0})
    assert _first(reference, DeciderConfig(BUDGET, 0.1), 3.0) is not None
    assert _first(reference, config, 3.0) is None
    counts = np.bincount(slot_matrix(reference, _shifted(3.0)).ravel(), minlength=layout_of(reference, "features").slots)
    effects = [e for e in Decider(reference, config).effects("features", counts, 1.0) if e.column == "f1" and e.term == "location"]
    assert effects[0].beyond
    assert not effects[0].weighted


def test_what_weighs_more_speaks_no_later(reference: Reference) -> None:
    heavy, light = (_first(reference, DeciderConfig(BUDGET, 0.1, weights={"f1": weight}), 0.5) for weight in (1e6, 1e-4))
    assert heavy is not None
    assert light is not None
    assert heavy < light


def test_importance_weighs_features_where_the_reference_has_it(reference: Reference) -> None:
    told = seal(msgspec.structs.replace(reference, importance={"f0": 0.3, "f1": 0.1}))
    config = DeciderConfig(BUDGET, weighting="importance")

    def of(known: Reference, settings: DeciderConfig) -> dict[str, float]:
        weights, _ = shares(known, settings, ())
        assert sum(weights.values()) == pytest.approx(1)
        return {name: sum(w for (_, column, _), w in weights.items() if column == name) for name in ("f0", "f1", "f2")}

    # Half for all alike; the other half by importance.
    assert of(told, config) == pytest.approx({"f0": (0.5 + 0.5 * 3 * 0.75) / 3, "f1": (0.5 + 0.5 * 3 * 0.25) / 3, "f2": 0.5 / 3})
    assert of(reference, config) == pytest.approx(dict.fromkeys(("f0", "f1", "f2"), 1 / 3))
    assert of(told, DeciderConfig(BUDGET)) == pytest.approx(dict.fromkeys(("f0", "f1", "f2"), 1 / 3))
    own = of(told, DeciderConfig(BUDGET, weighting="importance", weights={"f0": 0.0}))
    assert own["f0"] == 0
    assert own["f1"] > own["f2"] > 0


@pytest.mark.parametrize("change", [{"tolerances": {"f1": 0.5}}, {"weights": {"f1": 2.0}}, {"weighting": "importance"}, {"tolerance": 0.3}])
def test_settings_of_the_decider_are_in_the_hash_and_make_old_evidence_another_questions(reference: Reference, change: dict[str, object]) -> None:
    old, new = ModelSettings(), msgspec.structs.replace(ModelSettings(), **change)
    assert config_hash(old) != config_hash(new)
    before, after = (Decider(reference, DeciderConfig.of(settings)) for settings in (old, new))
    raw = before.start().encode()
    assert before.decode(raw).terms == before.start().terms
    with pytest.raises(ValueError, match="another"):
        after.decode(raw)


def _of_errors(share: float, n: int = 4_000) -> Reference:
    """A classifier's reference without features: as many of both classes, and so many errors."""
    rng = np.random.default_rng(3)
    truths = rng.integers(0, 2, n)
    said = np.where(rng.random(n) < share, 1 - truths, truths)
    return build_reference(
        model="m", version="1", task="multiclass", effective_from=0, origin="built", times=np.arange(n, dtype=np.int64) * 1000 + START,
        features={}, predictions=said.tolist(), labels=truths.tolist(), all_events=False,
    )  # fmt: skip


def test_what_says_how_good_the_model_is_has_as_much_attention_as_four_other_columns() -> None:
    weights, _ = shares(_of_errors(0.1), DeciderConfig(BUDGET), [])
    by_column = {name: sum(w for (_, column, _), w in weights.items() if column == name) for _, name, _ in weights}
    assert by_column["error"] == pytest.approx(4 * by_column["label"])
    assert sum(by_column.values()) == pytest.approx(1)
    told, _ = shares(_of_errors(0.1), DeciderConfig(BUDGET, weights={"error": 1.0}), [])
    assert sum(w for (_, column, _), w in told.items() if column == "error") == pytest.approx(1 / 3)


@pytest.mark.parametrize("share", [0.1, 0.8])
def test_of_errors_three_quarters_of_the_attention_are_on_more_of_them(share: float) -> None:
    """Whichever of the two values the term is on: the rarer one."""
    table = term_tables(_of_errors(share), DeciderConfig(BUDGET))["outcomes"]
    [place] = [i for i, (column, term) in enumerate(table.terms) if column == "error" and term.startswith("value:")]
    more = table.theta[place] > 0 if table.terms[place][1] == "value:1" else table.theta[place] < 0
    assert table.mass[place, more].sum() == pytest.approx(3 * table.mass[place, ~more].sum())
    [label] = [i for i, (column, term) in enumerate(table.terms) if column == "label" and term.startswith("value:")]
    assert len(set(table.mass[label].tolist())) == 1


def test_two_values_weigh_against_their_nulls_as_a_location_does_and_many_as_they_are() -> None:
    def parts(values: int) -> list[float]:
        rows = np.random.default_rng(1).integers(0, values, 4_000)
        times = np.arange(4_000, dtype=np.int64) * 1000 + START
        made = build_reference(
            model="m", version="1", task="regression", effective_from=0, origin="built", times=times, features={"c": [f"v{i}" for i in rows]},
        )  # fmt: skip
        weights, _ = shares(made, DeciderConfig(BUDGET), [])
        null = weights["features", "c", "null"]
        return [w / null for (_, column, term), w in weights.items() if column == "c" and term.startswith("value:")]

    assert parts(2) == [pytest.approx(4)]
    assert parts(3) == [pytest.approx(4 / 3)] * 3
    assert parts(6) == [pytest.approx(1)] * 6


def test_all_attention_together_is_one_budget() -> None:
    tables = term_tables(_of_errors(0.1), DeciderConfig(BUDGET))
    assert sum(float(table.mass.sum()) for table in tables.values()) == pytest.approx(1)
