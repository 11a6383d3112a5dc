"""Dead letters: the original key, value and headers untouched, the reason beside them in headers that Kafka Connect's tools know.

What we add comes after the headers that a record came with, and never takes the place of one. A letter's id follows from where its record stood and
which step refused it: sent again after a crash it is recognisably the same, and readers count it once.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec

from driftline.contracts.errors import DecodeError
from driftline.contracts.ids import stable_id

Headers = Sequence[tuple[str, bytes | None]]

PREFIX: Final = "__connect.errors."
ERROR_CODE: Final = "driftline.error.code"
#: On a record that was sent once more by ``driftline dead-letters replay``: the how manieth time.
ATTEMPT: Final = "driftline.replay.attempt"
#: On a record that says, among the letters, that one of them was replayed: the letter's id.
REPLAYED: Final = "driftline.replayed"

#: A larger record leaves the beginning of its value only, with length and hash (``limits.letter_bytes``).
MAX_LETTER_BYTES: Final = 16 << 20
#: So much of a value that is cut is kept.
CUT_BYTES: Final = 64 << 10
_CUT_KEY_BYTES: Final = 1 << 10
_CUT_HEADERS_BYTES: Final = 16 << 10
_REASON_CHARS: Final = 500

_OWN: Final = "driftline.letter."
_ID, _SOURCE, _STAGE, _HEADERS, _NULL, _CUT, _BYTES, _SHA256 = (
    _OWN + name for name in ("id", "source", "stage", "headers", "null", "cut", "bytes", "sha256")
)


class Letter(msgspec.Struct, frozen=True):
    """A record for the topic of dead letters."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """What a dead letter says: the record as it came, where it stood, who refused it and why.

    ``bytes`` and ``sha256`` are of the value as it came; ``cut`` names what of the record (``key``, ``value``, ``headers``) is there in part only.
    ``attempt`` counts the replays that the record had behind it when it was refused.
    """

    letter_id: str
    topic: str
    partition: int
    offset: int
    stage: str
    code: str
    reason: str
    attempt: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    bytes: int
    cut: tuple[str, ...] = ()
    sha256: str | None = None


def dead_letter(
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
    *,
    topic: str,
    partition: int,
    offset: int,
    stage: str,
    error: DecodeError,
    most: int = MAX_LETTER_BYTES,
) -> Letter:
    """Return the dead letter of a record that stood there; one of more than ``most`` bytes is cut.

    >>> letter = dead_letter(b"k", b"{", [], topic="t", partition=0, offset=7, stage="summarise", error=DecodeError("not JSON", code="not_json"))
    >>> dict(letter.headers)["__connect.errors.exception.message"], dict(letter.headers)["driftline.error.code"]
    (b'not JSON', b'not_json')
    >>> opened = open_letter(letter.key, letter.value, letter.headers)
    >>> opened.topic, opened.offset, opened.value
    ('t', 7, b'{')
    """
    told = {
        _ID: letter_id(topic, partition, offset, stage),
        _SOURCE: f"{topic}:{partition}:{offset}",
        _STAGE: stage,
        _BYTES: str(len(value or b"")),
    }
    plain = [(name, content or b"") for name, content in headers]
    if len(key or b"") + len(value or b"") + _size(plain) > most:
        told[_SHA256] = sha256(value or b"").hexdigest()
        key, value, plain, told[_CUT] = _cut(key, value, plain)
    told[_HEADERS] = str(len(plain))
    null = [name for name, content in (("key", key), ("value", value)) if content is None]
    null += [str(i) for i, (_, content) in enumerate(headers[: len(plain)]) if content is None]
    if null:
        told[_NULL] = ",".join(null)
    # Not every client sends nulls, and none a record of nothing at all.
    if key is None and value is None:
        value = b""
    return Letter(key, value, [*plain, *_reasons(plain, topic, partition, offset, stage, error), *_cloud_event(plain, told[_ID]), *_encoded(told)])


def letter_id(topic: str, partition: int, offset: int, stage: str) -> str:
    """Return the id of the dead letter of one record at one step."""
    return stable_id("dead-letter", topic, partition, offset, stage)


def open_letter(key: bytes | None, value: bytes | None, headers: Headers) -> DeadLetter | None:
    """Return what a record among the dead letters says, None for one that is no letter of ours."""
    told = {name: content.decode(errors="replace") for name, content in headers if content is not None and name.startswith(_OWN)}
    try:
        topic, partition, offset = told[_SOURCE].rsplit(":", 2)
        count = int(told[_HEADERS])
        added = headers[count:]
        null = set(told.get(_NULL, "").split(","))
        came_with = tuple((name, None if str(i) in null else content) for i, (name, content) in enumerate(headers[:count]))
        return DeadLetter(
            letter_id=told[_ID],
            topic=topic,
            partition=int(partition),
            offset=int(offset),
            stage=told[_STAGE],
            code=_last(added, ERROR_CODE),
            reason=_last(added, PREFIX + "exception.message") or _last(came_with, PREFIX + "exception.message"),
            attempt=attempts(came_with),
            key=None if "key" in null else key,
            value=None if "value" in null else value,
            headers=came_with,
            bytes=int(told[_BYTES]),
            cut=tuple(told[_CUT].split(",")) if _CUT in told else (),
            sha256=told.get(_SHA256),
        )
    except (KeyError, ValueError):
        return None


def attempts(headers: Headers) -> int:
    """Return how many times a record with these headers has been replayed; what is no number there counts as once."""
    said = _last(headers, ATTEMPT)
    if not said:
        return 0
    return int(said) if said.isdecimal() and len(said) < 10 else 1


def _reasons(came_with: Headers, topic: str, partition: int, offset: int, stage: str, error: DecodeError) -> list[tuple[str, bytes]]:  # noqa: PLR0917
    taken = {name for name, _ in came_with}
    reasons = {
        "topic": topic,
        "partition": str(partition),
        "offset": str(offset),
        "connector.name": "driftline",
        "task.id": str(partition),
        "stage": stage,
        "class.name": f"driftline.{stage}",
        "exception.class.name": type(error).__name__,
        "exception.message": error.reason[:_REASON_CHARS],
    }
    named = {PREFIX + name: text for name, text in reasons.items() if PREFIX + name not in taken}
    return _encoded({**named, ERROR_CODE: error.code})


def _cloud_event(came_with: Headers, name: str) -> list[tuple[str, bytes]]:
    """Return the attributes of a CloudEvent, unless the record is one itself: then they are its own."""
    if any(header.lower().startswith("ce_") for header, _ in came_with):
        return []
    return _encoded({"ce_specversion": "1.0", "ce_id": name, "ce_type": "driftline.dead_letter", "ce_source": "/driftline"})


def _cut(key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]], str]:
    """Return less of a record, and the names of what there is less of."""
    cut = []
    if value is not None and len(value) > CUT_BYTES:
        value = value[:CUT_BYTES]
        cut.append("value")
    if key is not None and len(key) > _CUT_KEY_BYTES:
        key = key[:_CUT_KEY_BYTES]
        cut.append("key")
    if _size(headers) > _CUT_HEADERS_BYTES:
        headers = []
        cut.append("headers")
    return key, value, headers, ",".join(cut)


def _size(headers: Headers) -> int:
    return sum(len(name) + len(content or b"") + 8 for name, content in headers)


def _last(headers: Headers, name: str) -> str:
    return next((content.decode(errors="replace") for header, content in reversed(headers) if header == name and content is not None), "")


def _encoded(named: dict[str, str]) -> list[tuple[str, bytes]]:
    return [(name, text.encode(errors="backslashreplace")) for name, text in named.items()]
