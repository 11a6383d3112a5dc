"""One step of Driftline as ``driftline worker --step`` runs it, with a probe at its agents: ``driftline_step.py config step probe``."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.probe import Probe

from driftline.cli.config import load_settings
from driftline.cli.logs import configure
from driftline.cli.step import run_step
from driftline.streams import app as streams
from driftline.streams.summarise import Summarise


def main() -> int:
    """Run the step until told to stop."""
    config, step, path = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    configure("info", step=step)
    probe, taken = Probe(path), Count()
    agent, flush = streams._agent, Summarise.flush  # noqa: SLF001  # the step itself has nothing to count with

    def probed(app: Any, settings: Any, topic: Any, take: Callable[[Any], Awaitable[None]]) -> None:
        async def counted(batch: Any) -> None:
            probe.begin()
            await take(batch)
            taken.n += len(batch.records)
            if step != "summarise":
                probe.reached(taken.n)

        agent(app, settings, topic, counted)

    async def counted_flush(self: Summarise) -> None:
        # What summarise has taken is done when the broker has its summaries.
        n = taken.n
        await flush(self)
        probe.reached(n)

    streams._agent = probed  # noqa: SLF001
    Summarise.flush = counted_flush  # type: ignore[method-assign]
    return run_step(load_settings(config, {}), step)


class Count:
    """A number that two functions share."""

    n = 0


if __name__ == "__main__":
    sys.exit(main())
