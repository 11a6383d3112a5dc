"""PostgreSQL's statements for many rows: their parameters are arrays, one for each column, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnClause, Executable, Select, Table, bindparam, column, func, select
from sqlalchemy.dialects import postgresql

from driftline.store.pg_arrays import array_of, array_type, named


def arrays(of: Table, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return columns as the parameters of the statements below."""
    return {"all_" + name: array_of(of.c[name].type, values) for name, values in columns.items()}


def unnested(of: Table, names: Sequence[str]) -> Select[Any]:
    """Return the rows that the arrays are."""
    given = [bindparam("all_" + name, type_=array_type(of.c[name].type)) for name in names]
    return select(*(func.unnest(array, type_=of.c[name].type).label(name) for name, array in zip(names, given, strict=True)))


def insert(into: Table, names: Sequence[str]) -> postgresql.Insert:
    """Return the insertion of these rows."""
    return postgresql.insert(into).from_select(list(names), unnested(into, names))


@lru_cache
def update_seen(of: Table, names: tuple[str, ...]) -> Executable:
    """Return the update of rows that are still at the versions ``all_ctid`` and ``all_xmin``."""
    seen = [func.unnest(bindparam("all_" + name, type_=named(kind))).label(name) for name, kind in (("ctid", "TID[]"), ("xmin", "XID[]"))]
    new = select(*seen, *unnested(of, names).selected_columns).subquery("new")
    here = [kept(of, name) == new.c[name] for name in ("ctid", "xmin")]
    return of.update().values({name: new.c[name] for name in names}).where(*here)


def kept(of: Table, name: str) -> ColumnClause[Any]:
    """Return a column that PostgreSQL itself keeps."""
    own: ColumnClause[Any] = column(name)
    own.table = of
    return own
