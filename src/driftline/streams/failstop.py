"""Fail-stop: a step that fails ends the process, and whoever supervises it starts it again from the last state.

Faust acknowledges an event whose processing raised, restarts the agent and goes on with the next one. State that goes
on after a step failed half-way is wrong in ways nobody sees; a process that ends is seen, and reads again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
import traceback
from collections.abc import Awaitable
from typing import Final, NoReturn, TypeVar

T = TypeVar("T")

EXIT_CODE: Final = 70
"""``EX_SOFTWARE`` of sysexits.h: what a step that failed leaves behind."""

_MESSAGE_LIMIT: Final = 500
#: Raised by statements like ours, with sentences; ValueError, KeyError and their like quote what they were given.
_PLAIN: Final = (RuntimeError, LookupError, ImportError, ModuleNotFoundError)
_DISCREET: Final = ("driftline", "aiokafka", "kafka", "sqlalchemy", "faust", "mode")
_LAST_WORDS_S: Final = 2.0


async def or_die(step: Awaitable[T], what: str) -> T:
    """Await ``step`` and return what it gives; end the process if it raises an Exception. Cancelling is no failure."""
    try:
        return await step
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, going on would be wrong
        die(what, error)


def die(what: str, error: BaseException) -> NoReturn:
    """Write one line of JSON to standard error, flush the logs, and end the process with code 70, from any thread."""
    # Whatever hangs here (a log handler's lock held by the thread that is stuck, a full pipe): it ends all the same.
    end = threading.Timer(_LAST_WORDS_S, os._exit, (EXIT_CODE,))
    end.daemon = True
    end.start()
    try:
        # Not sys.stderr: a Faust worker turns that into log records.
        os.write(2, (failure_line(what, error, time.time_ns() // 1_000_000) + "\n").encode())
        logging.shutdown()
    finally:
        os._exit(EXIT_CODE)


def failure_line(what: str, error: BaseException, now_ms: int) -> str:
    """Describe a failure as one line of JSON: when, in which step, the error, and the places it came through.

    What others' errors say may quote an event, and is left out; which error it is, and where, is enough to find it.

    >>> json.loads(failure_line("flush", OSError("no space left"), now_ms=5))["message"]
    'no space left'
    >>> json.loads(failure_line("take", ValueError("could not convert string to float: 'Ann Smith'"), now_ms=5))["message"]
    ''
    """
    frames = traceback.extract_tb(error.__traceback__)
    return json.dumps(
        {
            "time": now_ms,
            "level": "critical",
            "event": "fail-stop",
            "step": what,
            "error": type(error).__name__,
            "message": _discreet(error)[:_MESSAGE_LIMIT],
            "trace": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
        }
    )


def _discreet(error: BaseException) -> str:
    """Return the first line of an error whose kind never quotes what an event held; databases quote on their second line."""
    told = isinstance(error, OSError) or type(error) in _PLAIN or type(error).__module__.split(".")[0] in _DISCREET
    return str(error).partition("\n")[0] if told else ""
