"""A place to run the stream in: topics of its own, a migrated database, the references stored."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from tests.integration.log import read_back
from tests.integration.offline import Count, count
from tests.integration.setbacks import watch_cursors
from tests.integration.stream import known, settings_tree

from driftline.cli.topics import ensure_topics
from driftline.contracts.reference import Reference
from driftline.contracts.settings import Settings, build_settings
from driftline.store import references as stored_references
from driftline.store.database import migrate, open_database


@dataclass(frozen=True)
class Scene:
    """Settings, database and references of one run."""

    tree: dict[str, Any]
    settings: Settings
    engine: Engine
    references: dict[str, Reference]
    folder: Path

    def count(self) -> Count:
        """Count the log offline."""
        inference, labels = (read_back(self.settings, topic) for topic in ("inference-events", "label-events"))
        return count(inference, labels, list(self.references.values()))


def made_topics(bootstrap: str, partitions: int = 2) -> str:
    """Make all topics under a prefix of their own, and return it."""
    prefix = f"t{uuid.uuid4().hex[:12]}-"
    ensure_topics(build_settings({"kafka": {"bootstrap_servers": bootstrap, "topic_prefix": prefix, "partitions": partitions}}))
    return prefix


@contextmanager
def set_scene(bootstrap: str, database: str, folder: Path, references: Sequence[Reference], *, idle_timeout: str = "2s") -> Iterator[Scene]:
    """Make topics under a prefix of their own, and store the references with the rows of those that the stream knows.

    ``idle_timeout`` has to be longer than any pause of the publisher: a partition taken for idle closes panes by the wall clock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tree = settings_tree(bootstrap, f"t{uuid.uuid4().hex[:12]}-", database, str(folder), idle_timeout)
    settings = build_settings(tree)
    ensure_topics(settings)
    engine = open_database(settings.database)
    migrate(engine)
    watch_cursors(engine)
    samples = {reference.reference_id: rows for reference, rows in known()}
    for reference in references:
        stored_references.put(engine, reference, samples.get(reference.reference_id, []))
    try:
        yield Scene(tree, settings, engine, {r.model: r for r in references}, folder)
    finally:
        engine.dispose()
