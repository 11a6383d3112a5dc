from __future__ import annotations

import json
from pathlib import Path

from benchmarks.standing import PAGE, RESULTS, page


def test_the_page_is_what_the_results_say() -> None:
    assert PAGE.read_text() == page(RESULTS)


def test_a_mark_is_met_missed_or_not_measured(tmp_path: Path) -> None:
    (tmp_path / "join.json").write_text(json.dumps({"sqlite": {"outcomes_per_s": 10_000}, "postgresql": {"outcomes_per_s": 19_999}}))
    (tmp_path / "profile-pipeline-json-join-0.txt").write_text("join-0\n\nshare itself\n 19.3 %  decode (x.py)\n\nshare with what it calls\n")

    made = page(tmp_path)

    assert "| labelled outcomes/s, SQLite | 10,000 | 10,000 | met |" in made
    assert "| labelled outcomes/s, PostgreSQL | 20,000 | 19,999 | **not met** |" in made
    assert "| p99 from event to finding, s |  |  |  |" in made
    assert "- json, join: 19.3 % decode (x.py)" in made
