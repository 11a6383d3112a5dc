from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.streams.detect.summaries import built
from tests.streams.records import Record

from driftline.contracts.alike_events import AlikeEvents
from driftline.contracts.errors import DecodeError
from driftline.contracts.settings import build_settings
from driftline.store import admissions, references
from driftline.store.database import migrate, open_database
from driftline.streams.admission import Admission, Remembered
from driftline.streams.reading import Decoded, decode
from driftline.streams.records import OTHER_VERSION
from driftline.streams.reference_feed import ReferenceFeed
from driftline.streams.references import ReferenceBook
from driftline.streams.sql_thread import SqlThread

SETTINGS = build_settings({"limits": {"models": 2, "versions": 2}, "models": {"configured": {}}})


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    opened = open_database(f"sqlite:///{tmp_path / 'admission.db'}")
    migrate(opened)
    references.put(opened, built("registered"))
    return opened


def admission(engine: Engine) -> Admission:
    sql = SqlThread()
    return Admission(sql, engine, SETTINGS, ReferenceFeed(sql, engine, 0))


def events(*named: tuple[str, str]) -> Decoded:
    made = [{"event_id": "a", "model": m, "version": v, "event_time": 1_700_000_000_000, "features": {}} for m, v in named]
    return decode([Record(i, json.dumps(event).encode()) for i, event in enumerate(made)])


def told(items: Decoded) -> list[str]:
    one_by_one = [c for c in items.contents if not isinstance(c, AlikeEvents)]
    assert len(one_by_one) == len(items)
    return [c.code if isinstance(c, DecodeError) else f"{c.model} {c.version}" for c in one_by_one]


def test_configured_and_registered_models_take_no_room_and_the_first_others_do(engine: Engine) -> None:
    async def judged() -> list[str]:
        mine = admission(engine)
        first = told(await mine.judged(events(("b", "1"), ("a", "1"), ("configured", "1"), ("registered", "1"))))
        return first + told(await mine.judged(events(("c", "1"), ("a", "1"), ("registered", "1"), ("c", "2"))))

    assert asyncio.run(judged()) == ["b 1", "a 1", "configured 1", "registered 1", "too_many_models", "a 1", "registered 1", "too_many_models"]


def test_versions_too_many_are_counted_together_but_never_a_registered_one(engine: Engine) -> None:
    async def judged() -> list[str]:
        return told(await admission(engine).judged(events(*(("registered", v) for v in ("4", "3", "2", "1", "2")))))

    # The reference is of version 1; of the others the least two were let in.
    assert asyncio.run(judged()) == [f"registered {v}" for v in (OTHER_VERSION, "3", "2", "1", "2")]


def test_another_worker_and_a_replay_decide_the_same(engine: Engine) -> None:
    items = events(*((f"m{i}", f"{i % 4}") for i in range(12)))

    async def judged() -> list[list[str]]:
        mine, other = admission(engine), admission(engine)
        first = told(await mine.judged(items))
        return [first, told(await mine.judged(items)), told(await other.judged(items)), told(await admission(engine).judged(items))]

    first, *others = asyncio.run(judged())
    assert all(other == first for other in others)
    assert first.count("too_many_models") == 10


def test_what_is_remembered_decides_as_it_was_decided(engine: Engine) -> None:
    batches = [
        events(("b", "1"), ("registered", "7"), ("configured", "1")),
        events(("a", "1"), ("c", "1"), ("registered", "8"), ("registered", "9"), ("registered", "1")),
        events(("c", "2"), ("b", "2"), ("configured", "1"), ("configured", "2"), ("configured", "3")),
    ]

    async def judged() -> list[list[str]]:
        mine = admission(engine)
        return [told(await mine.judged(batch)) for batch in batches]

    live = asyncio.run(judged())
    assert any(OTHER_VERSION in one for batch in live for one in batch)
    assert any(one == "too_many_models" for batch in live for one in batch)
    book = ReferenceBook()
    book.add(references.for_model(engine, "registered"))
    again = Remembered(SETTINGS, book, partial(admissions.admitted, engine))
    assert [told(again.judged(batch)) for batch in batches] == live
