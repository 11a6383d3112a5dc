"""SQL holds state: SQLAlchemy tables, Alembic migrations, one module for each thing stored. The same code runs on
SQLite (WAL) and PostgreSQL.
"""
