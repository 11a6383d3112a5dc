"""The reference book, kept up to date from SQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from sqlalchemy import Engine

from driftline.store import references
from driftline.streams.references import ReferenceBook
from driftline.streams.sql_thread import SqlThread

_LOOK_AGAIN_S = 0.1


class ReferenceFeed:
    """Brings stored references into a book before events that may need them are read.

    A reference is stored before its version is published, so an unknown version is either news that SQL has not shown yet, which is worth a wait, or
    a version that nobody registered.
    """

    def __init__(self, sql: SqlThread, engine: Engine, wait_ms: int) -> None:
        self.book = ReferenceBook()
        self._sql = sql
        self._engine = engine
        self._wait_s = wait_ms / 1000
        self._sequence = 0
        self._given_up: set[tuple[str, str]] = set()

    async def refresh(self) -> None:
        """Take in what has been stored since the last look."""
        if await self._sql.run(references.newest_sequence, self._engine) > self._sequence:
            for sequence, reference in await self._sql.run(references.since, self._engine, self._sequence):
                self.book.add([reference])
                self._sequence = max(self._sequence, sequence)

    async def wait_for(self, versions: Iterable[tuple[str, str]]) -> None:
        """Wait a little for the reference of a version that a registered model has not shown before; once for each version. Refresh first."""
        deadline = time.monotonic() + self._wait_s
        for model, version in sorted(set(versions) - self._given_up):
            while self.book.has(model) and not self.book.knows(model, version):
                if time.monotonic() > deadline:
                    self._given_up.add((model, version))
                    break
                await asyncio.sleep(_LOOK_AGAIN_S)
                await self.refresh()
