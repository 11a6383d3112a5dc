"""How a producer writes the events of a model: the bytes that all its events have in common, and where between them the values stand.

A service writes each event by the same code: names, their order, and the spaces are the same in all of them. Such a template is learned from one
event that was read in full; what else has exactly its bytes differs from that event in its values only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple

import msgspec

from driftline.contracts.typed_events import CATEGORY, PREDICTION, Class, Name, Shape


class Kind(IntEnum):
    """What may stand in a slot."""

    #: A number, or null.
    NUMBER = 0
    #: Milliseconds since 1970 in digits, or RFC 3339 text.
    TIME = 1
    #: The event's id: a plain string, which has ASCII alone and nothing that is written with a backslash.
    ID = 2
    #: Few different values, by their bytes.
    TOKEN = 3
    #: What nobody reads: a number, a plain string, a truth value or null.
    SKIPPED = 4


class Slot(NamedTuple):
    """A place for a value: where it belongs (``("features", "amount")``), what it may be and, of a token, what it has to decode as."""

    path: tuple[str, ...]
    kind: Kind
    type: Any = None


@dataclass(frozen=True)
class Template:
    """One more literal than there are slots: what stands before each, and after the last."""

    model: str
    shape: Shape | None
    literals: tuple[bytes, ...]
    slots: tuple[Slot, ...]

    def of(self, kind: Kind) -> list[Slot]:
        """Return the slots of a kind, in order."""
        return [slot for slot in self.slots if slot.kind == kind]


class _Scalar(NamedTuple):
    path: tuple[str, ...]
    start: int
    end: int


_SPACE: Final = rb"[ \t\n\r]*"
_STRING: Final = rb'"[^"\\]*"'
_MEMBER: Final = re.compile(rb"%b(%b)%b:%b" % (_SPACE, _STRING, _SPACE, _SPACE))
_SCALAR: Final = re.compile(rb"%b|-?[0-9][0-9.eE+-]*|true|false|null" % _STRING)
_AFTER: Final = re.compile(rb"%b([,}])" % _SPACE)
_CLOSED: Final = re.compile(rb"%b\}" % _SPACE)
_DEEPEST: Final = 8
#: More values than a model has features and an event fields: no template.
_MOST: Final = 4_096
_TIME: Final = re.compile(rb'[0-9]{1,15}|"[0-9]{4}-[^"]{16,30}"')
_FIELDS: Final = {("event_id",): (Kind.ID, None), ("version",): (Kind.TOKEN, Name), ("score",): (Kind.NUMBER, None)}


class _NoTemplate(Exception):  # it is an answer
    """The event has something that differs from event to event in more than its values."""


def template_of(raw: bytes, model: str, shape: Shape | None) -> Template | None:
    """Return the template of an event that was read as ``shape`` says (None: its features are not read); None where it has none.

    >>> found = template_of(b'{"event_id": "a", "model": "m", "event_time": 1362114900000, "features": {"x": 7}}', "m", Shape(("x",), ()))
    >>> found.literals
    (b'{"event_id": ', b', "model": "m", "event_time": ', b', "features": {"x": ', b'}}')
    >>> [slot.kind.name for slot in found.slots]
    ['ID', 'TIME', 'NUMBER']
    """
    if b"\\" in raw:
        return None
    try:
        found = list(_scalars(raw))
        slots = [_slot(one.path, raw[one.start : one.end], shape) for one in found]
    except (_NoTemplate, msgspec.MsgspecError, UnicodeDecodeError):  # msgspec does not look at names that it does not know
        return None
    paths = [one.path for one in found]
    if len(set(paths)) != len(paths) or ("event_id",) not in paths or ("event_time",) not in paths:
        return None
    if shape is not None and {path[1] for path in paths if path[0] == "features"} != {*shape.numeric, *shape.categorical}:
        return None
    literals, kept, at = [], [], 0
    for one, slot in zip(found, slots, strict=True):
        if slot is not None:
            literals.append(raw[at : one.start])
            kept.append(slot)
            at = one.end
    return Template(model, shape, (*literals, raw[at:]), tuple(kept))


def _scalars(raw: bytes) -> Iterator[_Scalar]:
    """Yield each value of an event that is neither object nor list: the event is JSON, and an object."""
    path: list[str] = []
    p = raw.index(b"{") + 1
    n = 0
    while True:
        member = _MEMBER.match(raw, p)
        if member is None:
            raise _NoTemplate
        name = msgspec.json.decode(member[1], type=str)
        p = member.end()
        opens = raw[p : p + 1] == b"{"
        empty = _CLOSED.match(raw, p + 1) if opens else None
        if opens and empty is None:
            path.append(name)
            p += 1
            if len(path) > _DEEPEST:
                raise _NoTemplate
            continue
        if empty is not None:
            p = empty.end()
        else:
            value = _SCALAR.match(raw, p)
            n += 1
            if value is None or n > _MOST:
                raise _NoTemplate
            yield _Scalar((*path, name), p, value.end())
            p = value.end()
        while (after := _AFTER.match(raw, p)) is not None and after[1] == b"}":
            p = after.end()
            if not path:
                return
            path.pop()
        if after is None:
            raise _NoTemplate
        p = after.end()


def _slot(path: tuple[str, ...], value: bytes, shape: Shape | None) -> Slot | None:
    """Return the slot of a value; None where it stands in all events as it does in this one."""
    if path == ("model",) or (value == b"null" and path in {("slice",), ("probabilities",)}):
        return None
    if path[0] == "features":
        return _feature_slot(path, shape)
    if path in _FIELDS or (path == ("event_time",) and _TIME.fullmatch(value)):
        return Slot(path, *_FIELDS.get(path, (Kind.TIME, None)))
    if path == ("prediction",):
        return Slot(path, Kind.NUMBER) if value[0] in b"-0123456789" else Slot(path, Kind.TOKEN, PREDICTION)
    if path[0] == "slice" and len(path) == 2:
        return Slot(path, Kind.TOKEN, Class)
    if path[0] in {"event_time", "probabilities", "slice"}:
        raise _NoTemplate
    return Slot(path, Kind.SKIPPED)


def _feature_slot(path: tuple[str, ...], shape: Shape | None) -> Slot:
    if len(path) == 1 or (shape is not None and len(path) > 2):
        raise _NoTemplate
    if shape is None:
        return Slot(path, Kind.SKIPPED)
    return Slot(path, Kind.NUMBER) if path[1] in shape.numeric else Slot(path, Kind.TOKEN, CATEGORY)
