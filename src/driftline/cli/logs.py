"""Logs of long-lived processes: one line each, as JSON or as text, on standard error, without the values of events and without secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from typing import Any, Final

from driftline.cli.repeats import Sparing
from driftline.contracts.times import format_time

#: What tells of every rebalance and every service of Faust's that starts: warnings only, unless everything is asked for.
_NOISY: Final = ("faust", "mode", "aiokafka", "kafka", "asyncio", "alembic", "driftline.streams.transport")
_OURS: Final = "driftline"
_MESSAGE_LIMIT: Final = 500

#: A password inside an address, and what stands behind a name that says secret.
_IN_ADDRESS: Final = re.compile(r"(?<=://)([^:/@\s\"']*):[^@/\s\"']+(?=@)")
_NAMED: Final = re.compile(r"((?:password|passwd|secret|token)[\w.]*\"?'?\s*[=:]\s*\"?'?)[^\s,;\"'&)]+", re.IGNORECASE)

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("json", "text")


class Lines(logging.Formatter):
    """One record, one line: ``fields`` of the process and of the record beside the message, secrets taken out.

    Errors of our own say what they say; of others only type and places are kept, for their messages may quote what an event held.
    """

    def __init__(self, **fields: str) -> None:
        super().__init__()
        self._fields = fields

    def gathered(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return the line's fields in order."""
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
        return {name: redacted(value) if isinstance(value, str) else value for name, value in line.items()}


class JsonLines(Lines):
    """For machines: one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return json.dumps(self.gathered(record), ensure_ascii=False, default=str)


class TextLines(Lines):
    """For a terminal: time, level, process and message, then the other fields by name."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = self.gathered(record)
        head = [format_time(line.pop("time"), seconds=True), line.pop("level").upper(), *(line.pop(name) for name in self._fields)]
        message = " ".join(str(line.pop("message")).split())
        rest = " ".join(f"{name}={json.dumps(value, ensure_ascii=False, default=str)}" for name, value in line.items() if name != "logger")
        return " ".join(filter(None, [*head, message, rest]))


def redacted(text: str) -> str:
    """Return the text without passwords in addresses and values of what is named a secret.

    >>> redacted("postgresql://driftline:hunter2@db/driftline is away")
    'postgresql://driftline:***@db/driftline is away'
    >>> redacted("sasl_plain_password='hunter2', port=9092")
    "sasl_plain_password='***', port=9092"
    """
    return _NAMED.sub(r"\1***", _IN_ADDRESS.sub(r"\1:***", text))


def configure(level: str, form: str = "json", **fields: str) -> None:
    """Send all logs to standard error; ``level`` is one of LEVELS, ``form`` one of FORMATS."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextLines(**fields) if form == "text" else JsonLines(**fields))
    handler.addFilter(Sparing(_OURS))
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
