"""A model's log replayed: with the settings that are in force the same has to come of it as live; with others, what would have come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from driftline.cli.past import Past
from driftline.contracts.errors import DriftlineError
from driftline.contracts.findings import Alert, Finding, PaneClosing, RetrainTrigger
from driftline.contracts.settings import Settings
from driftline.contracts.topics import INFERENCE_EVENTS, LABEL_EVENTS
from driftline.store import admissions, block_cuts, closings, detection, episodes, findings, references, triggers
from driftline.store.database import migrate, open_database
from driftline.store.transactions import reading
from driftline.streams.detect.clock import FEATURE_SOURCES, JOIN_LABELS, OUTCOME_SOURCES, PREDICTION_SOURCES, SUMMARISE, SourceClock
from driftline.streams.replaying import Replay, Step, steps_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_ALL = 1 << 40
#: How often a window was told of depends on when late rows came and checkpoints were made; all else has to be equal.
_FREE = {"revision"}


class Said(msgspec.Struct, frozen=True):
    """What was said of a model, by id."""

    closings: dict[str, PaneClosing]
    findings: dict[str, Finding]
    alerts: dict[str, Alert]
    triggers: dict[str, RetrainTrigger]


#: The event time of each of them.
_AT: tuple[Callable[[Any], int], ...] = (lambda c: c.end, lambda f: f.window_end, lambda a: a.at, lambda t: t.at)


def _parts(said: Said) -> tuple[dict[str, Any], ...]:
    return said.closings, said.findings, said.alerts, said.triggers


class Difference(msgspec.Struct, frozen=True):
    """Where a replay and live part: ``fields`` differ; none: only one of them has it."""

    what: str
    id: str
    at: int
    fields: tuple[str, ...]
    live: Any
    replay: Any


class Live(msgspec.Struct, frozen=True):
    """What is known of the life of a model: what was said, and the moments at which panes closed."""

    said: Said
    steps: list[Step]
    config_hashes: set[str]


def live_of(engine: Engine, model: str) -> Live:
    """Return what live said of a model, all of one moment. Raises DriftlineError where its closings can't be followed."""
    with reading(engine) as conn:
        said = said_of(conn, model)
        last = _now(conn, model)
    if not said.closings or last is None:
        raise DriftlineError(f"no pane of {model} has closed yet: there is nothing to replay")
    old = [c for c in said.closings.values() if not any(c.marks)]
    if old:
        raise DriftlineError(f"{len(old):,} panes of {model} were closed by a version that did not log how far time had come: no replay can follow")
    steps = steps_of(said.closings.values())
    final = Step(last.read, tuple(map(max, last.marks, steps[-1].marks)), last.labels_idle, last.positions, last.joined, last.passed)  # type: ignore[arg-type]  # four of them
    return Live(said, [*steps, final], {f.config_hash for f in said.findings.values()})


def said_of(target: Engine | Connection, model: str) -> Said:
    """Return what a store holds of a model; triggers that people gave are nobody's finding."""
    return Said(
        {c.closing_id: c for c in closings.history(target, model, limit=_ALL)},
        {f.finding_id: f for f in findings.history(target, model, limit=_ALL)},
        {a.alert_id: a for a in episodes.alerts(target, model=model, limit=_ALL)},
        {row.trigger.trigger_id: row.trigger for row in triggers.history(target, model, limit=_ALL) if row.trigger.reason != "manual"},
    )


def replayed(live: Engine, settings: Settings, model: str, steps: list[Step], *, whole: bool, progress: Callable[[int, int], None]) -> Said:
    """Return what comes of a model's log, read as far at each step as it was read live. Raises DriftlineError where it is not ``whole`` any more."""
    with TemporaryDirectory(prefix="driftline-backtest-") as folder, _store(Path(folder)) as engine, _logs(settings) as (events, predictions, labels):
        _check_whole([events, labels], whole=whole)
        for reference in references.for_model(live, model):
            if reference.origin != "learned":  # that one the replay has to learn itself
                references.put(engine, reference, references.sample_rows(live, reference.reference_id))
        cuts = [block_cuts.of_read(live, p, settings.worker.block_size) for p in range(events.partitions)]
        replay = Replay(engine, settings, model, cuts, partial(admissions.admitted, live))
        joins = {INFERENCE_EVENTS.name: predictions, LABEL_EVENTS.name: labels}
        for done, step in enumerate(steps):
            progress(done, len(steps))
            for partition, position in step.positions:
                replay.read(partition, events.until(partition, position))
            for name, position in step.joined:
                topic, _, partition_text = name.rpartition("/")
                replay.join(topic, int(partition_text), joins[topic].until(int(partition_text), position), position)
            replay.close(step)
        replay.finish()
        return said_of(engine, model)


def within(said: Said, since: int, until: int) -> Said:
    """Return what was said of event times from ``since`` to before ``until`` (epoch ms)."""
    return Said(*({name: one for name, one in part.items() if since <= at(one) < until} for part, at in zip(_parts(said), _AT, strict=True)))


def differences(live: Said, replay: Said) -> list[Difference]:
    """Return where they differ, the earliest first."""
    frees = ({"positions", "joined", "marks", "watermark", "by", "labels_idle"}, _FREE, set[str](), set[str]())
    of = zip(("closing", "finding", "alert", "trigger"), _parts(live), _parts(replay), _AT, frees, strict=True)
    found = [difference for one in of for difference in _of(*one)]
    return sorted(found, key=lambda d: (d.at, d.what, d.id))


def _of(what: str, live: dict[str, Any], replay: dict[str, Any], at: Callable[[Any], int], free: set[str]) -> Iterator[Difference]:
    for name in live.keys() | replay.keys():
        one, other = live.get(name), replay.get(name)
        if one is None or other is None:
            yield Difference(what, name, at(one if one is not None else other), (), one, other)
            continue
        fields = tuple(f for f in one.__struct_fields__ if f not in free and getattr(one, f) != getattr(other, f))
        if fields:
            yield Difference(what, name, at(one), fields, {f: getattr(one, f) for f in fields}, {f: getattr(other, f) for f in fields})


def _now(conn: Connection, model: str) -> Step | None:
    """Return how far live is now."""
    for held in detection.positions(conn):
        image = detection.load(conn, held.q)
        if model not in image.model_states:
            continue
        clock = SourceClock(image.sources)
        positions = clock.positions()
        for block in image.blocks:
            if block.model == model:
                positions[str(block.partition)] = max(block.next, positions.get(str(block.partition), 0))
        joined = {f"{t.name}/{p}": at for t in (INFERENCE_EVENTS, LABEL_EVENTS) for p, at in clock.positions(f"join/{t.name}").items()}
        for applied in image.applied:
            if applied.model == model:
                name = f"{applied.source}/{applied.partition}"
                joined[name] = max(applied.sequence, joined.get(name, 0))
        marks = (
            max(image.watermark, clock.watermark(FEATURE_SOURCES)[0]),
            clock.watermark(OUTCOME_SOURCES)[0],
            clock.watermark(PREDICTION_SOURCES)[0],
            clock.newest(),
        )
        return Step.at(positions, joined, marks, labels_idle=clock.idle(JOIN_LABELS), passed=clock.passed(SUMMARISE))
    return None


def _check_whole(logs: list[Past], *, whole: bool) -> None:
    cut = {f"{log.name}[{p}]": begin for log in logs for p, begin in log.begins.items() if begin}
    if cut and whole:
        named = ", ".join(f"{name} begins at offset {begin:,}" for name, begin in sorted(cut.items()))
        raise DriftlineError(f"the log is not whole any more, so that live can't be replayed from its beginning: {named} (the topics' retention)")


@contextmanager
def _store(folder: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{folder / 'backtest.db'}")
    try:
        migrate(engine)
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _logs(settings: Settings) -> Iterator[tuple[Past, Past, Past]]:
    opened: list[Past] = []
    try:
        opened.extend(Past(settings.kafka, topic) for topic in (INFERENCE_EVENTS, INFERENCE_EVENTS, LABEL_EVENTS))
        yield opened[0], opened[1], opened[2]
    finally:
        for past in opened:
            past.close()
