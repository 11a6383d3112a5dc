"""The end of a run: one transaction holds the reference, the champion's turn, the run and what is published of it, or
none of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from sqlalchemy import Engine

from driftline.contracts.cloudevents import cloud_event_headers
from driftline.contracts.findings import ModelVersion, TrialResult, VersionStatus
from driftline.contracts.ids import stable_id
from driftline.contracts.reference import Reference
from driftline.contracts.summaries import SampleRow
from driftline.contracts.times import format_time
from driftline.retrain.artifacts import Artifact
from driftline.store import references, runs, versions
from driftline.store.transactions import writing
from driftline.store.versions import Champion

RunEnd = Literal["promoted", "refused", "drift_accepted", "failed"]


@dataclass(frozen=True)
class Turn:
    """How a run ended. ``reference`` (with the rows kept for reports) is new to the store; ``artifact`` is the new
    champion's.
    """

    status: VersionStatus
    sentence: str
    challenger: str | None = None
    artifact: Artifact | None = None
    reference: Reference | None = None
    sample: Sequence[SampleRow] = field(default=())
    trial: TrialResult | None = None

    @property
    def run_end(self) -> RunEnd:
        """The run's status."""
        return "promoted" if self.status == "champion" else self.status


def version_of(champion: Champion, turn: Turn, trigger_id: str | None) -> ModelVersion:
    """Return what is published of a turn. It always names the champion's file: the topic is compacted, and a service
    may see this message alone.
    """
    promoted = turn.status == "champion"
    reference = turn.reference
    return ModelVersion(
        model=champion.model,
        sequence=champion.sequence + 1,
        status=turn.status,
        version=turn.challenger if promoted and turn.challenger else champion.version,
        previous_version=champion.version if promoted else None,
        challenger=turn.challenger,
        reference_id=reference.reference_id if reference else champion.reference_id,
        effective_from=reference.effective_from if reference else champion.effective_from,
        artifact=turn.artifact.name if promoted and turn.artifact else champion.artifact,
        sha256=turn.artifact.sha256 if promoted and turn.artifact else champion.sha256,
        trigger_id=trigger_id,
        trial=turn.trial,
        sentence=turn.sentence,
    )


def settle(engine: Engine, run: runs.Run, champion: Champion, turn: Turn, *, now: int) -> ModelVersion:
    """Write the end of a run and return what will be published.

    Raises:
        StaleState: the run was taken over or is settled, or the champion has turned meanwhile; nothing is written.
    """
    version = version_of(champion, turn, run.trigger_id)
    with writing(engine) as conn:
        runs.finish(conn, run, status=turn.run_end, now=now, detail=msgspec.json.encode(version))
        if turn.reference is not None:
            references.put(conn, turn.reference, turn.sample)
        versions.promote(conn, version, champion.sequence, headers_of(version))
    return version


def headers_of(version: ModelVersion) -> list[tuple[str, bytes]]:
    """Return the headers of a CloudEvent in binary mode; the id depends on model and sequence alone."""
    identity = stable_id("model-version", version.model, version.sequence)
    return cloud_event_headers(event_id=identity, kind="ModelVersion", model=version.model, time=version.effective_from)


def next_version(champion: Champion, taken: Collection[str]) -> str:
    """Return the challenger's name: the number of its turn, made unlike any name the model has had. A run that is
    repeated gets the same.
    """
    number = str(champion.sequence + 1)
    name, again = number, 1
    while name in taken:
        again += 1
        name = f"{number}-{again}"
    return name


def refusal(trial: TrialResult, reference: Reference | None) -> str:
    """Return the sentence for a challenger that lost."""
    if reference is None:
        return f"{trial.sentence} The champion stays."
    since = format_time(reference.effective_from)
    return f"{trial.sentence} The drift is accepted: from {since} on, the last weeks are the champion's reference."
