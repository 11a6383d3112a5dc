"""Good messages made bad, in endless ways, each from a seed: what random clients, broken encoders and people who mean harm send."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any, Final

#: What stands where a value was expected, as JSON text.
HOSTILE: Final = (
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "-0.0", "9" * 400, "9" * 5_000, "0.1e", "0x10", "01", "+1", "1_000",
    "null", "true", "false", '""', '"1"', '"1.5"', '"NaN"', '" "', '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\uffff"', '"\\x41"', '"\t"',
    '"' + "x" * 300 + '"', '"' + "\\u00e9" * 300 + '"', "[]", "{}", "[[]]", "[1,2]", '{"a":1}', '{"":null}', "[" * 50 + "]" * 50, "[" * 10_000,
    '{"a":' * 10_000, "[" * 3_000 + "]" * 3_000, '"0001-01-01T00:00:00Z"', '"9999-12-31T23:59:59.999999-23:59"', '"2024-02-30T00:00:00Z"', '"now"',
    "0", "-1", "1704067200", "1704067200000000000", "-62135596800000", "253402300799999", "18446744073709551616", "-9223372036854775809", "1.5",
    "1704067200000.5", "'x'", "undefined", "\\", "//", "/**/", "\x00", "\u2028", "\ufeff", "",
)  # fmt: skip

_BYTES: Final = (
    b"\xff",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xf0\x28\x8c\xbc",
    b"\x00",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\",
    b"\n",
    b"\xef\xbb\xbf",
)


def bad_inputs(seed: int, count: int, good: Callable[[random.Random], Any]) -> Iterator[bytes]:
    """Yield ``count`` inputs, each a good message with one to three things done to it; some are still good."""
    rng = random.Random(seed)
    for _ in range(count):
        raw = _at_a_field(rng, good(rng)) if rng.random() < 0.6 else json.dumps(good(rng)).encode()
        for _ in range(rng.choice((0, 1, 1, 2))):
            raw = rng.choice(_TRICKS)(rng, raw)
        yield raw


def spoilt(rng: random.Random, raw: bytes) -> bytes:
    """Return bytes with one or two things done to them, whatever they mean."""
    for _ in range(rng.choice((1, 1, 2))):
        raw = rng.choice(_TRICKS)(rng, raw)
    return raw


def _at_a_field(rng: random.Random, message: Any) -> bytes:
    """Return the JSON of a message with a hostile value at one of its places."""
    mark = "@@hostile@@"
    place = message
    while isinstance(place, dict) and place:
        key = rng.choice(sorted(place))
        if isinstance(place[key], dict) and place[key] and rng.random() < 0.5:
            place = place[key]
            continue
        what = rng.random()
        if what < 0.1:
            del place[key]
        elif what < 0.2:
            place[rng.choice(("", "x" * 300, "\u0000", "extra", key.upper()))] = place.pop(key)
        else:
            place[key] = mark
        break
    return json.dumps(message).replace(f'"{mark}"', rng.choice(HOSTILE)).encode("utf-8", "surrogatepass")


def _cut(rng: random.Random, raw: bytes) -> bytes:
    return raw[: rng.randrange(len(raw) + 1)]


def _flip(rng: random.Random, raw: bytes) -> bytes:
    if not raw:
        return raw
    i = rng.randrange(len(raw))
    return raw[:i] + bytes([raw[i] ^ (1 << rng.randrange(8))]) + raw[i + 1 :]


def _put_in(rng: random.Random, raw: bytes) -> bytes:
    i = rng.randrange(len(raw) + 1)
    return raw[:i] + rng.choice(_BYTES) + raw[i:]


def _twice(rng: random.Random, raw: bytes) -> bytes:
    i, j = sorted((rng.randrange(len(raw) + 1), rng.randrange(len(raw) + 1)))
    return raw[:j] + raw[i:j] + raw[j:]


def _leave_out(rng: random.Random, raw: bytes) -> bytes:
    i = rng.randrange(len(raw) + 1)
    return raw[:i] + raw[i + rng.randrange(1, 9) :]


def _other_encoding(rng: random.Random, raw: bytes) -> bytes:
    return raw.decode(errors="replace").encode(rng.choice(("utf-16", "utf-32", "utf-8-sig")), "replace")


def _noise(rng: random.Random, _: bytes) -> bytes:
    return rng.randbytes(rng.randrange(200))


_TRICKS: Final = (_cut, _flip, _put_in, _twice, _leave_out, _other_encoding, _noise)
