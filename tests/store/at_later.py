"""What later revisions gave a place to: for each the rows that the program of that time wrote there, as its SQL had them. Never to be changed.

A revision that makes a table or a column adds what its program writes; then it is carried through all that come after it.
"""

from __future__ import annotations

from typing import Any, Final

ROWS: Final[dict[str, dict[str, list[dict[str, Any]]]]] = {
    "0002": {
        "outcomes": [
            {
                "model": "m",
                "event_id": "counted",
                "time": 1362114900001,
                "prediction": b"\x94\xa11\xcb?\xf0\x00\x00\x00\x00\x00\x00\xcb?\xe0\x00\x00\x00\x00\x00\x00\x80",
                "label_time": 1362114901000,
                "label": b"\xcb?\xf0\x00\x00\x00\x00\x00\x00",
                "counted": b"\x94\xa1r\xcf\x00\x00\x01=$_\xf0 \xc2\xcb?\xd0\x00\x00\x00\x00\x00\x00",
            },
            {
                "model": "m",
                "event_id": "counted nowhere",
                "time": 1362114900002,
                "prediction": b"\x94\xa11\xcb?\xf0\x00\x00\x00\x00\x00\x00\xcb?\xe0\x00\x00\x00\x00\x00\x00\x80",
                "label_time": 1362114901000,
                "label": b"\xcb?\xf0\x00\x00\x00\x00\x00\x00",
                "counted": b"\xc0",
            },
        ],
    },
    "0003": {
        "admitted": [
            {"scope": "models", "name": "fraud", "number": 0},
            {"scope": "models", "name": "déjà", "number": 1},
            {"scope": "versions/fraud", "name": "2026-11", "number": 0},
        ],
    },
    "0004": {
        "block_cuts": [
            {"partition": 0, "since": 0, "size": 1024, "span": 0},
            {"partition": 0, "since": 4096, "size": 512, "span": 300_000},
            {"partition": 3, "since": 0, "size": 1024, "span": 300_000},
        ],
    },
    "0006": {
        "block_cuts": [{"partition": 5, "since": 0, "size": 1024, "span": 300_000, "bytes": 4 << 20}],
    },
}
