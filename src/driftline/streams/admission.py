"""Which models and versions are let in: as many as the limits say, so that what is kept for each of them can't grow with what somebody sends.

A model that is configured or has a reference is always in, as is a version with a reference of its own. Of all others the first ones are, up to the
limit, and that is decided in SQL, once and for all workers (docs/decisions/0009). Events of a model that is not in are dead letters; events of a
version that is not in are counted as of the version ``__other__``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import cache

import msgspec
import numpy as np
from sqlalchemy import Engine

from driftline.contracts.alike_events import AlikeEvents
from driftline.contracts.columnar_decoding import EventColumns
from driftline.contracts.errors import DecodeError
from driftline.contracts.settings import Settings
from driftline.store import admissions
from driftline.streams.records import OTHER_VERSION, Content, Decoded, alone
from driftline.streams.reference_feed import ReferenceFeed
from driftline.streams.references import ReferenceBook
from driftline.streams.sql_thread import SqlThread

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
        refused: set[tuple[str, str]] = set()
        for model in models:
            versions = {version for m, version in fresh if m == model}
            held = await self._let_in(
                f"versions/{model}", versions, self._limits.versions, [v for v in versions if self._feed.book.registered(model, v)]
            )
            self._pairs |= {(model, version) for version in held}
            refused |= {(model, version) for version in versions - held}
        return without(items, {model for model, _ in fresh} - models, refused, self._limits.models)

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


class Remembered:
    """What a replay knows of who was in: ``stored`` tells the names of a scope that were let in live, first come, first served."""

    def __init__(self, settings: Settings, book: ReferenceBook, stored: Callable[[str], Collection[str]]) -> None:
        self._limit = settings.limits.models
        self._configured = settings.models.keys()
        self._book = book
        self._stored = cache(stored)

    def judged(self, items: Decoded) -> Decoded:
        """Return what ``Admission.judged`` made of the records live."""
        pairs = items.versions()
        models = {m for m, _ in pairs if m in self._configured or self._book.has(m) or m in self._stored(_MODELS)}
        refused = {(m, v) for m, v in pairs if m in models and not (self._book.registered(m, v) or v in self._stored(f"versions/{m}"))}
        return without(items, {m for m, _ in pairs} - models, refused, self._limit)


def without(items: Decoded, models: Collection[str], versions: Collection[tuple[str, str]], limit: int) -> Decoded:
    """Return records with those of refused models as errors, and refused versions (of models that are in) as ``__other__``."""
    if not models and not versions:
        return items
    contents = list(items.contents)
    for events, index in items.alike():
        # Events of a version that is refused part from those that are written alike.
        refused = [number for number, version in enumerate(events.versions) if (events.model, version) in versions]
        for i in index[np.isin(events.version_codes[events.rows(items.stood[index])], refused)].tolist():
            contents[i] = alone(events, items.records[i])
    used = [_used(content, models, versions, limit) for content in contents]
    return Decoded(items.records, used, items.places)


def _used(content: Content, models: Collection[str], versions: Collection[tuple[str, str]], limit: int) -> Content:
    if isinstance(content, DecodeError):
        return content
    if content.model in models:
        return DecodeError(f"there are {limit} models already that nobody registered (limits.models)", code="too_many_models")
    if isinstance(content, AlikeEvents) or (content.model, content.version) not in versions:
        return content
    if isinstance(content, EventColumns):
        return replace(content, version=OTHER_VERSION)
    return msgspec.structs.replace(content, version=OTHER_VERSION)
