"""The benchmark runs and writes what it says it writes. No figure is judged here: two busy cores have none worth judging."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_a_tiny_benchmark_writes_every_figure_that_is_asked_for(bootstrap: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.bench", "--tiny", "summarise", "pipeline", "--bootstrap", bootstrap, "--results", str(tmp_path)]

    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    summarise, pipeline = (_read(tmp_path / f"{name}.json") for name in ("summarise", "pipeline"))
    for figure in ("events_per_s", "decode_alone_events_per_s", "ratio_stock_faust"):
        assert summarise[figure] > 0
    assert pipeline["json_events_per_s_per_core"] > 0
    assert pipeline["systems"]["json"]["events_in_findings"] == pipeline["systems"]["json"]["events"]
    assert pipeline["failed"] == {}
    # What was not measured says so.
    unmeasured = ("columnar_events_per_s_per_core", "ratio_faust", "ratio_quix", "ratio_bytewax", "p99_event_to_finding_s", "rss_growth_mb")
    assert {name: pipeline[name] for name in unmeasured} == dict.fromkeys(unmeasured)
    for result in (summarise, pipeline):
        assert {"date", "command", "commit", "machine", "versions", "versions_of_peers", "rule"} <= result.keys()


def test_a_part_that_is_not_known_is_refused_with_those_that_are() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks.bench", "speed"], cwd=_ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "'speed'" in done.stderr
    assert "summarise, pipeline, columnar, peers, latency, memory" in done.stderr


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content
