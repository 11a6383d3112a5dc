"""Where each model stands, in one row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from driftline.cli.arguments import known_models
from driftline.cli.beside import Together, together

if TYPE_CHECKING:
    from sqlalchemy import Engine


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A model: who serves, against what it is measured, and what its last closed window said. Times are epoch ms of event time."""

    model: str
    version: str | None
    sequence: int | None
    reference_id: str | None
    reference_origin: str | None
    reference_since: int | None
    state: str
    window_end: int | None
    n: int | None
    evidence: float | None
    budget: float | None
    open_episodes: int
    open_triggers: int
    learning_rows: int
    #: What all columns together showed of late, against the reference.
    together: Together | None = None


def overview(engine: Engine) -> list[ModelStatus]:
    """Return the status of each model."""
    return [_status(engine, model) for model in known_models(engine)]


def _status(engine: Engine, model: str) -> ModelStatus:
    from driftline.store import detection, episodes, findings, references, triggers, versions
    from driftline.streams.detect.state import decode_state

    champion = versions.current(engine, model)
    known = references.for_model(engine, model)
    reference = next((r for r in known if champion is not None and r.reference_id == champion.reference_id), known[-1] if known else None)
    last = findings.latest(engine, model)
    raw = detection.stored_states(engine, model).get(model)
    remembered = decode_state(raw) if raw is not None else None
    track = remembered.tracks.get(reference.reference_id) if remembered is not None and reference is not None else None
    return ModelStatus(
        model=model,
        version=champion.version if champion else None,
        sequence=champion.sequence if champion else None,
        reference_id=reference.reference_id if reference else None,
        reference_origin=reference.origin if reference else None,
        reference_since=reference.effective_from if reference else None,
        state=last.state if last else "learning" if reference is None else "insufficient_data",
        window_end=last.window_end if last else None,
        n=last.n if last else None,
        evidence=last.evidence if last else None,
        budget=last.budget if last else None,
        open_episodes=len(episodes.history(engine, model, open_only=True, limit=1_000)),
        open_triggers=len(triggers.open_triggers(engine, model)),
        learning_rows=remembered.learning_rows if remembered is not None else 0,
        together=together(track),
    )
