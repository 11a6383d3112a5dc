"""docs/chaos.md names rows, tests and controls: each has to be there, and each row of the suite has to be on the page."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

from tests.integration.faults import table
from tests.integration.flaws import FLAWS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "chaos.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]


def test_every_test_and_file_that_the_page_names_is_there() -> None:
    defined = set(chain.from_iterable(re.findall(r"def (test_\w+)", path.read_text()) for path in (ROOT / "tests").rglob("test_*.py")))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 20
    assert named <= defined, named - defined
    for path in re.findall(r"`(tests/[\w/.]+)`", PAGE):
        assert (ROOT / path).is_file(), path


def test_every_row_of_the_suite_is_on_the_page_and_no_other() -> None:
    named = set(re.findall(r'"([^"]+)"', "\n".join(ROWS)))
    assert named == {scenario.name for scenario in table(1)}


def test_every_control_is_on_the_page_and_no_other() -> None:
    controls = {name for row in ROWS for name in re.findall(r"`([a-z_]+)`", row.split("|")[-2]) if not name.startswith("test_")}
    assert controls == set(FLAWS)


def test_no_flaw_of_the_prototype_is_left_out() -> None:
    assert [int(row.split("|")[1].split(".")[0]) for row in ROWS if re.match(r"\| \d+\.", row)] == list(range(1, 12))
