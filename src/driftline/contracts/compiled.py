"""Loops over bytes, compiled by Numba where it is installed (``pip install "driftline[compiled]"``). What imports this is imported only there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Final, ParamSpec, TypeVar

import numba

P = ParamSpec("P")
T = TypeVar("T")

#: Where other functions and constants are that became part of compiled ones: Numba would keep these although those have changed.
_SHARED: Final = ("compiled.py", "decimals.py", "events.py", "templates.py", "time_texts.py", "times.py")
#: The folder is a setting of the process, and two threads may compile.
_SETTING: Final = Lock()


def compiled(function: Callable[P, T]) -> Callable[P, T]:
    """Return a function that is compiled when it is first called, without the interpreter's lock, and kept on disk where there is room for that."""
    return _compiled(function, inline=False)


def inlined(function: Callable[P, T]) -> Callable[P, T]:
    """Return a function that becomes part of those that call it: a call of a few nanoseconds' work would cost as much again."""
    return _compiled(function, inline=True)


def _compiled(function: Callable[P, T], *, inline: bool) -> Callable[P, T]:
    room = _room(function.__code__.co_filename)
    with _SETTING:
        before: str = numba.config.CACHE_DIR  # type: ignore[attr-defined]  # read from the environment when it is imported
        numba.config.CACHE_DIR = room or before  # type: ignore[attr-defined]
        try:
            made: Callable[P, T] = numba.njit(cache=bool(room), nogil=True, error_model="numpy", forceinline=inline)(function)
        finally:
            numba.config.CACHE_DIR = before  # type: ignore[attr-defined]
    return made


@cache
def _room(source: str) -> str:
    """Return a folder for what is compiled of a file as it stands: beside it or in the home directory; nothing where neither may be written to."""
    here = Path(__file__).parent
    digest = blake2b(b"".join(path.read_bytes() for path in (Path(source), *(here / name for name in _SHARED))), digest_size=8).hexdigest()
    for kept in ("beside", "home"):
        try:
            parent = Path(source).parent / "__pycache__" if kept == "beside" else Path.home() / ".cache" / "driftline"
            room = parent / f"compiled-{digest}"
            room.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=room):
                return str(room)
        except (OSError, RuntimeError):  # RuntimeError: there is no home
            continue
    return ""
