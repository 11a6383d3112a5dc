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
from driftline.detectors.terms import shares

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
