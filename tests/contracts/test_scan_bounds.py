from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.contracts import scan_in_bounds

import driftline

pytest.importorskip("numba")


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the reading says with bounds checked: in a copy of the sources, beside which nothing is kept that was compiled without."""
    folder = tmp_path_factory.mktemp("checked")
    shutil.copytree(Path(driftline.__file__).parent, folder / "driftline", ignore=shutil.ignore_patterns("__pycache__"))
    env = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_OPT": "1", "PYTHONPATH": str(folder), "HOME": str(folder)}
    ran = subprocess.run([sys.executable, scan_in_bounds.__file__], env=env, capture_output=True, text=True, check=False, timeout=110)
    assert ran.returncode == 0, ran.stderr
    assert str(folder) in ran.stdout
    return ran.stdout


def test_no_record_has_anything_read_outside_of_what_there_is(output: str) -> None:
    found = re.search(r"(\d+) templates, (\d+) records, (\d+) read", output)
    assert found is not None, output
    templates, records, read = map(int, found.groups())
    assert templates == 6
    assert records > 10_000
    assert read > 100


def test_it_would_be_told(output: str) -> None:
    assert "bounds are checked" in output
