"""``driftline detectors``: what each would have cost on the model's own reference."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from driftline.cli.main import app
from driftline.contracts.sequential import SEQUENTIAL
from driftline.contracts.summaries import SampleRow
from driftline.detectors.reference import build_reference
from driftline.store import references
from driftline.store.database import migrate, open_database

YAML = """models:
  m:
    task: classification
    pane: 1h
    window: 1d
    detectors: [{name: page_hinkley, reads: [x], series: rows, role: decide, parameters: {threshold: 20}}]
"""
T0, N = 1_700_000_000_000, 1_500


def test_the_costs_of_all_detectors_are_told_beside_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRIFTLINE_CONFIG", raising=False)
    Path("driftline.yaml").write_text(YAML)
    rng = np.random.default_rng(0)
    x, times = rng.standard_normal(N).tolist(), [T0 + i * 600_000 for i in range(N)]
    scores = rng.random(N)
    reference = build_reference(
        model="m", version="1", task="classification", effective_from=T0, origin="built", times=times, features={"x": x},
        scores=scores.tolist(), labels=(rng.random(N) < scores).astype(int).tolist(),
    )  # fmt: skip
    engine = open_database("sqlite:///.driftline/driftline.db")
    migrate(engine)
    references.put(engine, reference, [SampleRow(i, str(i), times[i], "1", {"x": x[i]}, None, float(scores[i])) for i in range(N)])
    engine.dispose()

    result = CliRunner().invoke(app, ["detectors", "m", "--json"])
    assert result.exit_code == 0, (result.stdout, result.stderr, result.exception)
    told = json.loads(result.stdout)
    assert told["hours"] == 720
    assert {row["detector"] for row in told["detectors"]} == set(SEQUENTIAL)
    [asked] = [row for row in told["detectors"] if row["role"] == "decide"]
    assert (asked["detector"], asked["column"], asked["series"], asked["parameters"]) == ("page_hinkley", "x", "rows", {"threshold": 20})
    assert asked["n"] == N
    assert asked["low"] <= asked["expected"] <= asked["high"]
    shown = CliRunner().invoke(app, ["detectors", "m"])
    assert shown.exit_code == 0
    assert "1 per 30d" in shown.stdout
