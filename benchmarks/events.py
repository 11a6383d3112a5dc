"""The stream that all are measured on: one model, 20 numeric features, JSON of about 700 bytes. Standard library only.

Its first part is as the reference; from ``DRIFT_AT`` on five features are higher by half a standard deviation, so that there is something to find.
The time that events carry advances by a second every ``EVENTS_PER_SECOND`` events.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import NamedTuple

MODEL = "bench"
FEATURES = tuple(f"feature_{i:02d}" for i in range(20))
DRIFTING = FEATURES[:5]
DRIFT_AT = 0.6
SHIFT = 0.5
EVENTS_PER_SECOND = 10_000
PARTITIONS = 4
PANE_S = 5
WINDOW_S = 20
#: The last records are dated so far after the others that everything before them closes.
BEYOND_S = 120

_ID_MASK = (1 << 128) - 1
_ID_STEP = 0x9E3779B97F4A7C15F39CC0605CEDC835


class Record(NamedTuple):
    """A record as it is to stand in the log."""

    partition: int
    key: bytes
    value: bytes


def rows(n: int, *, drifted: bool, seed: int) -> list[tuple[dict[str, float], float]]:
    """Return ``n`` rows: features, and a score in (0, 1)."""
    rng = random.Random(seed)
    made = []
    for _ in range(n):
        features = {name: round(rng.gauss(SHIFT if drifted and name in DRIFTING else 0.0, 1.0), 12) for name in FEATURES}
        made.append((features, round(rng.betavariate(2, 3), 6)))
    return made


def event_id(i: int) -> str:
    """Return the id of event ``i``: 32 hexadecimal digits, spread as random ones are."""
    return f"{(i + 1) * _ID_STEP & _ID_MASK:032x}"


def event_time(i: int, start_ms: int, per_second: int = EVENTS_PER_SECOND) -> int:
    """Return the time that event ``i`` carries (epoch ms)."""
    return start_ms + i * 1000 // per_second


def records(first: int, end: int, total: int, start_ms: int, model: str = MODEL) -> Iterator[Record]:
    """Yield the records of events ``first`` to ``end - 1`` of ``total``. The features are drawn from a pool of rows made before."""
    rng = random.Random(first)
    pools = [[_rest(row) for row in rows(5000, drifted=drifted, seed=7)] for drifted in (False, True)]
    drift_at = int(total * DRIFT_AT)
    head, middle = b'{"event_id":"', f'","model":"{model}","version":"1","event_time":'.encode()
    for i in range(first, end):
        key = event_id(i).encode()
        pool = pools[i >= drift_at]
        value = b"%b%b%b%d%b" % (head, key, middle, event_time(i, start_ms), pool[int(rng.random() * 5000)])
        yield Record(i % PARTITIONS, key, value)


def closing_records(total: int, start_ms: int, model: str = MODEL) -> list[Record]:
    """Return one record for each partition, later than all others by ``BEYOND_S``."""
    at = event_time(total, start_ms) + BEYOND_S * 1000
    rest = _rest(rows(1, drifted=True, seed=1)[0])
    made = []
    for partition in range(PARTITIONS):
        name = f"end-{partition}"
        value = f'{{"event_id":"{name}","model":"{model}","version":"1","event_time":{at}'.encode() + rest
        made.append(Record(partition, name.encode(), value))
    return made


def last_window_end(total: int, start_ms: int) -> int:
    """Return the end (epoch ms) of the window that holds the last event: its finding is the last that is due."""
    last, width = event_time(total - 1, start_ms), WINDOW_S * 1000
    return last // width * width + width


def _rest(row: tuple[dict[str, float], float]) -> bytes:
    features, score = row
    return f',"features":{json.dumps(features, separators=(",", ":"))},"score":{score}}}'.encode()
