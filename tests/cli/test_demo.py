"""The demo's first days, as a user would run it: real broker, real workers, real flights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(300)
def test_the_first_days_of_the_demo_lose_and_double_nothing(bootstrap: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "driftline", "demo", "--days", "6", "--json", "--bootstrap", bootstrap, "--state-dir", str(tmp_path / "demo")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as run:
        try:
            said, errors = run.communicate(timeout=270)
        except subprocess.TimeoutExpired:
            run.terminate()  # killed, it would leave its workers behind
            said, errors = run.communicate(timeout=25)
    assert said, errors[-2000:]
    result = json.loads(said)
    assert (result["days"], result["lost"]) == (6, 0)
    assert result["events"] > 5000
    assert result["watched_events"] == result["events"]
    assert result["joined_labels"] == result["labels"] > 4500
    # Six days close no loop, and the demo says so.
    assert run.returncode == 1
    assert result["open"] == ["no episode was opened", "nothing called for a challenger"]
    march = next(month for month in result["months"] if month["label"] == "Mar")
    assert march["live"] == march["static"]
    assert "Traceback" not in errors
