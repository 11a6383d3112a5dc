"""A stretch of the log as rows of a reference: events from `inference-events`, and what became of them from `label-events`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from driftline.cli.columns import ReferenceRows
from driftline.cli.past import Past
from driftline.contracts.errors import DriftlineError
from driftline.contracts.settings import Settings
from driftline.contracts.summaries import SampleRow
from driftline.contracts.times import format_time, parse_duration
from driftline.contracts.topics import INFERENCE_EVENTS, LABEL_EVENTS, Topic
from driftline.store.outcome_rows import Halves, halves_of, label_of, merge
from driftline.streams.joining import read_labels
from driftline.streams.logged import LoggedRows, feature_names
from driftline.streams.reading import FAR_AHEAD
from driftline.streams.references import ReferenceBook
from driftline.streams.summarising import reader_of

if TYPE_CHECKING:
    from driftline.streams.records import Record

#: Called with how many offsets of how many have been read, and of which topic.
Progress = Callable[[int, int, str], None]

_SHOWN = 12


@dataclass(frozen=True)
class Asked:
    """Which events: of a model (of one version, or of all) from ``since`` to before ``until`` (ms of event time), ``most`` of them."""

    model: str
    version: str | None
    since: int
    until: int
    most: int
    labels: bool = True


@dataclass(frozen=True)
class FromLog:
    """Rows by event time, and how long each label took (ms; 0 beside a row without one). ``events`` fitted, repeats among them; ``rejected`` records,
    or rows of columnar ones, could not be used, by code.
    """

    rows: ReferenceRows
    delays: list[int]
    events: int
    sampled: bool
    rejected: Counter[str]


def read_log(settings: Settings, asked: Asked, progress: Progress) -> FromLog:
    """Return the rows of a stretch of the log, each event once. Raises DriftlineError where it holds none, SetupError without a broker.

    Nothing that belongs to the stretch is left out for when it came: live takes no event from further ahead than the allowed skew and a day, so that
    what was made before ``since`` by more than that need not be read; and an event may be as late as it likes, so that all the rest is.
    """
    kept = LoggedRows(asked.model, asked.since, asked.until, asked.version, asked.most)
    margin = parse_duration(settings.worker.allowed_skew) + FAR_AHEAD
    with closing(Past(settings.kafka, INFERENCE_EVENTS)) as past:
        starts, ends = past.at(asked.since - margin), past.ends()
        _read(kept, settings, past, starts, ends, progress)
        if not kept.events:
            _read(kept, settings, past, past.begins, starts, progress)  # only to say what there is instead
            raise _nothing(kept)
    rows = kept.rows()
    labels: dict[str, Halves] = {}
    if asked.labels:
        with closing(Past(settings.kafka, LABEL_EVENTS)) as past:
            labels = _labels(rows, settings, asked.model, past, past.at(asked.since - margin), progress, kept.rejected)
    own = settings.model(asked.model)
    told = [label_of(labels.get(row.event_id)) for row in rows]
    predictions, scores = [row.prediction for row in rows], [row.score for row in rows]
    return FromLog(
        ReferenceRows(
            times=[row.event_time for row in rows],
            features={name: [row.features.get(name) for row in rows] for name in feature_names(rows, own.features)},
            labels=[label for label, _ in told] if asked.labels else None,
            scores=list(scores) if any(score is not None for score in scores) else None,
            predictions=list(predictions) if any(one is not None for one in predictions) else None,
        ),
        [0 if label is None else at - row.event_time for row, (label, at) in zip(rows, told, strict=True)],
        kept.events,
        kept.sampled,
        kept.rejected,
    )


def _read(  # noqa: PLR0917 - one caller's local names
    kept: LoggedRows, settings: Settings, past: Past, starts: dict[int, int], ends: dict[int, int], progress: Progress
) -> None:
    """Read events as summarise does, but for references: nobody's columns are known yet."""
    reader, watermark, of = reader_of(settings, ReferenceBook()), 0, -1
    for partition, records in _told(past, starts, ends, progress, INFERENCE_EVENTS):
        watermark, of = (watermark if partition == of else 0), partition
        for piece in reader.pieces(records):
            found, rejected, watermark, _ = reader.read(piece, watermark)
            kept.take(found, rejected)


def _labels(  # noqa: PLR0917 - one caller's local names
    rows: list[SampleRow], settings: Settings, model: str, past: Past, starts: dict[int, int], progress: Progress, rejected: Counter[str]
) -> dict[str, Halves]:
    """Return the latest label of each row, as the join has it."""
    wanted = {row.event_id for row in rows}
    own = msgspec.structs.replace(settings.model(model), outcome_sample=1.0)
    settings = msgspec.structs.replace(settings, models={**settings.models, model: own})
    found: dict[str, Halves] = {}
    for _, records in _told(past, starts, past.ends(), progress, LABEL_EVENTS):
        poll = read_labels(records, settings)
        rejected.update(one.error.code for one in poll.rejected)
        for label in poll.labels:
            if label.model == model and label.event_id in wanted:
                news, known = halves_of(label), found.get(label.event_id)
                found[label.event_id] = news if known is None else merge(known, news)
    return found


def _told(past: Past, starts: dict[int, int], ends: dict[int, int], progress: Progress, topic: Topic) -> Iterator[tuple[int, list[Record]]]:
    whole, done = sum(max(ends[p] - start, 0) for p, start in starts.items()), 0
    for partition, gone_on, records in past.between(starts, ends):
        yield partition, records
        done += gone_on
        progress(done, whole, topic.name)


def _nothing(kept: LoggedRows) -> DriftlineError:
    """Say what the log holds instead."""
    asked = f"the log holds no events of {kept.model}{'' if kept.version is None else f' {kept.version}'}"
    own, unread = kept.models.get(kept.model), sum(kept.rejected.values())
    also = f"; {unread:,} records can't be used ({counted(kept.rejected)})" if unread else ""
    if own is None:
        others = sorted(kept.models, key=lambda name: -kept.models[name].events)
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        return DriftlineError(f"{asked} at all; it holds events of: {', '.join(others[:_SHOWN]) or 'no model'}{more}{also}")
    where = f"{asked} from {format_time(kept.since)} to {format_time(kept.until)}"
    if kept.versions:
        return DriftlineError(f"{where}; there it holds versions {', '.join(sorted(kept.versions)[:_SHOWN])}{also}")
    return DriftlineError(f"{where}; it holds {own.events:,} of {kept.model}, from {format_time(own.first)} to {format_time(own.last)}{also}")


def counted(codes: Counter[str]) -> str:
    """Return what could not be used, by code, in words."""
    return ", ".join(f"{code} {n:,}" for code, n in codes.most_common())
