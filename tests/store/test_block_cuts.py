from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine

from driftline.contracts.cutting import Cut
from driftline.store.block_cuts import settle
from driftline.store.database import migrate, open_database

ONE, OTHER = Cut(1024, 300_000, 1 << 20), Cut(256, 60_000, 2_000)


def test_a_change_of_the_settings_holds_beyond_all_that_may_have_been_said(engine: Engine) -> None:
    assert settle(engine, 0, ONE, 0, fresh=True).at(0) == ONE
    changed = settle(engine, 0, OTHER, 5000, fresh=False)
    assert [changed.at(o) for o in (4999, 5119, 5120, 9000)] == [ONE, ONE, OTHER, OTHER]
    assert settle(engine, 0, OTHER, 9000, fresh=False).at(5119) == ONE
    # And back before anybody was there: what was settled stands.
    back = settle(engine, 0, ONE, 5000, fresh=False)
    assert [back.at(o) for o in (5119, 5120, 5375, 5376)] == [ONE, OTHER, OTHER, ONE]


def test_where_a_version_has_read_that_knew_no_span_what_it_may_have_said_ends_by_offsets(engine: Engine) -> None:
    cuts = settle(engine, 1, ONE, 5000, fresh=False)
    assert [cuts.at(o) for o in (0, 5119, 5120)] == [Cut(1024, 0), Cut(1024, 0), ONE]


def test_rivals_settle_on_the_same(database_url: str) -> None:
    engines = [open_database(database_url) for _ in range(4)]
    migrate(engines[0])
    together = threading.Barrier(4)

    def rival(i: int) -> list[Cut]:
        together.wait(20)
        cuts = settle(engines[i], 0, ONE, 7, fresh=True)
        return [cuts.at(o) for o in (0, 7, 1024, 10_000)]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(rival, range(4))) == [[ONE] * 4] * 4
    for engine in engines:
        engine.dispose()
