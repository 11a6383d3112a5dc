"""A run of decoded records as rows: their times in one array, whatever held them; what they have in common; and which can't be used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.alike_events import AlikeEvents
from driftline.contracts.columnar_decoding import EventColumns
from driftline.contracts.errors import DecodeError
from driftline.contracts.typed_events import TypedEvent
from driftline.streams.records import Decoded, Part, Rejected, bare, timestamps

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_AHEAD = DecodeError("event_time is more than a day ahead of the time at which the record was appended", code="time_ahead")
_BEHIND = DecodeError("event_time lies further back than panes are kept", code="time_behind")


class Group(NamedTuple):
    """Rows (by their places among all of a run's) that have model and version in common: JSON events, or those of ``columns``."""

    model: str
    version: str
    places: Ints
    columns: EventColumns | AlikeEvents | None


class Run(NamedTuple):
    """All rows of a run of records, in order: their times, which are flawed, and for each the place of its record; and where each record begins.

    ``inside`` says which row of what held it each one is.
    """

    times: Ints
    inside: Ints
    appended: Ints
    flawed: Bools
    owners: Ints
    starts: Ints


def run_of(items: Decoded) -> Run:
    """Return the rows of decoded records, none of which is an error."""
    contents = items.contents
    appended = timestamps(bare(items.records))
    if EventColumns not in items.kinds:
        each = np.arange(len(contents))
        return Run(*_one_by_one(items), appended, np.zeros(len(each), np.bool_), each, each)
    lengths = np.array([len(c) if isinstance(c, EventColumns) else 1 for c in contents], np.int64)
    owners = np.repeat(np.arange(len(contents)), lengths)
    starts = np.cumsum(lengths) - lengths
    inside, times, flawed = np.arange(len(owners)) - starts[owners], np.empty(len(owners), np.int64), np.zeros(len(owners), np.bool_)
    single = [i for i, c in enumerate(contents) if not isinstance(c, EventColumns)]
    times[starts[single]], inside[starts[single]] = _one_by_one(items.chosen(single))
    for start, content in zip(starts.tolist(), contents, strict=True):
        if isinstance(content, EventColumns):
            times[start : start + len(content)] = content.times
            flawed[start : start + len(content)] = content.flawed
    return Run(times, inside, appended[owners], flawed, owners, starts)


def _one_by_one(items: Decoded) -> tuple[Ints, Ints]:
    """Return the times of records of one event each, and which row of its ``AlikeEvents`` each is (0 of others)."""
    times, inside = np.empty(len(items), np.int64), np.zeros(len(items), np.int64)
    for events, index in items.alike():
        inside[index] = events.rows(items.stood[index])
        times[index] = events.times[inside[index]]
    if items.kinds != {AlikeEvents}:
        single = [i for i, c in enumerate(items.contents) if not isinstance(c, AlikeEvents)]
        times[single] = [items.contents[i].event_time for i in single]  # type: ignore[union-attr]  # JSON events
    return times, inside


def groups_of(items: Decoded, run: Run, fit: Bools) -> Iterator[Group]:
    """Yield the rows that have model and version in common, leaving out those that are not ``fit``."""
    contents = items.contents
    kinds = items.kinds
    whole = bool(fit.all())
    for events, index in items.alike():
        places = run.starts[index]
        for number, version in enumerate(events.versions):
            of_version = events.version_codes[run.inside[places]] == number
            yield Group(events.model, version, places[of_version & fit[places]], events)
    if kinds == {AlikeEvents}:
        return
    if len(kinds) == 1 and issubclass(next(iter(kinds)), TypedEvent):
        versions = {c.version for c in contents}  # type: ignore[union-attr]
        if len(versions) == 1:
            yield Group(contents[0].model, versions.pop(), run.owners if whole else np.flatnonzero(fit), None)  # type: ignore[union-attr]
            return
    groups: dict[tuple[str, str, type], list[int]] = {}
    for i, content in enumerate(contents):
        if isinstance(content, DecodeError | AlikeEvents):
            continue
        if isinstance(content, EventColumns):
            start = int(run.starts[i])
            index = np.arange(start, start + len(content))
            yield Group(content.model, content.version, index if whole else index[fit[index]], content)
        elif fit[run.starts[i]]:
            groups.setdefault((content.model, content.version, type(content)), []).append(int(run.starts[i]))
    for (model, version, _), members in groups.items():
        yield Group(model, version, np.array(members, np.int64), None)


def unfit_records(items: Decoded, run: Run, ahead: Bools, unfit: Bools) -> Iterator[Rejected]:
    """Yield the records that hold rows which can't be used: each once, of a columnar record the refused rows alone."""
    for i in np.unique(run.owners[unfit]).tolist():
        record, content = items.records[i], items.contents[i]
        start = int(run.starts[i])
        if not isinstance(content, EventColumns):
            yield Rejected(record, _AHEAD if ahead[start] else _BEHIND)
            continue
        refused = np.flatnonzero(unfit[start : start + len(content)])
        first = int(refused[0])
        error = content.flaw if content.flaw is not None else _AHEAD if ahead[start + first] else _BEHIND
        told = DecodeError(f"{len(refused)} of {len(content)} rows: {error.reason}", code=error.code)
        yield Rejected(record if len(refused) == len(content) else Part.of(record, content.encoded(refused)), told)
