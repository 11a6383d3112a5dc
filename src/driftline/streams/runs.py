"""A run of decoded records as rows: their times in one array, whatever held them; what they have in common; and which can't be used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.columnar_decoding import EventColumns
from driftline.contracts.errors import DecodeError
from driftline.contracts.typed_events import TypedEvent
from driftline.streams.records import Decoded, Part, Rejected, bare

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_AHEAD = DecodeError("event_time is more than a day ahead of the time at which the record was appended", code="time_ahead")
_BEHIND = DecodeError("event_time lies further back than panes are kept", code="time_behind")


class Group(NamedTuple):
    """Rows (by their places among all of a run's) that have model and version in common: JSON events, or those of one columnar record."""

    model: str
    version: str
    places: Ints
    columns: EventColumns | None


class Run(NamedTuple):
    """All rows of a run of records, in order: their times, which are flawed, and for each the place of its record; and where each record begins."""

    times: Ints
    appended: Ints
    flawed: Bools
    owners: Ints
    starts: Ints


def run_of(items: Decoded) -> Run:
    """Return the rows of decoded records, none of which is an error."""
    contents = items.contents
    appended = np.array([record.timestamp for record in bare(items.records)], np.int64)
    if EventColumns not in set(map(type, contents)):
        each = np.arange(len(contents))
        return Run(np.array([c.event_time for c in contents], np.int64), appended, np.zeros(len(each), np.bool_), each, each)  # type: ignore[union-attr]  # JSON events
    lengths = np.array([len(c) if isinstance(c, EventColumns) else 1 for c in contents], np.int64)
    owners = np.repeat(np.arange(len(contents)), lengths)
    starts = np.cumsum(lengths) - lengths
    times = [c.times if isinstance(c, EventColumns) else np.array([c.event_time], np.int64) for c in contents]  # type: ignore[union-attr]
    flawed = [c.flawed if isinstance(c, EventColumns) else np.zeros(1, np.bool_) for c in contents]
    return Run(np.concatenate(times), appended[owners], np.concatenate(flawed), owners, starts)


def groups_of(items: Decoded, run: Run, fit: Bools) -> Iterator[Group]:
    """Yield the rows that have model and version in common, leaving out those that are not ``fit``."""
    contents = items.contents
    kinds = set(map(type, contents))
    whole = bool(fit.all())
    if len(kinds) == 1 and issubclass(next(iter(kinds)), TypedEvent):
        versions = {c.version for c in contents}  # type: ignore[union-attr]
        if len(versions) == 1:
            yield Group(contents[0].model, versions.pop(), run.owners if whole else np.flatnonzero(fit), None)  # type: ignore[union-attr]
            return
    groups: dict[tuple[str, str, type], list[int]] = {}
    for i, content in enumerate(contents):
        if isinstance(content, DecodeError):
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
