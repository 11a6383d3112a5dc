"""docs/operations.md tells settings, topics and alert rules: they are those of the code and of deploy/, all of them and no other."""

from __future__ import annotations

from pathlib import Path

import msgspec
import yaml

from driftline.contracts.settings import RetentionSettings, WorkerSettings
from driftline.contracts.times import DAY_MS
from driftline.contracts.topics import TOPICS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "operations.md").read_text()


def rows(header: str) -> list[list[str]]:
    """Return the cells of the table that begins with these cells."""
    table = PAGE.partition(f"| {header} |\n")[2].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1:]]


def test_retention_is_told_as_it_is() -> None:
    told = {name.strip("`"): default for name, default, _ in rows("`retention.` | default | what")}
    assert told == msgspec.to_builtins(RetentionSettings())


def test_the_topics_are_told_as_they_are_made() -> None:
    told = {name.strip("`"): kept for name, kept in rows("topic | kept")}
    assert told == {topic.name: "compacted" if topic.compacted else f"{topic.retention // DAY_MS} days" for topic in TOPICS}


def test_every_alert_rule_is_told_and_no_other() -> None:
    rules = [rule for group in yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
    told = {name.strip("`"): severity for name, severity, *_ in rows("alert | severity | says | then")}
    assert told == {rule["alert"]: rule["labels"]["severity"] for rule in rules}


def test_what_the_page_says_of_the_session_holds() -> None:
    assert f"`worker.session_timeout` ({WorkerSettings().session_timeout.replace('s', ' s')})" in PAGE.replace("\n  ", " ")
    step = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["detect"]
    assert "--step" in step["command"]
    assert "INSTANCE_ID" not in str(step.get("environment"))
