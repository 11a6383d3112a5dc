"""Alembic's entry: runs the migrations on the connection, and in the transaction, that ``migrate`` hands over."""

from __future__ import annotations

from alembic import context

from driftline.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # on SQLite too: the driver no longer commits around DDL
    render_as_batch=True,  # SQLite can't alter a column in place
)
with context.begin_transaction():
    context.run_migrations()
