"""What the year is compared with, worked out beside it: in a process of the lowest priority, from flights alone, so that nobody waits for it.

Nothing of it depends on what the workers find, and they leave a part of a second core idle.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.pool import AsyncResult
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from driftline.cli.demo.comparison import Comparison, compare
from driftline.cli.demo.flights import Flights
from driftline.cli.demo.monthly import Rivals, rivals
from driftline.contracts.settings import ModelSettings


class Meanwhile(NamedTuple):
    """What is being worked out; ``get`` waits for it. ``comparison`` is None where only a part of the year is lived: there is little to compare."""

    rivals: AsyncResult[Rivals]
    comparison: AsyncResult[Comparison] | None


@contextmanager
def beside(flights: Flights, static: Any, months: Iterable[int], own: ModelSettings | None) -> Iterator[Meanwhile]:
    """Have the rivals live through the months, and others watch the whole year if ``own`` says how ours does; ended with the block."""
    with multiprocessing.get_context("spawn").Pool(1, initializer=_last_of_all) as pool:
        lived = pool.apply_async(rivals, (flights, static, tuple(months)))
        yield Meanwhile(lived, None if own is None else pool.apply_async(compare, (flights, own)))


def _last_of_all() -> None:
    os.nice(19)
    threadpool_limits(1)
