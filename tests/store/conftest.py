from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from driftline.store.database import migrate, open_database


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A migrated database, once of each kind."""
    opened = open_database(database_url)
    migrate(opened)
    yield opened
    opened.dispose()
