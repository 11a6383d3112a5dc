"""The replay clock: at the end of each simulated day it waits until everything published has been dealt with and every trigger is settled.

That makes a run's decisions a function of the data: whatever the machine's speed, the next day finds the same champion and the same references.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from driftline.cli.demo.workers import Workers
from driftline.cli.lag import Lag, LagWatch
from driftline.contracts.errors import DriftlineError

#: A training of a minute is slow, of ten is stuck.
DEADLINE_S = 600.0
#: A look costs some milliseconds that the workers could use: they are taken further and further apart.
_LOOK_S, _LOOK_SHARE, _LOOK_MOST_S = 0.03, 0.1, 0.2
_TELL_S = 20.0


class DayNeverEnded(DriftlineError):
    """The workers did not come to rest."""


def wait_for_rest(watch: LagWatch, workers: Workers, say: Callable[[str], None] = lambda _: None, deadline_s: float = DEADLINE_S) -> float:
    """Wait until the workers are at rest and return the seconds it took; DayNeverEnded names who lags, or who died.

    Whoever watches is told, now and then, what a long wait is for: a step that ends again and again is started again, and looks like a slow one.
    """
    begun = time.monotonic()
    told = begun
    while True:
        lag = watch.look()
        if lag.caught_up:
            return time.monotonic() - begun
        waited = time.monotonic() - begun
        if dead := workers.dead():
            names = ", ".join(f"{w.name} (exit {w.process.returncode}, see {w.log})" for w in dead)
            raise DayNeverEnded(f"a worker has ended by itself: {names}")
        if waited > deadline_s:
            raise DayNeverEnded(f"the workers have not come to rest within {deadline_s:.0f} s: {_who(lag)}")
        if time.monotonic() - told > _TELL_S:
            told = time.monotonic()
            say(f"waiting for {waited:.0f} s: {_who(lag)} (logs: {workers.logs})")
        time.sleep(min(max(_LOOK_S, _LOOK_SHARE * waited), _LOOK_MOST_S))


def _who(lag: Lag) -> str:
    behind = [f"{p.step} is {p.behind} records behind in {p.topic}[{p.partition}]" for p in lag.partitions if p.behind]
    behind += [f"{count} records of {owner} wait to be published" for owner, count in lag.outbox.items() if count]
    behind += [f"trigger {trigger} is open" for trigger in lag.open_triggers]
    return "; ".join(behind[:6])
