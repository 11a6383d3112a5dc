"""A cursor that goes back: what compare-and-swap is there to prevent. The database itself notes each one, however soon it is made good again.

That a zombie wrote over its successor hardly ever shows in what is concluded at the end: the successor writes again, most of the time the same.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Engine, text

_CURSORS: Final = {"detect_cursors": "q", "join_cursors": "partition"}


def watch_cursors(engine: Engine) -> None:
    """Have the database note every update that takes a cursor back."""
    with engine.begin() as conn:
        conn.execute(text("CREATE TABLE cursor_setbacks (cursor TEXT, place BIGINT, was BIGINT, became BIGINT)"))
        for table, place in _CURSORS.items():
            note = f"INSERT INTO cursor_setbacks VALUES ('{table}', NEW.{place}, OLD.next_offset, NEW.next_offset)"
            if engine.dialect.name == "sqlite":
                conn.execute(text(f"CREATE TRIGGER {table}_back AFTER UPDATE ON {table} WHEN NEW.next_offset < OLD.next_offset BEGIN {note}; END"))
                continue
            conn.execute(text(f"CREATE FUNCTION {table}_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {note}; RETURN NULL; END $$"))
            conn.execute(
                text(
                    f"CREATE TRIGGER {table}_back AFTER UPDATE ON {table} FOR EACH ROW WHEN (NEW.next_offset < OLD.next_offset) "
                    f"EXECUTE FUNCTION {table}_back()"
                )
            )


def setbacks(engine: Engine) -> dict[tuple[str, int, int, int], int]:
    """Return the cursors that went back, from where to where, with how often."""
    found: dict[tuple[str, int, int, int], int] = {}
    with engine.connect() as conn:
        for cursor, place, was, became in conn.execute(text("SELECT cursor, place, was, became FROM cursor_setbacks")):
            key = (str(cursor), int(place), int(was), int(became))
            found[key] = found.get(key, 0) + 1
    return found
