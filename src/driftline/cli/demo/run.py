"""The demo from the first day to the last."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path

from rich.console import Console
from threadpoolctl import threadpool_limits

from driftline.cli.demo.clock import wait_for_rest
from driftline.cli.demo.closing import Result, collect, show
from driftline.cli.demo.command import FIRST_MONTH, LAST_MONTH
from driftline.cli.demo.comparison import compare
from driftline.cli.demo.monthly import by_month
from driftline.cli.demo.screen import Screen
from driftline.cli.demo.service import ScoringService
from driftline.cli.demo.stage import MODEL, Scene, set_scene
from driftline.cli.demo.workers import Workers
from driftline.cli.lag import LagWatch
from driftline.detectors.decider import DeciderConfig
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
    with Workers(scene.config, state / "logs") as workers:
        lived = _live(scene, service, workers, days, console)
        seconds = time.monotonic() - begun
        service.close()
        console.print("The year is over; scoring it with the two rivals.", highlight=False)
        months = by_month(scene.flights, scene.champion, service.scored, FIRST_MONTH, LAST_MONTH)
        # Others are asked about the whole year: of a part of it there is little to compare.
        comparison = compare(scene.flights, DeciderConfig.of(scene.settings.model(MODEL))) if not days else None
        result = collect(
            scene, days=lived, events=service.events, labels=service.labels, lost=service.publisher.lost, seconds=seconds, months=months,
            comparison=comparison,
        )  # fmt: skip
    show(result, console)
    return result


def _live(scene: Scene, service: ScoringService, workers: Workers, days: int, console: Console) -> int:
    year = list(islice(scene.flights.days(FIRST_MONTH, LAST_MONTH), days or None))
    begun = time.monotonic()
    with Screen(scene.settings, len(year), console) as screen, LagWatch(scene.settings, scene.engine) as watch:
        for day in year:
            service.serve(day)
            wait_for_rest(watch, workers, screen.note)
            champion = versions.current(scene.engine, MODEL)
            if champion is not None:
                service.swap(champion.sequence)
            screen.day(day.date.isoformat(), service.events + service.labels, time.monotonic() - begun)
    return len(year)
