from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("way", ["plain", "publisher", "publish_batch"])
def test_the_cost_of_publishing_can_be_measured(bootstrap: str, prefix: str, way: str) -> None:
    command = [sys.executable, "-m", "benchmarks.publisher", "--topic-prefix", prefix, "--case", "cost", way, bootstrap, "600"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    found = json.loads(done.stdout)
    assert found["events"] == 600
    assert found["cpu_us_per_event"] > 0


def test_how_long_publish_takes_can_be_measured() -> None:
    command = [sys.executable, "-m", "benchmarks.publisher", "--case", "latency", "no_broker", "127.0.0.1:1", "200", "2000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout).keys() == {"p50_us", "p99_us", "p99.9_us", "max_us", "over_1ms", "events", "events_per_s", "lost"}
