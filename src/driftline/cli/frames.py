"""A reference from a DataFrame, without a file in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from driftline.cli.building import built, published, sample_of
from driftline.cli.columns import ColumnNames, rows_of
from driftline.contracts.errors import DriftlineError
from driftline.contracts.reference import Reference, Task
from driftline.contracts.settings import Settings
from driftline.contracts.summaries import SampleRow
from driftline.streams.pii import pii_secret

_WHERE = "the frame"


def reference_from_frame(
    frame: Any,
    settings: Settings,
    *,
    model: str,
    time: str,
    task: str | None = None,
    version: str = "*",
    label: str | None = None,
    score: str | None = None,
    prediction: str | None = None,
    features: Sequence[str] = (),
    effective_from: int | None = None,
) -> tuple[Reference, list[SampleRow]]:
    """Return the reference of a frame's rows, and the rows that reports compare with; ``driftline.store.references.put(engine, *pair)`` stores both.

    It is what ``driftline reference build`` makes of the same rows in a Parquet file, id and all.

    ``frame``: a pandas or Polars DataFrame or a pyarrow Table, of a time when all was well; its index is left out. ``time``: the column of event
    time: datetimes (UTC without a zone), ISO 8601 text or epoch milliseconds.
    ``label``, ``score`` (the probability of the positive class), ``prediction``:
    columns, of rows that the model was not fitted to. ``features``: columns; none named: every other one that the settings (``pii``) keep as it is.
    ``effective_from``: epoch milliseconds; None: after the rows. ``task``: None: as the settings say.

    Raises DriftlineError: a column that is not there, a time that is none, a column of several types, a task that is none.

    >>> import pandas as pd
    >>> from driftline.contracts.settings import build_settings
    >>> frame = pd.DataFrame({"at": pd.date_range("2024-01-01", periods=200, freq="h"), "x": range(200), "town": ["a", "b"] * 100})
    >>> reference, sample = reference_from_frame(frame, build_settings({}), model="m", time="at", task="regression")
    >>> [column.name for column in reference.columns], reference.rows, len(sample)
    (['x', 'town'], 200, 200)
    """
    own = settings.model(model)
    chosen = task if task is not None else own.task
    if chosen is None:
        raise DriftlineError(f"the settings do not say what {model} does: name it with task")
    if chosen not in get_args(Task):
        raise DriftlineError(f"task is {chosen!r}; expected {', '.join(get_args(Task))}")
    header, columns = _columns(frame)
    rows = rows_of(header, columns, ColumnNames(time, label, score, prediction, features), own.features, _WHERE)
    holds_from = effective_from if effective_from is not None else max(rows.times) + 1
    secret = pii_secret(settings)
    plain, _ = published(rows, own, secret, features)
    reference = built(plain, own, model=model, version=version, task=chosen, holds_from=holds_from)
    return reference, sample_of(rows, own, secret, reference)


def _columns(frame: Any) -> tuple[list[str], list[Sequence[object]]]:
    """Return the names and the columns of a frame, as a Parquet file would hold them."""
    try:
        import pyarrow as pa
    except ModuleNotFoundError:
        raise DriftlineError("frames need pyarrow: pip install 'driftline[columnar]'") from None
    try:
        if isinstance(frame, pa.Table):
            table = frame
        elif hasattr(frame, "to_arrow"):
            table = frame.to_arrow()
        else:
            table = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, AttributeError, TypeError, ValueError) as error:
        raise DriftlineError(f"{_WHERE} can't be read: {error}") from None
    names = [str(name) for name in table.column_names]
    if len(set(names)) != len(names):
        raise DriftlineError(f"{_WHERE}: a column name is there twice")
    return names, [column.to_pylist() for column in table.columns]
