from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine

from driftline.store.admissions import admit, admitted
from driftline.store.database import migrate, open_database


def test_the_first_names_are_let_in_for_good(engine: Engine) -> None:
    admit(engine, "models", {"b", "c"}, 3)
    admit(engine, "models", {"d", "a", "c"}, 3)
    assert admitted(engine, "models") == {"a", "b", "c"}
    admit(engine, "models", {"z"}, 3)
    assert admitted(engine, "models") == {"a", "b", "c"}
    admit(engine, "models", {"z"}, 4)
    assert admitted(engine, "models") == {"a", "b", "c", "z"}
    assert admitted(engine, "versions/a") == set()


def test_none_is_let_in_where_the_limit_is_zero(engine: Engine) -> None:
    admit(engine, "models", {"a"}, 0)
    assert admitted(engine, "models") == set()


def test_rivals_never_let_in_more_than_there_is_room_for(database_url: str) -> None:
    engines = [open_database(database_url) for _ in range(4)]
    migrate(engines[0])
    together = threading.Barrier(4)

    def rival(i: int) -> None:
        together.wait(20)
        for n in range(15):
            admit(engines[i], "models", {f"{i}-{n}", f"shared-{n}"}, 25)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(rival, range(4)))
    assert len(admitted(engines[0], "models")) == 25
    for engine in engines:
        engine.dispose()
