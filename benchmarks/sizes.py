"""How much each form of the benchmark reads."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sizes:
    """Events of each part. ``one_at_a_time`` is for systems that take one event at a time; all else is read whole."""

    json: int = 1_000_000
    every_outcome: int = 200_000
    columnar: int = 6_000_000
    one_at_a_time: int = 80_000
    peers: dict[str, int] = field(default_factory=lambda: {"faust": 60_000, "quix": 600_000, "bytewax": 600_000})
    memory: int = 10_000_000
    latency_s: float = 75.0
    latency_models: int = 10
    latency_per_second: int = 1000
    repeats: int = 3
    #: All variants of each part, and profiles; else the one that carries the headline.
    thorough: bool = True


FULL = Sizes()
#: For development: figures to look at, not to publish.
QUICK = Sizes(
    json=300_000, every_outcome=50_000, columnar=2_000_000, one_at_a_time=20_000, peers={"faust": 15_000, "quix": 200_000, "bytewax": 200_000},
    memory=500_000, latency_s=35.0, repeats=1,
)  # fmt: skip
#: Whether it runs at all.
TINY = Sizes(
    json=2_000, every_outcome=1_000, columnar=4_000, one_at_a_time=500, peers={}, memory=2_000, latency_s=32.0, latency_models=1,
    latency_per_second=100, repeats=1, thorough=False,
)  # fmt: skip
