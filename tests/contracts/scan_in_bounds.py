"""Run in a process of its own, with Numba's checks of bounds: records of any bytes are read, and nothing outside of what there is.

A read beyond the bytes that were given is an ``IndexError`` here, and a number that is made of somebody else's memory elsewhere.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from driftline.contracts import compiled, decimals
from driftline.contracts.alike_events import AlikeEvents
from driftline.contracts.joined_values import Joined
from driftline.contracts.template_reading import Scanner
from driftline.contracts.templates import template_of
from driftline.contracts.typed_events import Shape

SHAPE = Shape(("x", "y"), ("c", "d"))
EVENTS = [
    b'{"event_id":"event-1","model":"m","version":"1","event_time":1362114900000,"features":{"x":1.5,"y":-7e3,"c":"FR","d":true},"prediction":1}',
    b'{"features":{"d":null,"c":"a","y":0.25,"x":12345678.5},"model":"m","z":"p","event_id":"0123456789","u":{"v":false},"event_time":1362114900000}',
    b' {\n "model": "m",\n "event_time": "2013-03-01T05:15:00.123+01:00",\n "features": {"x":7, "y":null, "c":1, "d":0.5},\n "event_id":"a"} \n',
]
#: What may stand in place of a value or after what was cut, and runs as far as there are bytes.
ENDLESS = [
    b"1" * 7,
    b"1" * 8,
    b"1" * 40,
    b"0." + b"0" * 40,
    b"-",
    b"1e",
    b"1e+",
    b"1." + b"9" * 25,
    b'"' + b"a" * 23,
    b'"aaaaaaa',
    b'"2013-03-01T05:15:00.' + b"1" * 30,
    b"a" * 16,
    b"n",
    b"nul",
    b"fals",
    b"tru",
]
BYTES = [b"\x00", b'"', b"\\", b"0", b"-", b"e", b"n", b"t", b"f", b",", b"}", b"\x1f", b"\x80", b"\xff"]


def corpus() -> list[bytes]:
    """Events that are cut, followed by what has no end, or with a byte changed."""
    found = []
    for raw in EVENTS:
        cuts = [raw[:n] for n in range(1, len(raw) + 1)]
        found += cuts + [cut + more for cut in cuts for more in ENDLESS]
        found += [raw[:n] + byte + raw[n + 1 :] for n in range(len(raw)) for byte in BYTES]
    chance = random.Random(7)
    found += [chance.randbytes(chance.randrange(60)) for _ in range(500)]
    return found


def checked() -> str:
    """Return how bounds are checked: by an error of the same function that the scan is made of."""
    records = Joined.of([b"1"])
    try:
        decimals.number(records.raw, records.words, len(records.words))
    except IndexError:
        return "bounds are checked"
    return "bounds are not checked"


def main() -> None:
    """Read all, each as the last of the bytes that are read."""
    print(checked(), "in", Path(compiled.__file__).parents[2])  # noqa: T201  # the test reads it
    templates = [template_of(raw, "m", shape) for raw in EVENTS for shape in (SHAPE, None)]
    scanners = [Scanner(template) for template in templates if template is not None]
    records = corpus()
    n = read = 0
    for scanner in scanners:
        alone: list[Sequence[bytes | None]] = [[raw] for raw in records]
        beside: list[Sequence[bytes | None]] = [[EVENTS[0], None, raw] for raw in records[::7]]
        for raws in [*alone, *beside, records, [None], [b""] * 3, [None, b"junk"]]:
            held = Joined.of(raws)
            events = scanner.read(held, np.arange(len(raws)))
            n += len(raws)
            read += len(events) if isinstance(events, AlikeEvents) else 0
    print(f"{len(scanners)} templates, {n} records, {read} read")  # noqa: T201  # the test reads it


if __name__ == "__main__":
    main()
