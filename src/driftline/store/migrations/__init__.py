"""Alembic migrations, run by ``driftline.store.database.migrate``."""
