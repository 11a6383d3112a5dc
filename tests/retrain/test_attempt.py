from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sqlalchemy import Engine
from tests.retrain import world

from driftline.contracts.errors import ArtifactRefused, DriftlineError
from driftline.contracts.findings import ModelVersion, decode_json
from driftline.contracts.reference import Task
from driftline.contracts.settings import Settings
from driftline.contracts.summaries import Progress
from driftline.contracts.times import DAY_MS, HOUR_MS
from driftline.retrain.artifacts import load_model
from driftline.retrain.attempt import attempt
from driftline.retrain.job import Job, carry_out
from driftline.retrain.promotion import Turn
from driftline.retrain.register import register_champion
from driftline.retrain.trainers import TrainerError
from driftline.store import detection, outbox, outcomes, references, runs, versions
from driftline.store.database import migrate, open_database
from driftline.store.detect_rows import DetectChange
from driftline.store.versions import Champion


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return world.settings_of(tmp_path, f"sqlite:///{tmp_path / 'driftline.db'}")


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    engine = open_database(settings.database)
    migrate(engine)
    yield engine
    engine.dispose()


def champion_of(engine: Engine) -> Champion:
    champion = versions.current(engine, world.MODEL)
    assert champion is not None
    return champion


def run_at(engine: Engine, settings: Settings, turn: world.Turn, task: Task = "classification") -> Turn:
    world.register(engine, settings, task)
    return attempt(engine, settings, world.live(engine, settings, turn, task), champion_of(engine))


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_challenger_that_knows_the_new_world_is_promoted(engine: Engine, settings: Settings, task: Task) -> None:
    turn = run_at(engine, settings, "flipped", task)
    assert turn.status == "champion"
    assert turn.trial is not None
    assert turn.trial.low > 0
    assert turn.artifact is not None
    loaded = load_model(Path(settings.artifacts), turn.artifact.name, turn.artifact.sha256)
    assert (loaded.card.version, turn.challenger) == ("2", "2")


def test_grown_errors_that_no_challenger_mends_leave_the_reference_alone(engine: Engine, settings: Settings) -> None:
    world.register(engine, settings)
    trigger = msgspec.structs.replace(world.live(engine, settings, "moved"), reason="performance")
    turn = attempt(engine, settings, trigger, champion_of(engine))
    assert (turn.status, turn.reference) == ("refused", None)
    assert turn.trial is not None
    assert "The champion stays" in turn.sentence


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_drift_that_the_champion_bears_is_accepted(engine: Engine, settings: Settings, task: Task) -> None:
    turn = run_at(engine, settings, "moved", task)
    assert turn.status == "drift_accepted"
    assert turn.reference is not None
    assert (turn.reference.origin, turn.reference.version) == ("accepted", "1")
    old = references.get(engine, champion_of(engine).reference_id)
    assert old is not None
    assert turn.reference.performance == old.performance
    assert "The drift is accepted" in turn.sentence
    files = [path for path in Path(settings.artifacts).rglob("*") if path.is_file()]
    assert [f"m/{path.name}" for path in files] == [champion_of(engine).artifact]


def test_neither_model_is_tried_on_rows_of_its_training(engine: Engine, settings: Settings) -> None:
    turn = run_at(engine, settings, "flipped")
    assert turn.trial is not None
    assert turn.artifact is not None
    end = world.START + 60 * DAY_MS - world.DELAY
    assert (turn.trial.holdout_start, turn.trial.holdout_end) == (end - 14 * DAY_MS, end)
    card = load_model(Path(settings.artifacts), turn.artifact.name, turn.artifact.sha256).card
    assert card.trained_until == turn.trial.holdout_start
    assert card.rows == turn.trial.train_rows == (46 * world.A_DAY) - 5


def test_the_holdout_shrinks_rather_than_reach_into_the_champions_training(engine: Engine, settings: Settings) -> None:
    world.register(engine, settings)
    trigger = world.live(engine, settings, "flipped")
    early = msgspec.structs.replace(trigger, at=world.START + 33 * DAY_MS)
    turn = attempt(engine, settings, early, champion_of(engine))
    assert turn.status == "refused"
    assert "too few to judge by" in turn.sentence or "too short a time to judge by" in turn.sentence
    assert turn.reference is None


def test_labels_that_came_after_the_trigger_are_not_known_to_it(engine: Engine, settings: Settings) -> None:
    first = run_at(engine, settings, "flipped")
    late = outcomes.ripe_rows(engine, world.MODEL, since=0, until=2**62, known_by=2**62)
    from driftline.store import join
    from driftline.store.join import JoinChange
    from driftline.store.outcome_rows import LabelRow

    correction = [
        LabelRow(model=row.model, event_id=row.event_id, label=1 - int(row.label), label_time=world.START + 70 * DAY_MS) for row in late[-700::3]
    ]
    join.apply(engine, JoinChange(source="later", partition=0, expected_next=None, next_offset=1, labels=correction), lambda _: [])
    again = attempt(engine, settings, world.trigger_at(world.START + 60 * DAY_MS), champion_of(engine))
    assert first.trial is not None
    # A corrected label is only known by its later time, so those rows leave the trial; none of the wrong ones enters
    # it.
    assert again.trial is not None
    assert again.trial.n < first.trial.n
    assert again.trial.challenger["log_loss"] == pytest.approx(first.trial.challenger["log_loss"], rel=0.1)


def test_the_same_trigger_gives_the_same_turn(engine: Engine, settings: Settings) -> None:
    one = run_at(engine, settings, "flipped")
    other = attempt(engine, settings, world.trigger_at(world.START + 60 * DAY_MS), champion_of(engine))
    assert one.trial == other.trial
    assert one.reference == other.reference
    assert one.challenger == other.challenger


def test_the_new_reference_holds_the_challengers_training_and_its_honest_scores(engine: Engine, settings: Settings) -> None:
    turn = run_at(engine, settings, "flipped")
    reference, trial = turn.reference, turn.trial
    assert reference is not None
    assert trial is not None
    assert (reference.origin, reference.version, reference.model) == ("challenger", "2", world.MODEL)
    assert reference.rows == trial.train_rows + trial.n
    assert reference.labelled_rows == trial.n
    assert reference.performance["log_loss"] == pytest.approx(trial.challenger["log_loss"], rel=0.02)
    assert {c.name for c in reference.columns if c.role == "feature"} == {"x", "kind"}
    assert {c.role for c in reference.columns} == {"feature", "prediction", "score"}
    assert sum(reference.importance.values()) == pytest.approx(1)
    assert len(turn.sample) == trial.n


def test_a_new_reference_holds_from_a_pane_boundary_after_everything_met(engine: Engine, settings: Settings) -> None:
    world.register(engine, settings)
    trigger = world.live(engine, settings, "flipped")
    newest = trigger.at + 5 * HOUR_MS + 1
    met = Progress(source="summarise", partition=0, partitions=1, position=9, watermark=newest - 10_000, floor=9, idle=False, newest=newest)
    far = Progress(source="summarise", partition=1, partitions=2, position=9, watermark=trigger.at, floor=9, idle=False, newest=trigger.at * 3)
    detection.commit(engine, DetectChange(q=0, expected_next=None, next_offset=1, watermark=trigger.at, sources=[met, far]))
    turn = attempt(engine, settings, trigger, champion_of(engine))
    assert turn.reference is not None
    assert turn.reference.effective_from == trigger.at + 6 * HOUR_MS


def test_a_trigger_about_a_version_that_is_gone_trains_nothing(engine: Engine, settings: Settings) -> None:
    world.register(engine, settings)
    trigger = msgspec.structs.replace(world.live(engine, settings, "flipped"), version="0")
    turn = attempt(engine, settings, trigger, champion_of(engine))
    assert (turn.status, turn.trial) == ("refused", None)
    by_hand = attempt(engine, settings, msgspec.structs.replace(trigger, reason="manual"), champion_of(engine))
    assert by_hand.status == "champion"


def test_too_few_outcomes_train_nothing(engine: Engine, settings: Settings) -> None:
    world.register(engine, settings)
    strict = world.settings_of(Path(settings.artifacts).parent, settings.database, policy={"min_rows": 1_000_000})
    turn = attempt(engine, strict, world.live(engine, settings, "flipped"), champion_of(engine))
    assert (turn.status, turn.reference) == ("refused", None)
    assert "at least 1000000 are wanted" in turn.sentence


def test_a_champion_whose_file_was_changed_is_not_opened(engine: Engine, settings: Settings) -> None:
    world.register(engine, settings)
    trigger = world.live(engine, settings, "flipped")
    path = Path(settings.artifacts) / str(champion_of(engine).artifact)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ArtifactRefused, match="sha256 differs"):
        attempt(engine, settings, trigger, champion_of(engine))


def test_a_file_that_is_not_what_was_served_gets_no_trial(engine: Engine, settings: Settings) -> None:
    world.register(engine, settings)
    trigger = world.live(engine, settings, "flipped")
    other = world.recipe_of("classification").fit(
        np.array([["a", 1.0], ["b", -1.0]], dtype=object), [0, 1]
    )  # fmt: skip
    from driftline.retrain.artifacts import save_model

    there = champion_of(engine)
    card = load_model(Path(settings.artifacts), str(there.artifact), str(there.sha256)).card
    artifact = save_model(Path(settings.artifacts), other, card)
    swapped = msgspec.structs.replace(there, artifact=artifact.name, sha256=artifact.sha256)
    turn = attempt(engine, settings, trigger, swapped)
    assert turn.status == "failed"
    assert "does not answer what was published" in turn.sentence


def test_features_that_are_not_kept_can_not_be_trained_on(engine: Engine, tmp_path: Path, settings: Settings) -> None:
    private = world.settings_of(tmp_path, settings.database, pii={"x": "drop"})
    world.register(engine, private)
    reference = references.get(engine, champion_of(engine).reference_id)
    assert reference is not None
    assert all("x" not in row.features for row in references.sample_rows(engine, reference.reference_id))
    with pytest.raises(TrainerError, match=r"do not keep what the model takes \(x\)"):
        attempt(engine, private, world.trigger_at(world.START + 30 * DAY_MS), champion_of(engine))


# --- the run's end


def claimed(engine: Engine, settings: Settings, trigger_id: str = "t1") -> Job:
    trigger = world.trigger_at(world.START + 60 * DAY_MS, trigger_id=trigger_id)
    run = runs.claim(engine, trigger, owner="w", lease_ms=60_000, now=1)
    assert run is not None
    return Job(settings=settings, trigger=trigger, run=run)


def test_a_promotion_is_one_commit_of_reference_champion_run_and_message(engine: Engine, settings: Settings) -> None:
    world.register(engine, settings)
    world.live(engine, settings, "flipped")
    version = carry_out(engine, claimed(engine, settings))
    assert version is not None
    champion = champion_of(engine)
    assert (champion.version, champion.sequence, champion.artifact) == ("2", 2, version.artifact)
    stored = references.get(engine, champion.reference_id)
    assert stored is not None
    assert stored.effective_from == version.effective_from
    run = runs.get(engine, "t1")
    assert run is not None
    assert run.status == "promoted"
    assert runs.open_triggers(engine) == []
    said = [decode_json(row.value, ModelVersion) for row in outbox.pending(engine, versions.OWNER)]
    assert [(v.sequence, v.status, v.version) for v in said] == [(1, "champion", "1"), (2, "champion", "2")]
    assert (said[1].previous_version, said[1].trigger_id) == ("1", "t1")


def test_a_refused_turn_still_names_the_champions_file(engine: Engine, settings: Settings) -> None:
    first = world.register(engine, settings)
    world.live(engine, settings, "moved")
    version = carry_out(engine, claimed(engine, settings))
    assert version is not None
    assert (version.status, version.version, version.challenger) == ("drift_accepted", "1", "2")
    assert (version.artifact, version.sha256) == (first.artifact, first.sha256)
    assert version.reference_id != first.reference_id


def test_a_run_that_was_taken_over_writes_nothing(engine: Engine, settings: Settings) -> None:
    from driftline.contracts.errors import StaleState

    world.register(engine, settings)
    world.live(engine, settings, "flipped")
    job = claimed(engine, settings)
    assert runs.claim(engine, job.trigger, owner="other", lease_ms=60_000, now=1 + 60_000) is not None
    with pytest.raises(StaleState):
        carry_out(engine, job)
    assert champion_of(engine).sequence == 1
    assert len(references.for_model(engine, world.MODEL)) == 1


def test_a_champion_that_turned_meanwhile_is_tried_anew(engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    world.register(engine, settings)
    world.live(engine, settings, "flipped")
    from driftline.retrain import job as module

    tried: list[int] = []

    def turning(engine_: Engine, settings_: Settings, trigger: object, champion: Champion) -> Turn:
        tried.append(champion.sequence)
        turn = attempt(engine_, settings_, trigger, champion)  # type: ignore[arg-type]
        if len(tried) == 1:  # someone accepts the drift by hand while the training goes on
            accepted = ModelVersion(
                model=world.MODEL, sequence=2, status="drift_accepted", version="1", reference_id=champion.reference_id,
                effective_from=5, sentence="by hand",
            )  # fmt: skip
            versions.promote(engine_, accepted, 1)
        return turn

    monkeypatch.setattr(module, "attempt", turning)
    version = carry_out(engine, claimed(engine, settings))
    assert version is not None
    assert (tried, version.sequence, version.version) == ([1, 2], 3, "3")


def test_whatever_breaks_the_run_is_settled_and_says_why(engine: Engine, tmp_path: Path, settings: Settings) -> None:
    world.register(engine, settings)
    world.live(engine, settings, "flipped")
    broken = world.settings_of(tmp_path, settings.database, trainer="tests.retrain.odd_trainers:Broken")
    version = carry_out(engine, claimed(engine, broken))
    assert version is not None
    assert (version.status, version.version, version.sequence) == ("failed", "1", 2)
    assert version.sentence == "The run failed and the champion stays: ZeroDivisionError: division by zero"


def test_a_model_without_a_champion_settles_its_trigger(engine: Engine, settings: Settings) -> None:
    assert carry_out(engine, claimed(engine, settings)) is None
    run = runs.get(engine, "t1")
    assert run is not None
    assert (run.status, run.detail) == ("failed", b"no champion is registered for this model")


# --- the first champion


def test_a_first_champion_is_stored_announced_and_backfilled(engine: Engine, settings: Settings) -> None:
    version = world.register(engine, settings)
    assert (version.sequence, version.status, version.version) == (1, "champion", "1")
    reference = references.get(engine, version.reference_id)
    assert reference is not None
    assert reference.label_delay_p95 == world.DELAY
    assert reference.labelled_rows == pytest.approx(world.TRAINED_DAYS * world.A_DAY / 2, abs=world.A_DAY)
    assert outcomes.count_ripe(engine, world.MODEL, since=0, until=2**62, known_by=2**62) == world.TRAINED_DAYS * world.A_DAY
    with pytest.raises(DriftlineError, match="has a champion already: version 1"):
        world.register(engine, settings)


def test_a_registration_cut_short_goes_on_where_it_stood(engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from driftline.retrain import first_rows, register

    monkeypatch.setattr(first_rows, "_CHUNK", 700)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(register, "_store", killed)
        with pytest.raises(KeyboardInterrupt):
            world.register(engine, settings)
    assert versions.current(engine, world.MODEL) is None
    world.register(engine, settings)
    assert outcomes.count_ripe(engine, world.MODEL, since=0, until=2**62, known_by=2**62) == world.TRAINED_DAYS * world.A_DAY


def test_performance_at_reference_time_is_that_of_rows_not_trained_on(engine: Engine, settings: Settings) -> None:
    # A model that knows its rows by heart has no loss on them; forward chaining is not fooled.
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder
    from sklearn.tree import DecisionTreeClassifier

    from driftline.retrain.matrix import rows_to_matrix

    rows = world.world_rows(0, 30, "none", "classification")
    by_heart = make_pipeline(ColumnTransformer([("k", OneHotEncoder(), [0])], remainder="passthrough"), DecisionTreeClassifier())
    X = rows_to_matrix(rows.features, {"kind": True, "x": False})
    by_heart.fit(X, rows.labels)
    assert by_heart.score(X, rows.labels) == 1.0
    version = register_champion(engine, settings, by_heart, rows, model=world.MODEL, task="classification", columns=("kind", "x"))
    reference = references.get(engine, version.reference_id)
    assert reference is not None
    assert reference.performance["accuracy"] < 0.85
