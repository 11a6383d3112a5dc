"""A reference as `driftline reference build` makes it: of a file, or of a stretch of the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from driftline.cli.building import built, published
from driftline.cli.columns import ColumnNames, ReferenceRows, read_rows
from driftline.cli.logged import Asked, counted, read_log
from driftline.cli.output import say
from driftline.contracts.errors import SettingsError
from driftline.contracts.pii import rule_of
from driftline.contracts.reference import ANY_VERSION, Reference
from driftline.store import detection
from driftline.streams.pii import pii_secret

if TYPE_CHECKING:
    from driftline.cli.state import State

#: Seconds between two words about how far a long read has come.
_TELL_S = 5.0


@dataclass(frozen=True)
class Build:
    """What is asked for; ``holds_from`` None: as it comes of the rows; ``features`` empty: all."""

    model: str
    version: str
    task: str
    holds_from: int | None
    features: Sequence[str] = ()


def from_file(state: State, wanted: Build, file: Path, names: ColumnNames) -> tuple[ReferenceRows, Reference]:
    """Return the rows of a file, and their reference without plain values of personal features. Raises DriftlineError, with the line."""
    own = state.settings.model(wanted.model)
    rows = read_rows(file, names, own.features)
    holds_from = wanted.holds_from if wanted.holds_from is not None else max(rows.times) + 1
    plain, personal = published(rows, own, pii_secret(state.settings), wanted.features)
    if personal:
        why = "the settings (pii) do not keep them as they are; --feature has those that are not to be dropped, as they are published"
        say(f"note: {', '.join(personal)} left out, for {why}")
    return rows, built(plain, own, model=wanted.model, version=wanted.version, task=wanted.task, holds_from=holds_from)


def from_stream(state: State, wanted: Build, stretch: tuple[int, int], *, most: int, labels: bool) -> tuple[ReferenceRows, Reference]:
    """Return the rows of a stretch of the log and their reference; what was left out of it is told. Raises DriftlineError where there is nothing."""
    own = state.settings.model(wanted.model)
    version = None if wanted.version == ANY_VERSION else wanted.version
    found = read_log(state.settings, Asked(wanted.model, version, *stretch, most, labels), _Teller())
    rows = found.rows
    if wanted.features:
        absent = [name for name in wanted.features if name not in rows.features]
        if absent:
            raise SettingsError("--feature", ", ".join(absent), f"features of {wanted.model}'s events: {', '.join(rows.features)}")
        rows = replace(rows, features={name: rows.features[name] for name in wanted.features})
    elif personal := [name for name in rows.features if rule_of(own.pii, name) != "keep"]:
        # A reference holds plain values. Nobody has put these into a file for it: as of one that is learned, they are left out.
        rows = replace(rows, features={name: values for name, values in rows.features.items() if name not in personal})
        say(f"note: {', '.join(personal)} left out, for the settings (pii) do not keep them as they are; --feature has them all the same")
    if found.sampled:
        say(f"note: {found.events:,} events are more than --rows {most:,}: {len(rows.times):,} of them, chosen by the hash of their ids")
    elif found.events > len(rows.times):
        say(f"note: {found.events - len(rows.times):,} events came again under an id that was there already, and count once")
    if found.rejected:
        say(f"note: of what was read {sum(found.rejected.values()):,} records, or rows of columnar ones, can't be used: {counted(found.rejected)}")
    holds_from = wanted.holds_from if wanted.holds_from is not None else _after(state, wanted.model, max(rows.times) + 1)
    # Where none is left out, they are all events of their time, whatever the settings say of files: what was repeated was counted live, too.
    reference = built(
        rows,
        own,
        model=wanted.model,
        version=wanted.version,
        task=wanted.task,
        holds_from=holds_from,
        label_delays=found.delays if labels else None,
        all_events=not found.sampled,
    )
    return rows, reference


def _after(state: State, model: str, at: int) -> int:
    """Return the event time after everything that has been watched: what was summarised keeps the reference that it met, and replays agree."""
    from driftline.retrain.references import effective_after

    read = [position.watermark for position in detection.positions(state.engine)]
    return effective_after(state.engine, max(at, *read), state.settings.model(model), state.settings.worker) if read else at


class _Teller:
    """Tells how far a long read has come, now and then."""

    def __init__(self) -> None:
        self._next = monotonic() + _TELL_S

    def __call__(self, done: int, whole: int, topic: str) -> None:
        if monotonic() >= self._next:
            self._next = monotonic() + _TELL_S
            say(f"{done:,} of {whole:,} offsets of {topic} read")
