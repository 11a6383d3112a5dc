"""A person accepts a drift: the same new reference that a refused challenger leaves behind, as a turn of its own."""

from __future__ import annotations

from sqlalchemy import Engine

from driftline.contracts.errors import DriftlineError
from driftline.contracts.findings import ModelVersion, RetrainTrigger
from driftline.contracts.ids import stable_id
from driftline.contracts.settings import Settings
from driftline.contracts.times import format_time
from driftline.retrain.attempt import accepted_reference
from driftline.retrain.case import gathered
from driftline.retrain.models import answers
from driftline.retrain.promotion import Turn, headers_of, version_of
from driftline.retrain.references import effective_after
from driftline.retrain.skew import skew_of
from driftline.store import detection, references, versions
from driftline.store.transactions import writing


def accept_drift(engine: Engine, settings: Settings, model: str) -> ModelVersion:
    """Install a reference made of the champion's recent ripe outcomes, and return the turn, which waits in the outbox to be published.

    Raises:
        DriftlineError: no champion, nothing read yet, or no ripe outcomes in the holdout.
        StaleState: the champion turned meanwhile; nothing is written.
    """
    champion = versions.current(engine, model)
    if champion is None:
        raise DriftlineError(
            f"{model} has no registered champion whose reference could be replaced; `driftline reference build` makes one from a file"
        )
    at = max((position.watermark for position in detection.positions(engine)), default=0)
    # What is ripe is asked as of the watermark, as a trigger decided there would.
    asked = RetrainTrigger(
        trigger_id=stable_id("accept", model, champion.sequence), model=model, version=champion.version, reason="manual", at=at, sentence=""
    )
    case = gathered(engine, settings, asked, champion)
    held_out = case.outcomes.held_out
    least = settings.model(model).policy.min_labelled
    if len(held_out) < least:
        raise DriftlineError(
            f"{model} has {len(held_out):,} ripe outcomes in its last {settings.model(model).policy.holdout}; at least {least:,} are needed"
        )
    skew = skew_of(held_out, answers(case.champion.estimator, case.reference.task, case.held_out), champion.version)
    effective = effective_after(engine, at, settings.model(model), settings.worker)
    reference, sample = accepted_reference(case, champion.version, skew, effective)
    sentence = f"The drift of {model} is accepted by hand: from {format_time(effective)} on, the last weeks are the champion's reference."
    turn = Turn("drift_accepted", sentence, reference=reference, sample=sample)
    version = version_of(champion, turn, None)
    with writing(engine) as conn:
        references.put(conn, reference, sample)
        versions.promote(conn, version, champion.sequence, headers_of(version))
    return version
