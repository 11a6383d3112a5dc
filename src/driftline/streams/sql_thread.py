"""SQL off the event loop: a thread in which transactions follow one another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from sqlalchemy import Engine

P = ParamSpec("P")
R = TypeVar("R")


class SqlThread:
    """Runs calls one after the other in a thread of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sql")

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the call returns, without blocking the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: call(*args, **kwargs))


def two_threads(engine: Engine) -> tuple[SqlThread, SqlThread]:
    """Return threads for the two halves of a step: one for each where the database has many writers, so that one half computes while the other
    waits; SQLite has one writer, and both halves share its thread.
    """
    first = SqlThread()
    return first, SqlThread() if engine.dialect.name == "postgresql" else first
