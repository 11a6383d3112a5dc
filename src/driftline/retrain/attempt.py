"""One run from trigger to turn: gather ripe outcomes, train a challenger, try it, and say what follows. Reads the
store, writes a model file, no more.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from sqlalchemy import Engine

from driftline.alerts.policy import LOSS
from driftline.contracts.findings import RetrainTrigger, TrialResult
from driftline.contracts.reference import Reference, seal
from driftline.contracts.settings import Settings
from driftline.contracts.summaries import SampleRow
from driftline.retrain.artifacts import Artifact, LoadedModel, save_model
from driftline.retrain.card import ModelCard
from driftline.retrain.case import Case, gathered, opened
from driftline.retrain.forward import forward_answers
from driftline.retrain.importance import importance_of
from driftline.retrain.models import Answers, answers, classes_of, loss_name, losses, metrics, targets
from driftline.retrain.promotion import Turn, next_version, refusal
from driftline.retrain.references import Evidence, effective_after, sample_of, turned_reference
from driftline.retrain.skew import Skew, skew_of
from driftline.retrain.trainers import TrainerError, TrainingSet, load_trainer
from driftline.retrain.trial import rules_of, too_little, try_challenger
from driftline.store import versions
from driftline.store.versions import Champion

#: Forward chaining fits the recipe five times: for a mean loss, evenly spaced rows of many will do.
_CHAINED_ROWS = 40_000


def attempt(  # noqa: PLR0911 - each way in which a run can end, told where it is found
    engine: Engine, settings: Settings, trigger: RetrainTrigger, champion: Champion
) -> Turn:
    """Return how the run ends. The same trigger, champion and outcomes give the same turn.

    Raises:
        ArtifactRefused: the champion's file.
        TrainerError: no challenger came of it, or what came can't be used.
        SettingsError: the trainer.
    """
    if trigger.version != champion.version and trigger.reason != "manual":
        gone = f"{trigger.version}, which the trigger was about, is no longer the champion ({champion.version} is)"
        return Turn("refused", f"Version {gone}: nothing is trained.")
    case = gathered(engine, settings, trigger, champion)
    policy = case.model_settings.policy
    rows = case.outcomes
    if len(rows.train) < policy.min_rows:
        wanted = f"at least {policy.min_rows} are wanted"
        return Turn("refused", f"Only {len(rows.train)} ripe outcomes to train on; {wanted}: the champion stays.")
    times = np.array([row.event_time for row in rows.held_out], dtype=np.int64)
    lacking = too_little(times, rows.spans.holdout_end, rules_of(policy))
    if lacking is not None:
        return Turn("refused", f"Nothing is trained: the {len(times)} ripe outcomes held out are {lacking.why}.")
    said = answers(case.champion.estimator, case.reference.task, case.held_out)
    skew = skew_of(rows.held_out, said, champion.version)
    if skew.harmful:
        off = f"{skew.distance:.3f} off on average over {skew.n} predictions"
        why = f"The champion's file does not answer what was published ({off}): no fair trial is to be had."
        return Turn("failed", why)
    name = next_version(champion, {v for turn in versions.history(engine, trigger.model) for v in (turn.version, turn.challenger) if v})
    challenger, artifact = _trained(case, name)
    theirs = answers(challenger.estimator, case.reference.task, case.held_out)
    trial = _tried(case, said, theirs)
    effective = effective_after(engine, trigger.at, case.model_settings, settings.worker)
    if trial.promoted:
        reference, sample = _challenger_reference(case, challenger, theirs, skew, effective)
        return Turn("champion", trial.sentence, name, artifact, reference, sample, trial)
    (Path(settings.artifacts) / artifact.name).unlink(missing_ok=True)  # nobody will serve it
    if trigger.reason != "drift":
        # Errors that grew without a drift to accept: the reference of the inputs, long enough for its cycles, stays.
        return Turn("refused", refusal(trial, None), name, trial=trial)
    reference, sample = accepted_reference(case, champion.version, skew, effective)
    return Turn("drift_accepted", refusal(trial, reference), name, None, reference, sample, trial)


def _trained(case: Case, name: str) -> tuple[LoadedModel, Artifact]:
    """Train, write the file and open it again: what is tried is what will be served."""
    card, rows, spans = case.champion.card, case.outcomes.train, case.outcomes.spans
    classes = [] if card.task == "regression" else case.champion.estimator.classes_.tolist()
    y, _ = targets(card.task, classes, [row.label for row in rows])
    times = np.array([row.event_time for row in rows], dtype=np.int64)
    training = TrainingSet(
        model=card.model,
        task=card.task,
        columns=tuple(card.columns),
        X=case.train,
        y=y,
        times=times,
        until=spans.holdout_start,
    )
    trained = load_trainer(case.model_settings.trainer).train(case.champion.estimator, training)
    made = ModelCard(
        model=card.model,
        version=name,
        task=card.task,
        columns=card.columns,
        classes=classes_of(trained, card.task),
        rows=len(rows),
        trained_from=rows[0].event_time,
        trained_until=spans.holdout_start,
        trainer=case.model_settings.trainer,
    )
    if made.classes != card.classes:
        raise TrainerError(f"the challenger knows the classes {', '.join(made.classes)}, the champion {', '.join(card.classes)}")
    artifact = save_model(Path(case.settings.artifacts), trained, made)
    return opened(case.settings, artifact.name, artifact.sha256), artifact


def _tried(case: Case, champion: Answers, challenger: Answers) -> TrialResult:
    task, spans, labels = case.reference.task, case.outcomes.spans, case.labels
    return try_challenger(
        metric=loss_name(task),
        champion_losses=losses(task, champion, labels),
        challenger_losses=losses(task, challenger, labels),
        champion=metrics(task, champion, labels),
        challenger=metrics(task, challenger, labels),
        times=np.array([row.event_time for row in case.outcomes.held_out], dtype=np.int64),
        holdout=(spans.holdout_start, spans.holdout_end),
        train_rows=len(case.outcomes.train),
        rules=rules_of(case.model_settings.policy),
    )


def _challenger_reference(case: Case, challenger: LoadedModel, said: Answers, skew: Skew, effective_from: int) -> tuple[Reference, list[SampleRow]]:
    """What the challenger was trained on, for features; how it did on the rows held out, for scores, losses and
    performance.
    """
    rows = [*case.outcomes.train, *case.outcomes.held_out]
    everywhere = answers(challenger.estimator, case.reference.task, np.concatenate([case.train, case.held_out]))
    scored = np.arange(len(rows)) >= len(case.outcomes.train)
    reference = turned_reference(
        case.reference,
        case.model_settings,
        Evidence(rows, scored, everywhere),
        version=challenger.card.version,
        origin="challenger",
        effective_from=effective_from,
        importance=_importance(case, challenger),
        own_predictions=skew.own_predictions,
    )
    return _expecting(case, challenger, reference), sample_of(case.outcomes.held_out, said)


def _expecting(case: Case, challenger: LoadedModel, reference: Reference) -> Reference:
    """Return the reference with the performance to be expected: that on the rows held out, or by forward chaining on
    the rows trained on, whichever is better.

    The fortnight held out may have been a hard one, and would hide every later fall; the rows trained on may hold a
    change of the world, and forward chaining across it says nothing of the world after.
    """
    chained = _chained(case, challenger, reference.label_delay_p95)
    metric = LOSS[case.reference.task]
    if metric not in chained or chained[metric] >= reference.performance.get(metric, float("inf")):
        return reference
    return seal(msgspec.structs.replace(reference, performance=chained))


def _chained(case: Case, challenger: LoadedModel, wait: int | None) -> dict[str, float]:
    """Return the metrics of forward chaining on the rows trained on whose labels came in time; none where the recipe
    can't be fitted to a part of them.
    """
    card, every = challenger.card, -(-len(case.outcomes.train) // _CHAINED_ROWS)
    rows = case.outcomes.train[::every]
    classes = [] if card.task == "regression" else challenger.estimator.classes_.tolist()
    y, _ = targets(card.task, classes, [row.label for row in rows])
    times = np.array([row.event_time for row in rows], dtype=np.int64)
    try:
        said, honest = forward_answers(
            challenger.estimator,
            model=card.model,
            task=card.task,
            columns=tuple(card.columns),
            X=case.train[::every],
            y=y,
            times=times,
        )
    except TrainerError:
        return {}
    delays = np.array([row.label_time - row.event_time for row in rows], dtype=np.int64)
    in_time = honest if wait is None else honest & (delays <= wait)
    told = np.flatnonzero(in_time).tolist()
    if not told:
        return {}
    kept = Answers([said.predictions[i] for i in told], said.probabilities[told], said.classes)
    return metrics(card.task, kept, [rows[i].label for i in told])


def accepted_reference(case: Case, version: str, skew: Skew, effective_from: int) -> tuple[Reference, list[SampleRow]]:
    """The last weeks as they were: twice the holdout, so that one odd week does not make the norm.

    Accepting drift is about what comes in. What the champion is expected to achieve stays: a loss that has grown is
    tried against again.
    """
    spans = case.outcomes.spans
    since = spans.holdout_end - 2 * (spans.holdout_end - spans.holdout_start)
    recent = [i for i, row in enumerate(case.outcomes.train) if row.event_time >= since]
    rows = [*(case.outcomes.train[i] for i in recent), *case.outcomes.held_out]
    said = answers(case.champion.estimator, case.reference.task, np.concatenate([case.train[recent], case.held_out]))
    fresh = np.array([row.event_time >= case.champion.card.trained_until for row in rows], dtype=np.bool_)
    reference = turned_reference(
        case.reference,
        case.model_settings,
        Evidence(rows, fresh, said),
        version=version,
        origin="accepted",
        effective_from=effective_from,
        importance=case.reference.importance,
        own_predictions=skew.own_predictions,
    )
    return seal(msgspec.structs.replace(reference, performance=case.reference.performance)), sample_of(rows, said)


def _importance(case: Case, challenger: LoadedModel) -> dict[str, float]:
    """Return what the user says the features weigh, else what they weigh for the challenger on the rows held out."""
    if case.model_settings.importance:
        return case.model_settings.importance
    return importance_of(challenger.estimator, case.reference.task, tuple(challenger.card.columns), case.held_out, case.labels)
