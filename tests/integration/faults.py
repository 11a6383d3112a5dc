"""The faults as data: what happens, when, to which part, while which log is read. Everything else in the suite is one script and one checker."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, Literal

What = Literal[
    "kill",  # kill -9 of one process of a step
    "term",  # SIGTERM: it drains beside its successor
    "freeze",  # SIGSTOP for longer than the session, then SIGCONT: a zombie
    "die_at",  # kill -9 at the nth time that a step reaches a point of its code (points.py)
    "freeze_at",  # SIGSTOP there, and SIGCONT later
    "scale",  # so many processes of each step from now on
    "broker_restart",  # a clean stop, and a start at once
    "broker_crash",  # kill -9 of the broker, and a start at once
    "broker_away",  # the broker is gone for so long
    "database_away",  # PostgreSQL is stopped for so long without a checkpoint; SQLite is locked by another process
]
Step = Literal["summarise", "join", "detect"]
Database = Literal["sqlite", "postgresql"]
STEPS: Final[tuple[Step, ...]] = ("summarise", "join", "detect")
BOTH: Final[tuple[Database, ...]] = ("sqlite", "postgresql")
CODECS: Final = (None, "gzip", "snappy", "lz4", "zstd")

#: The session time-out of the tests.
SESSION_S: Final = 3
#: Longer than the session, so that who sleeps so long wakes up as a zombie.
FREEZE_S: Final = 1.5 * SESSION_S


@dataclass(frozen=True)
class Fault:
    """``what`` happens ``at_s`` after the steps are at work to ``on`` (a step, a point), lasts ``for_s``, is the ``n``-th time or makes ``n``."""

    at_s: float
    what: What
    on: str = ""
    for_s: float = 0.0
    n: int = 1


@dataclass(frozen=True)
class Input:
    """How the known stream stands in the log.

    ``codecs``, ``transactions`` (each batch in one, every fourth aborted and then written again) and ``columnar`` (predictions that follow one
    another share a record where they can) change nothing of what was published. With ``twice`` every event is delivered a second time, ``jumps`` has
    clocks jump by hours both ways, and ``silent`` leaves a partition without any record: then the undisturbed run is one of that log. ``pace``
    (records/s): the log grows while it is read; None: it is there before, and is raced through.
    """

    codecs: tuple[str | None, ...] = (None,)
    transactions: bool = False
    columnar: bool = False
    twice: bool = False
    jumps: bool = False
    silent: int | None = None
    pace: float | None = None

    @property
    def told(self) -> tuple[bool, bool, int | None]:
        """What the log says: inputs with the same are to come to the same."""
        return self.twice, self.jumps, self.silent


PLAIN: Final = Input()


@dataclass(frozen=True)
class Scenario:
    """A history of faults over an input. ``supervised``: by ``driftline worker``; otherwise who ends is started again at once."""

    name: str
    faults: tuple[Fault, ...] = ()
    input: Input = PLAIN
    workers: int = 2
    supervised: bool = False
    databases: tuple[Database, ...] = BOTH


def storm(seed: int, count: int, first_s: float, every_s: float) -> tuple[Fault, ...]:
    """Return a history in which every step is killed, frozen and told to stop in turn, at random moments."""
    rng = random.Random(seed)
    kinds: list[tuple[What, Step]] = [(what, step) for what in ("kill", "freeze", "kill", "term") for step in STEPS]
    rng.shuffle(kinds)
    return tuple(
        Fault(round(first_s + (i + rng.random()) * every_s, 2), what, step, FREEZE_S)
        for i, (what, step) in ((i, kinds[i % len(kinds)]) for i in range(count))
    )


def each(what: What, *, every_s: float, rounds: int, for_s: float = 0.0) -> tuple[Fault, ...]:
    """Return the same fault for each step in turn."""
    return tuple(Fault(round(0.3 + i * every_s, 2), what, STEPS[i % 3], for_s) for i in range(3 * rounds))


#: Detect commits when a pane closes or a checkpoint is due, so that its points come seldom and their ``n`` are small.
#: Where a step is most vulnerable: between what it has done and what says so.
DEATHS: Final = (
    Fault(0, "die_at", "summarise: a revision is sent, nothing says so", n=3),
    Fault(0, "die_at", "summarise: half of a flush is sent", n=5),
    Fault(0, "die_at", "summarise: the flush is told, not committed", n=7),
    Fault(0, "die_at", "join: in the transaction", n=2),
    Fault(0, "die_at", "join: committed, nothing published", n=4),
    Fault(0, "die_at", "join: published, not forgotten", n=3),
    Fault(0, "die_at", "detect: in the transaction", n=2),
    Fault(0, "die_at", "detect: committed, nothing published", n=2),
    Fault(0, "die_at", "detect: published, not forgotten", n=1),
)

#: Stopped in the act for longer than the session: its successor is at work when it wakes up.
ZOMBIES: Final = (
    Fault(0, "freeze_at", "summarise: a revision is sent, nothing says so", FREEZE_S, n=4),
    Fault(0, "freeze_at", "join: before the transaction", FREEZE_S, n=3),
    Fault(0, "freeze_at", "join: committed, nothing published", FREEZE_S, n=6),
    Fault(0, "freeze_at", "detect: before the transaction", FREEZE_S, n=2),
    Fault(0, "freeze_at", "detect: committed, nothing published", FREEZE_S, n=3),
)
#: Stopped inside a transaction: PostgreSQL ends it after four seconds, SQLite's other writers wait until it goes on.
SLEEPERS: Final = (
    Fault(0, "freeze_at", "join: in the transaction", FREEZE_S, n=3),
    Fault(0, "freeze_at", "detect: in the transaction", FREEZE_S, n=2),
)


def table(seed: int) -> tuple[Scenario, ...]:
    """Return the whole table, as ``make chaos`` runs it."""
    return (
        Scenario("kill -9, SIGTERM and SIGSTOP at random", storm(seed, 24, 0.2, 0.8)),
        Scenario("kill -9 of each step", each("kill", every_s=0.7, rounds=4)),
        Scenario("SIGTERM to each step", each("term", every_s=0.7, rounds=4)),
        Scenario("SIGSTOP past the session, then SIGCONT", each("freeze", every_s=1.5, rounds=2, for_s=FREEZE_S)),
        Scenario("kill -9 between what is done and what says so", DEATHS),
        Scenario("stopped in the act, then a zombie", ZOMBIES),
        Scenario("stopped inside a transaction", SLEEPERS),
        Scenario("1, then 4, then 2 workers", (Fault(0.5, "scale", n=4), Fault(4, "scale", n=2)), workers=1),
        Scenario("broker restarted", (Fault(1, "broker_restart"),)),
        Scenario("broker killed", (Fault(1, "broker_crash"),)),
        Scenario("broker away for less than the session", (Fault(1, "broker_away", for_s=1.5),), supervised=True),
        Scenario("broker away for a minute", (Fault(1, "broker_away", for_s=60),), supervised=True),
        Scenario("database away for five seconds", (Fault(1, "database_away", for_s=5),), supervised=True),
        Scenario("database away for a minute", (Fault(1, "database_away", for_s=60),), supervised=True),
        Scenario("compressed: gzip, snappy, lz4, zstd", storm(seed + 1, 6, 0.3, 0.8), Input(codecs=CODECS)),
        Scenario("transactions, some of them aborted", storm(seed + 2, 6, 0.3, 0.8), Input(codecs=CODECS, transactions=True)),
        Scenario("columnar records among the others", storm(seed + 7, 6, 0.3, 0.8), Input(codecs=CODECS, columnar=True)),
        Scenario("each event delivered twice", storm(seed + 3, 6, 0.3, 0.8), Input(twice=True)),
        Scenario("clocks jump by hours, both ways", storm(seed + 4, 6, 0.3, 0.8), Input(jumps=True)),
        Scenario("one partition silent", storm(seed + 5, 6, 0.3, 0.8), Input(silent=2)),
        Scenario("a slow stream", storm(seed + 6, 12, 0.5, 1.5), Input(pace=1_000)),
    )


def short() -> tuple[Scenario, ...]:
    """Return what ``make test`` runs: the same faults, several to a run."""
    everything = Input(codecs=CODECS, transactions=True, twice=True, jumps=True, silent=2)
    return (
        Scenario("kill -9, SIGTERM and SIGSTOP at random", storm(1, 9, 0.2, 0.6)),
        Scenario("kill -9 in the act, zombies, and 1, then 4, then 2 workers", (
            *DEATHS, ZOMBIES[3], SLEEPERS[0], Fault(0.5, "scale", n=4), Fault(4, "scale", n=2)
        ), workers=1),
        Scenario("every odd input at once", storm(4, 4, 0.3, 0.8), everything, databases=("sqlite",)),
        Scenario("broker restarted, then away", (Fault(0.5, "broker_restart"), Fault(5, "broker_away", for_s=8)), supervised=True,
                 databases=("sqlite",)),
        Scenario("database away", (Fault(1, "database_away", for_s=8),), supervised=True, databases=("postgresql",)),
    )  # fmt: skip
