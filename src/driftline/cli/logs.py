"""Logs of long-lived processes: one line of JSON each, on standard error, without the values of events."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from typing import Any, Final

#: What tells of every rebalance and every service of Faust's that starts: warnings only, unless everything is asked for.
_NOISY: Final = ("faust", "mode", "aiokafka", "kafka", "asyncio", "alembic", "driftline.streams.transport")
_OURS: Final = "driftline"
_MESSAGE_LIMIT: Final = 500

LEVELS: Final = ("debug", "info", "warning", "error")


class JsonLines(logging.Formatter):
    """One record, one line. ``fields`` go into each, to tell processes apart.

    Errors of our own say what they say; of others only type and places are kept, for their messages may quote what an event held.
    """

    def __init__(self, **fields: str) -> None:
        super().__init__()
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        ours = record.name.split(".")[0] == _OURS
        line: dict[str, Any] = {
            "time": round(record.created * 1000),
            "level": record.levelname.lower(),
            **self._fields,
            "logger": record.name,
            "message": record.getMessage() if ours else _cut(record),
        }
        line.update(getattr(record, "fields", {}))
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            line["error"] = type(error).__name__
            if ours:
                line["reason"] = str(error)[:_MESSAGE_LIMIT]
            line["trace"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(level: str, **fields: str) -> None:
    """Send all logs to standard error as JSON lines; ``level`` is one of LEVELS."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(**fields))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_OURS).setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.INFO if level == "debug" else logging.WARNING)
    # It warns of every timer that takes longer than its interval, which ours may.
    logging.getLogger("mode.timers").setLevel(logging.ERROR)


def _cut(record: logging.LogRecord) -> str:
    """Return the first line only: Faust appends tracebacks and tables, and whatever was in them."""
    return record.getMessage().partition("\n")[0][:_MESSAGE_LIMIT]
