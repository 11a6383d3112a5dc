"""``python -m benchmarks.standing``: docs/standing.md of benchmarks/results, what is asked for beside what was measured, and where the time goes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "standing.md"

_HEAD = """# Where it stands

*Made by `python -m benchmarks.standing` of `benchmarks/results/`, where each file says its command, commit and machine; edit neither by hand.*

"""


class Mark(NamedTuple):
    """What is asked for, at least ``limit`` or at most, and where the figure stands."""

    what: str
    file: str
    place: tuple[str, ...]
    limit: float | None
    at_most: bool = False


MARKS = (
    Mark("summarise alone, times a stock Faust agent", "summarise", ("ratio_stock_faust",), 10),
    Mark("summarise alone, times a stock Faust agent, per core", "summarise", ("ratio_stock_faust_per_core",), None),
    Mark("pipeline, JSON events/s/core", "pipeline", ("json_events_per_s_per_core",), 100_000),
    Mark("pipeline without the join, JSON events/s/core", "pipeline", ("json_events_per_s_per_core_without_join",), None),
    Mark("pipeline, columnar events/s/core", "pipeline", ("columnar_events_per_s_per_core",), 1_000_000),
    Mark("pipeline without the join, columnar events/s/core", "pipeline", ("columnar_events_per_s_per_core_without_join",), None),
    Mark("pipeline per core, times Faust + River", "pipeline", ("ratio_faust",), None),
    Mark("pipeline per core, times Quix Streams + River", "pipeline", ("ratio_quix",), None),
    Mark("pipeline per core, times Bytewax + River", "pipeline", ("ratio_bytewax",), None),
    Mark("p99 from event to finding, s", "pipeline", ("p99_event_to_finding_s",), None),
    Mark("memory gained over 10 M events, MB", "pipeline", ("rss_growth_mb",), None),
    Mark("labelled outcomes/s, SQLite", "join", ("sqlite", "outcomes_per_s"), 10_000),
    Mark("labelled outcomes/s, PostgreSQL", "join", ("postgresql", "outcomes_per_s"), 20_000),
    Mark("labelled outcomes/s, PostgreSQL, two workers", "join", ("postgresql, 2 workers", "outcomes_per_s"), 20_000),
    *(
        Mark(f"labelled outcomes/s as records arrive, {said}", "join", (f"{name}, as records arrive", "outcomes_per_s"), mark)
        for said, name, mark in (
            ("SQLite", "sqlite", 10_000),
            ("PostgreSQL", "postgresql", 20_000),
            ("PostgreSQL, two workers", "postgresql, 2 workers", 20_000),
        )
    ),
    *(
        Mark(f"`publish` at 1,000/s, {said}: {at}, us", "publisher", ("publish", f"{where}_paced", f"{at}_us"), 1_000, at_most=True)
        for where, said in (("no_broker", "no broker ever"), ("broker", "with a broker"))
        for at in ("p99", "p99.9")
    ),
    Mark("the same loop around a JSON encoding alone: p99.9, us", "publisher", ("publish", "control_paced", "p99.9_us"), None),
    Mark("`publish`: processor time an event, times plain kafka-python", "publisher", ("ratio_publisher_to_plain",), None),
    Mark("`publish_batch`: processor time an event, times plain kafka-python", "publisher", ("ratio_publish_batch_to_plain",), None),
    Mark("`import driftline.producers`, s", "publisher", ("import", "import_s"), 0.3, at_most=True),
)
_STEPS = ("summarise", "join", "detect")
_RECOVERIES = {"sqlite": "recovery", "postgresql": "recovery_postgresql"}
#: So many of the costliest functions of each process are told.
_COSTLIEST = 4


def page(results: Path) -> str:
    """Return the page."""
    held = {path.stem: json.loads(path.read_text()) for path in sorted(results.glob("*.json"))}
    recovery = {database: held.get(file) for database, file in _RECOVERIES.items()}
    return _HEAD + "\n".join([*_marks(held), *_faults(held.get("chaos")), *_recovery(recovery), *_costs(results)]) + "\n"


def _marks(held: dict[str, Any]) -> Iterator[str]:
    yield "| what | asked for | measured | |\n|---|---|---|---|"
    for mark in MARKS:
        found = held.get(mark.file)
        for name in mark.place:
            found = found.get(name) if isinstance(found, dict) else None
        yield f"| {mark.what} | {_number(mark.limit)} | {_number(found)} | {_met(mark, found)} |"
    yield ""
    for name in ("summarise", "pipeline", "join", "state"):
        said = held.get(name, {})
        if "commit" in said:
            load = said["machine"]["load_average"][0]
            cores = said["machine"]["cores"]
            yield f"- `{name}.json`: `{said['command']}`, commit {said['commit']}, {said['date']}, {cores} cores, load {load} before."
    yield ""


def _met(mark: Mark, found: float | None) -> str:
    if mark.limit is None or found is None:
        return ""
    return "met" if found == mark.limit or (found < mark.limit) == mark.at_most else "**not met**"


def _faults(told: dict[str, Any] | None) -> Iterator[str]:
    if told is None:
        return
    rows = told["rows"]
    yield "## What was lost or doubled by faults\n"
    yield f"`{told['command']}`, commit {told['commit']}, {told['date']}; {told['circumstances']}.\n"
    yield "*At work* are the faults by the clock that fell while there was something left to do; others fall at points of the code. A row's log"
    yield "is written at once, a slow stream's at its pace. Rates are events a second, as the steps say themselves, all of them on this"
    yield "machine, in a row's best second."
    yield ""
    heads = ("database", "runs", "faults", "by the clock, at work", "lost, double or otherwise", "log written", "summarise", "join")
    yield f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}"
    for database in dict.fromkeys(row["database"] for row in rows):
        own = [row for row in rows if row["database"] == database]
        behind = [n for row in own for n in row["behind"]]
        paced, written = (sorted(row["written_per_s"] for row in own if ("slow" in row["fault"]) is slow) for slow in (True, False))
        cells = [
            database,
            len(own),
            sum(row["faults"] for row in own),
            f"{sum(n > 0 for n in behind)} of {len(behind)}",
            sum(bool(row["violations"]) for row in own),
            f"{written[0]:,} to {written[-1]:,}; slow {paced[0]:,}",
            *(f"up to {max(row[rate] for row in own):,}" for rate in ("summarise_best_per_s", "join_best_per_s")),
        ]
        yield f"| {' | '.join(map(str, cells))} |"
    yield ""


def _recovery(found: dict[str, list[dict[str, Any]] | None]) -> Iterator[str]:
    if not any(found.values()):
        return
    yield "## How long partitions are silent\n"
    yield "`python -m tests.integration.recovery`: from the fault to the next thing that the step brings about, beside events that never stop.\n"
    yield "| database | fault | step | faults | p50, s | max, s |\n|---|---|---|---|---|---|"
    for database, rows in found.items():
        for row in rows or ():
            yield f"| {database} | {row['fault']} | {row['step']} | {row['n']} | {row['p50_s']:.1f} | {row['max_s']:.1f} |"
    yield ""


def _costs(results: Path) -> Iterator[str]:
    yield "## Where the pipeline's time goes\n"
    yield "The costliest functions by their own time (py-spy, `profile-pipeline-*.txt`).\n"
    for kind in ("json", "columnar"):
        for step in _STEPS:
            profile = results / f"profile-pipeline-{kind}-{step}-0.txt"
            if profile.exists():
                own = profile.read_text().partition("share itself\n")[2].splitlines()[:_COSTLIEST]
                yield f"- {kind}, {step}: {'; '.join(' '.join(line.split()) for line in own)}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.3g}"


if __name__ == "__main__":
    PAGE.write_text(page(RESULTS))
    print(f"written: {PAGE}")
