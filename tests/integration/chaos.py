"""The script: a log, steps that read it, faults, and what it all came to. ``python -m tests.integration.chaos --help``."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from tests import postgres
from tests.integration.faults import Fault, Input, Scenario, table
from tests.integration.inputs import as_told, publish
from tests.integration.invariants import Stored, against_the_log, stored, violations, wait_until_done
from tests.integration.parts import NOBODYS, Parts
from tests.integration.processes import Steps
from tests.integration.rates import Rate, rates
from tests.integration.scene import Scene, set_scene
from tests.integration.stream import Plan, Record, records, references

from driftline.cli.kafka_local import start_broker, stop_broker
from driftline.cli.lag import LagWatch
from driftline.store import detection

_OF_PARTS = ("broker_restart", "broker_crash", "broker_away", "database_away")
#: Done by the process itself when it gets there.
_BY_ITSELF = ("die_at", "freeze_at")


@dataclass(frozen=True)
class Outcome:
    """What a run came to. ``rate``: the records of the log, by the seconds in which they were dealt with (the wait for idleness included)."""

    stored: Stored
    seconds: float
    rate: float
    told: list[str] = field(default_factory=list)
    deaths: list[str] = field(default_factory=list)
    #: How long after the last part was back everything was dealt with.
    after_s: float = 0.0
    #: Records a second at which the log was written.
    written: float = 0.0
    #: How many records were still to be dealt with, by all steps together, when each of the faults by the clock fell.
    behind: list[int] = field(default_factory=list)
    #: Records a second of summarise and of the join while they read.
    rates: dict[str, Rate] = field(default_factory=dict)

    @property
    def missed(self) -> list[str]:
        """What of the history never happened."""
        return [line for line in self.told if line.startswith(("never", "no "))]

    @property
    def in_vain(self) -> list[str]:
        """That most of the faults fell on steps with nothing left to do: then the run proves less than it says."""
        at_work = sum(n > 0 for n in self.behind)
        return [f"only {at_work} of {len(self.behind)} faults fell while there was work: {self.behind}"] if 2 * at_work < len(self.behind) else []


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table that the script prints."""

    fault: str
    database: str
    faults: int
    violations: list[str]
    seconds: float
    #: Records a second at which the log was written, and at which it was dealt with, pauses and the wait for idleness included.
    written_per_s: float
    events_per_s: float
    #: Records a second of a step from the first that it read to the last, faults included, and in its best second.
    summarise_per_s: int
    summarise_best_per_s: int
    join_per_s: int
    join_best_per_s: int
    #: Of the faults by the clock: how many records were still to be dealt with when each fell. Those by a point of the code fall at work.
    behind: list[int]
    #: Steps that ended by themselves and were started again, and how long after the return of what was away all was dealt with.
    ends: int
    after_s: float
    reasons: list[str]


def run(scene: Scene, log: Sequence[Record], scenario: Scenario, *, parts: Parts = NOBODYS, flaw: str | None = None, seed: int = 1) -> Outcome:
    """Let the steps read a log while faults happen, and wait until all is dealt with."""
    how = scenario.input
    written: list[float] = []
    publisher = threading.Thread(target=lambda: written.append(publish(scene.settings, log, how)))
    publisher.start()
    if how.pace is None:
        publisher.join()
    began = time.monotonic()
    with Steps(scene.tree, scene.folder, scenario.workers, forked=True, supervised=scenario.supervised, flaw=flaw, faults=scenario.faults) as steps:
        _until_at_work(scene, steps)
        behind, back = _do(scene, steps, scenario.faults, parts, random.Random(seed))
        while publisher.is_alive():
            steps.look_after()
            time.sleep(0.02)
        wait_until_done(scene.settings, scene.engine, steps, 300)
        now = time.monotonic()
        told = [*steps.told, *(f"never: {point}" for point in steps.untold())]
        deaths = [*steps.deaths, *steps.last_words()]
    found = stored(scene.engine, scene.references)
    return Outcome(found, now - began, len(log) / (now - began), told, deaths, now - back, written[0], behind, rates(scene.settings))


def _until_at_work(scene: Scene, steps: Steps, within_s: float = 180) -> None:
    deadline = time.monotonic() + within_s
    while not detection.positions(scene.engine):
        steps.look_after()
        if time.monotonic() > deadline:
            raise AssertionError(f"the steps do nothing:\n{steps.logs()}")
        time.sleep(0.02)


def _do(scene: Scene, steps: Steps, faults: Sequence[Fault], parts: Parts, rng: random.Random) -> tuple[list[int], float]:
    """Do the faults at their times; return how many records were to be dealt with at each, and when the last of them was over."""
    began, behind = time.monotonic(), list[int]()
    with LagWatch(scene.settings, scene.engine) as watch:
        for fault in sorted((f for f in faults if f.what not in _BY_ITSELF), key=lambda f: f.at_s):
            while time.monotonic() - began < fault.at_s:
                steps.look_after()
                time.sleep(0.02)
            behind.append(watch.look().behind)
            if fault.what == "scale":
                steps.scale(fault.n)
            elif fault.what in _OF_PARTS:
                steps.told.append(f"{fault.what} for {fault.for_s:g} s")
                away = threading.Thread(target=parts.do, args=(fault, scene.settings.database))
                away.start()
                while away.is_alive():
                    steps.look_after()
                    time.sleep(0.02)
            else:
                steps.hit(fault, rng)
    return behind, time.monotonic()


@contextmanager
def own_parts(folder: Path, *, database: str = "postgresql") -> Iterator[tuple[str, str | None, Parts]]:
    """A broker and, if asked for, a PostgreSQL that nobody else uses: where they are, and how to take them away."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # PostgreSQL's user has to pass through
    try:
        server = postgres.start(folder / "postgres") if database == "postgresql" else None
        yield start_broker(folder / "broker").bootstrap, server, Parts(folder / "broker", folder / "postgres")
    finally:
        stop_broker(folder / "broker")
        postgres.stop(folder / "postgres")


def leave_on_sigterm() -> None:
    """Have SIGTERM unwind the stack, so that brokers and steps end with the script."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


class Script:
    """The whole table on both databases, over parts of its own."""

    def __init__(self, folder: Path, bootstrap: str, server: str | None, parts: Parts, plan: Plan) -> None:
        self._folder = folder
        self._bootstrap = bootstrap
        self._server = server
        self._parts = parts
        self._plan = plan
        self._now = time.time_ns() // 1_000_000
        self._stream = records(plan)
        self._undisturbed: dict[tuple[bool, bool, int | None], Stored] = {}
        self._runs = 0

    def run(self, scenario: Scenario, database: str) -> list[Result]:
        """Run one scenario on one database, after an undisturbed run of the same log unless there was one."""
        results = []
        expected = self._undisturbed.get(scenario.input.told)
        if expected is None:
            calm = Scenario("undisturbed", input=Input(twice=scenario.input.twice, jumps=scenario.input.jumps, silent=scenario.input.silent))
            with self._scene("sqlite") as scene:
                outcome = run(scene, self._log(calm.input), calm)
                wrong = against_the_log(scene, outcome.stored)
                if wrong:
                    raise AssertionError(f"undisturbed, the steps do not come to what the log holds: {wrong}")
            expected = self._undisturbed[scenario.input.told] = outcome.stored
            results.append(_result(calm, "sqlite", outcome, []))
        with self._scene(database) as scene:
            outcome = run(scene, self._log(scenario.input), scenario, parts=self._parts, seed=self._plan.seed)
            found = violations(scene, expected, outcome.stored)
        return [*results, _result(scenario, database, outcome, [*found, *outcome.missed, *outcome.in_vain])]

    def _log(self, how: Input) -> list[Record]:
        return as_told(self._stream, how, self._now)

    @contextmanager
    def _scene(self, database: str) -> Iterator[Scene]:
        self._runs += 1
        folder = self._folder / f"run-{self._runs}"
        if database == "sqlite" or self._server is None:
            with set_scene(self._bootstrap, f"sqlite:///{folder / 'driftline.db'}", folder, references()) as scene:
                yield scene
            return
        with postgres.fresh_database(self._server) as url, set_scene(self._bootstrap, url, folder, references()) as scene:
            yield scene


def _result(scenario: Scenario, database: str, outcome: Outcome, found: list[str]) -> Result:
    return Result(
        fault=scenario.name,
        database=database,
        faults=len(scenario.faults),
        violations=found,
        seconds=round(outcome.seconds, 1),
        written_per_s=round(outcome.written),
        events_per_s=round(outcome.rate),
        summarise_per_s=outcome.rates["summarise"].between,
        summarise_best_per_s=outcome.rates["summarise"].best,
        join_per_s=outcome.rates["join"].between,
        join_best_per_s=outcome.rates["join"].best,
        behind=outcome.behind,
        ends=len(outcome.deaths),
        after_s=round(outcome.after_s, 1),
        reasons=outcome.deaths,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the table, or the scenarios whose names hold a word; print it, and write it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.chaos", description=main.__doc__)
    parser.add_argument("--seed", type=int, default=1, help="another stream, another history of faults")
    parser.add_argument("--only", default="", metavar="WORD", help="only the scenarios whose name holds this")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), help="only this one")
    parser.add_argument("--days", type=int, default=8, help="length of the stream, in days of event time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here")
    asked = parser.parse_args(arguments)
    leave_on_sigterm()
    plan = Plan(days=asked.days, clicks_per_hour=160, prices_per_hour=90, shift_day=asked.days * 6 // 10, seed=asked.seed)
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="driftline-chaos-") as name, own_parts(Path(name)) as (bootstrap, server, parts):
        script = Script(Path(name), bootstrap, server, parts, plan)
        for scenario in table(asked.seed):
            for database in scenario.databases:
                if asked.only in scenario.name and asked.database in (None, database):
                    for result in script.run(scenario, database):
                        results.append(result)
                        sys.stdout.write(_line(result) + "\n")
                        sys.stdout.flush()
    if asked.json is not None:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
    wrong = sum(bool(r.violations) for r in results)
    sys.stdout.write(f"seed {asked.seed}: {len(results)} runs, {wrong} with something lost, double or otherwise\n")
    return 1 if wrong else 0


def _line(r: Result) -> str:
    verdict = "equal" if not r.violations else "; ".join(r.violations)[:500]
    work = f"{sum(n > 0 for n in r.behind)}/{len(r.behind)} at work"
    rates = f"summarise {r.summarise_per_s:,} (best {r.summarise_best_per_s:,}) join {r.join_per_s:,} (best {r.join_best_per_s:,})/s"
    figures = f"{r.faults:>3} faults {work:>13} {r.seconds:>6.1f} s {r.events_per_s:>7,.0f}/s {rates} {r.ends:>3} ends {r.after_s:>5.1f} s"
    return f"{r.fault:<50} {r.database:<10} {figures}  {verdict}"


if __name__ == "__main__":
    sys.exit(main())
