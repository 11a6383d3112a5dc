"""The demo from the first day to the last."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice, zip_longest
from pathlib import Path

from rich.console import Console
from threadpoolctl import threadpool_limits

from driftline.cli.demo.clock import wait_for_rest
from driftline.cli.demo.closing import Result, collect, show
from driftline.cli.demo.command import FIRST_MONTH, LAST_MONTH
from driftline.cli.demo.flights import Day
from driftline.cli.demo.meanwhile import beside
from driftline.cli.demo.monthly import by_month
from driftline.cli.demo.screen import Screen
from driftline.cli.demo.service import ScoringService
from driftline.cli.demo.stage import MODEL, Scene, set_scene
from driftline.cli.demo.workers import Workers
from driftline.cli.lag import LagWatch
from driftline.store import versions


def run_demo(state: Path, bootstrap: str | None, days: int, console: Console) -> Result:
    """Run the demo below ``state`` for so many days (0: all) and return what it found."""
    console.print(f"Driftline watches a year of flights; meanwhile try: driftline --config {state / 'driftline.yaml'} status", highlight=False)
    # One thread each: OpenMP's threads spin while they wait, and broker, workers and service share the machine's cores.
    threadpool_limits(1)
    scene = set_scene(state, bootstrap, lambda text: console.print(f"  {text}", highlight=False))
    console.print(f"  {scene.version.sentence}", highlight=False)
    service = ScoringService(scene)
    begun = time.monotonic()
    year = list(islice(scene.flights.days(FIRST_MONTH, LAST_MONTH), days or None))
    months_lived = sorted({day.date.month for day in year})
    watched = scene.settings.model(MODEL) if not days else None
    with beside(scene.flights, scene.champion, months_lived, watched) as meanwhile, Workers(scene.config, state / "logs") as workers:
        _live(scene, service, workers, year, console)
        seconds = time.monotonic() - begun
        service.close()
        console.print("The year is over; comparing it with what others would have made of it.", highlight=False)
        months = by_month(scene.flights, meanwhile.rivals.get(), service.scored, FIRST_MONTH, LAST_MONTH)
        comparison = meanwhile.comparison.get() if meanwhile.comparison is not None else None
        result = collect(
            scene, days=len(year), events=service.events, labels=service.labels, lost=service.publisher.lost, seconds=seconds, months=months,
            comparison=comparison,
        )  # fmt: skip
    show(result, console)
    return result


def _live(scene: Scene, service: ScoringService, workers: Workers, year: Sequence[Day], console: Console) -> None:
    begun = time.monotonic()
    with Screen(scene.settings, len(year), console) as screen, LagWatch(scene.settings, scene.engine) as watch:
        for day, after in zip_longest(year, year[1:]):
            service.serve(day)
            if after is not None:
                service.prepare(after)
            wait_for_rest(watch, workers, screen.note)
            champion = versions.current(scene.engine, MODEL)
            if champion is not None:
                service.swap(champion.sequence)
            screen.day(day.date.isoformat(), service.events + service.labels, time.monotonic() - begun)
