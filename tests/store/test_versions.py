from __future__ import annotations

import pytest
from sqlalchemy import Engine
from tests.store.builders import T0, version

from driftline.contracts.errors import StaleState
from driftline.contracts.findings import ModelVersion, decode_json
from driftline.store import outbox, versions
from driftline.store.versions import Champion

FIRST = Champion(
    model="m",
    sequence=1,
    version="1",
    artifact="m/1.skops",
    sha256="ab" * 32,
    reference_id="r",
    effective_from=T0,
)


def published(engine: Engine) -> list[ModelVersion]:
    return [decode_json(row.value, ModelVersion) for row in outbox.pending(engine, versions.OWNER)]


def test_the_first_version_becomes_champion_once(engine: Engine) -> None:
    assert versions.current(engine, "m") is None
    assert versions.register_first(engine, version(1), headers=[("ce_id", b"x")])
    assert not versions.register_first(engine, version(1, version="other"))
    assert versions.current(engine, "m") == FIRST
    [row] = outbox.pending(engine, versions.OWNER)
    assert (row.topic, row.key, row.headers) == ("model-versions", b"m", (("ce_id", b"x"),))
    assert published(engine) == versions.history(engine, "m") == [version(1)]


def test_a_promotion_is_the_next_turn_and_is_published_with_it(engine: Engine) -> None:
    versions.register_first(engine, version(1))
    turn = version(2, version="1+t", reference_id="r2", previous_version="1", trigger_id="t")
    versions.promote(engine, turn, 1)
    champion = versions.current(engine, "m")
    assert champion is not None
    assert (champion.version, champion.sequence, champion.reference_id) == ("1+t", 2, "r2")
    assert champion.artifact == "m/2.skops"
    assert published(engine) == versions.history(engine, "m") == [version(1), turn]


@pytest.mark.parametrize("expected", [0, 2])
def test_a_promotion_of_another_sequence_is_refused_whole(engine: Engine, expected: int) -> None:
    versions.register_first(engine, version(1))
    with pytest.raises(StaleState):
        versions.promote(engine, version(expected + 1), expected)
    assert versions.current(engine, "m") == FIRST
    assert published(engine) == [version(1)]


def test_a_model_without_champion_has_no_turn(engine: Engine) -> None:
    with pytest.raises(StaleState):
        versions.promote(engine, version(1), 0)


def test_a_refusal_is_a_turn_that_keeps_the_champion_and_its_artifact(engine: Engine) -> None:
    versions.register_first(engine, version(1))
    refusal = version(2, "refused", version="1", artifact=None, sha256=None, challenger="1+t", reference_id="accepted")
    versions.promote(engine, refusal, 1)
    champion = versions.current(engine, "m")
    assert champion is not None
    assert (champion.version, champion.artifact, champion.sha256) == ("1", "m/1.skops", "ab" * 32)
    assert (champion.sequence, champion.reference_id) == (2, "accepted")
    assert versions.history(engine, "m")[1] == refusal


def test_sequences_have_no_gaps(engine: Engine) -> None:
    with pytest.raises(ValueError, match="expected 1"):
        versions.register_first(engine, version(2))
    versions.register_first(engine, version(1))
    with pytest.raises(ValueError, match="does not follow"):
        versions.promote(engine, version(3), 1)


def test_models_are_apart(engine: Engine) -> None:
    versions.register_first(engine, version(1))
    versions.register_first(engine, version(1, model="a"))
    assert [c.model for c in versions.champions(engine)] == ["a", "m"]
    assert versions.history(engine, "a") == [version(1, model="a")]
