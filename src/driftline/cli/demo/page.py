"""The comparison as a page of docs: made by one command, never by hand."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from driftline.cli.demo.comparing import TITLE, WAYS, rows_of, words_of
from driftline.cli.demo.comparison import Comparison

COMMAND = "driftline demo --compare --page docs/flights.md"


def page_of(told: Comparison, origin: str) -> str:
    """Return the page in Markdown. ``origin`` says which code made it, and when."""
    rows = rows_of(told)
    lines = [
        "# The flights: what each would have said, feature by feature",
        "",
        f"*Made by `{COMMAND}` ({origin}). It takes no Kafka and about a minute; edit nothing here by hand.*",
        "",
        (
            "Every flight that left New York in 2013, without a model: the features, and whether a flight was late. January and February are the "
            "reference, in which any alarm is a false one; what is reported from March to December may be weather, seasons or drift, and nobody "
            "retrains or accepts anything. What the same budget made of the year with a model that is retrained is told by `driftline demo`."
        ),
        "",
        *(f"- {sentence}" for sentence in words_of(told)),
        "",
        f"## {TITLE}",
        "",
        *_table(("feature", *WAYS.values()), [(feature, *cells) for feature, cells, _ in rows]),
        "",
        "## What Driftline newly named, when, and as what",
        "",
        *_table(("feature", "since then in its alerts"), [(feature, said) for feature, _, said in rows if said]),
        "",
        "## Its alerts, word by word",
        "",
        *(f"- {alert}" for alert in told.alerts),
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def origin() -> str:
    """Return the version of this code, in a checkout its commit too, and today's date."""
    root = Path(__file__).parents[4]
    commit = ""
    if (root / "pyproject.toml").is_file() and (root / ".git").exists():
        done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True, check=False)
        commit = f", commit {done.stdout.strip()}" if done.returncode == 0 else ""
    return f"driftline {version('driftline')}{commit}, {datetime.now(UTC):%Y-%m-%d}"


def _table(heading: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [heading, tuple("---" for _ in heading), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
