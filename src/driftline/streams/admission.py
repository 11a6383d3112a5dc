"""Which models and versions are let in: as many as the limits say, so that what is kept for each of them can't grow with what somebody sends.

A model that is configured or has a reference is always in, as is a version with a reference of its own. Of all others the first ones are, up to the
limit, and that is decided in SQL, once and for all workers (docs/decisions/0009). Events of a model that is not in are dead letters; events of a
version that is not in are counted as of the version ``__other__``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

import msgspec
from sqlalchemy import Engine

from driftline.contracts.columnar_decoding import EventColumns
from driftline.contracts.errors import DecodeError
from driftline.contracts.settings import Settings
from driftline.store import admissions
from driftline.streams.records import Content, Decoded
from driftline.streams.reference_feed import ReferenceFeed
from driftline.streams.sql_thread import SqlThread

#: The version under which those are counted that are one too many.
OTHER_VERSION = "__other__"
_MODELS = "models"


class Admission:
    """What one process knows of who is in. Names that are not are never remembered."""

    def __init__(self, sql: SqlThread, engine: Engine, settings: Settings, feed: ReferenceFeed) -> None:
        self._sql = sql
        self._engine = engine
        self._limits = settings.limits
        self._configured = settings.models.keys()
        self._feed = feed
        self._in: dict[str, set[str]] = {}
        self._pairs: set[tuple[str, str]] = set()

    async def judged(self, items: Decoded) -> Decoded:
        """Return the records with what must not be used as it is replaced: a model too many by an error, a version too many by ``__other__``."""
        fresh = items.versions() - self._pairs
        if not fresh:
            return items
        await self._feed.refresh()
        models = await self.models({model for model, _ in fresh})
        told: dict[tuple[str, str], bool] = {}
        for model in models:
            versions = {version for m, version in fresh if m == model}
            held = await self._let_in(
                f"versions/{model}", versions, self._limits.versions, [v for v in versions if self._feed.book.registered(model, v)]
            )
            self._pairs |= {(model, version) for version in held}
            told |= {(model, version): version in held for version in versions}
        if len(models) == len({model for model, _ in fresh}) and all(told.values()):
            return items
        return Decoded(items.records, [self._used(content, models, told, fresh) for content in items.contents])

    async def models(self, names: Collection[str]) -> set[str]:
        """Return those of the models that are in, letting in whom there is room for."""
        own = [name for name in names if name in self._configured or self._feed.book.has(name)]
        return await self._let_in(_MODELS, names, self._limits.models, own)

    async def _let_in(self, scope: str, names: Collection[str], most: int, own: Iterable[str]) -> set[str]:
        wanted, always = set(names), set(own)
        held = self._in.get(scope)
        if held is None:
            held = self._in[scope] = await self._sql.run(admissions.admitted, self._engine, scope)
        fresh = wanted - always - held
        if fresh and len(held) < most:
            await self._sql.run(admissions.admit, self._engine, scope, fresh, most)
            held = self._in[scope] = await self._sql.run(admissions.admitted, self._engine, scope)
        return always | wanted & held

    def _used(self, content: Content, models: set[str], told: dict[tuple[str, str], bool], fresh: set[tuple[str, str]]) -> Content:
        if isinstance(content, DecodeError) or (content.model, content.version) not in fresh:
            return content
        if content.model not in models:
            return DecodeError(f"there are {self._limits.models} models already that nobody registered (limits.models)", code="too_many_models")
        if told[content.model, content.version]:
            return content
        if isinstance(content, EventColumns):
            return replace(content, version=OTHER_VERSION)
        return msgspec.structs.replace(content, version=OTHER_VERSION)
