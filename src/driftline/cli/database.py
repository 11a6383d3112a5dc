"""The database as commands meet it: they make none by looking, and say in a sentence why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from driftline.contracts.databases import redacted_url
from driftline.contracts.errors import SchemaOutdated, SetupError

if TYPE_CHECKING:
    from sqlalchemy import Engine


def open_ready(url: str) -> Engine:
    """Return an engine for a database at this program's revision. Raises SchemaOutdated, SetupError."""
    from sqlalchemy import make_url

    from driftline.store.database import check_revision, open_database

    if url.startswith("sqlite") and not Path(str(make_url(url).database)).is_file():
        raise SchemaOutdated(f"there is no database yet at {redacted_url(url)}: run `driftline db upgrade`")
    engine = open_database(url)
    with sentences(url):
        check_revision(engine)
    return engine


def upgrade(url: str) -> Engine:
    """Bring the database to this program's revision, making it where there is none. Raises SetupError."""
    from driftline.store.database import migrate, open_database

    engine = open_database(url)
    with sentences(url):
        migrate(engine)
    return engine


@contextmanager
def sentences(url: str) -> Iterator[None]:
    """Turn what the driver says of a database that can't be reached into one sentence. Raises SetupError."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        why = str(error.orig).strip().partition("\n")[0]
        raise SetupError(f"the database {redacted_url(url)} can't be used: {why}") from error
