"""A frame makes the reference that the same rows in a file make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from driftline.cli.building import built
from driftline.cli.columns import ColumnNames, read_rows
from driftline.cli.frames import reference_from_frame
from driftline.contracts.errors import DriftlineError
from driftline.contracts.settings import build_settings
from driftline.store import references
from driftline.store.database import migrate, open_database

SETTINGS = build_settings({"models": {"m": {"task": "classification", "features": {"code": "categorical"}, "slice_features": ["town"]}}})
NAMES = ColumnNames("at", "y", "p")


def _frame(n: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    x = rng.normal(size=n)
    x[::50] = np.nan
    x[7:8] = np.inf
    frame = pd.DataFrame(
        {
            "at": pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC"),
            "x": x,
            "code": rng.integers(0, 5, n),
            "town": pd.Categorical(rng.choice(["north", "south"], n)),
            "n": pd.array(rng.integers(0, 9, n), dtype="Int64"),
            "sure": rng.random(n) < 0.5,
            "p": rng.random(n),
            "y": rng.integers(0, 2, n),
        }
    )
    frame.loc[frame.index == 3, "n"] = pd.NA
    frame.loc[frame.index == 4, "town"] = None
    return frame.set_index(pd.Index(range(10, n + 10)))


def test_a_frame_makes_the_reference_that_its_rows_in_a_file_make(tmp_path: Path) -> None:
    frame = _frame()
    reference, sample = reference_from_frame(frame, SETTINGS, model="m", time="at", label="y", score="p")
    frame.to_parquet(tmp_path / "rows.parquet", index=False)
    rows = read_rows(tmp_path / "rows.parquet", NAMES, SETTINGS.model("m").features)
    assert reference == built(rows, SETTINGS.model("m"), model="m", version="*", task="classification", holds_from=max(rows.times) + 1)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    assert reference_from_frame(table, SETTINGS, model="m", time="at", label="y", score="p")[0] == reference
    assert [c.name for c in reference.columns if c.role == "feature"] == ["x", "code", "town", "n", "sure"]
    assert reference.labelled_rows == len(frame) == len(sample)
    engine = open_database(f"sqlite:///{tmp_path / 'frames.db'}")
    migrate(engine)
    assert references.put(engine, reference, sample)
    assert not references.put(engine, reference, sample)
    assert references.for_model(engine, "m") == [reference]
    engine.dispose()


@pytest.mark.parametrize(
    ("frame", "changed", "told"),
    [
        (_frame(5), {"time": "when"}, "has no column when"),
        (_frame(0), {}, "has no rows"),
        (_frame(5).assign(at=pd.Series([None] * 5, dtype="datetime64[ns]")), {}, "line 1: .* is no time"),
        (_frame(5).assign(x=pd.Series(["a", 1, 2.0, b"c", True], index=range(10, 15), dtype=object)), {}, "can't be read"),
        (_frame(5), {"task": "clustering"}, "expected classification"),
        ([1, 2], {}, "can't be read"),
    ],
)
def test_what_is_wrong_with_a_frame_is_said(frame: Any, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(DriftlineError, match=told):
        reference_from_frame(frame, SETTINGS, **{"model": "m", "time": "at", "label": "y", "score": "p", **changed})
