"""The plain counters of one process: written once a batch, read when somebody scrapes.

Steps know nothing of Prometheus. They add to these numbers, and those with something to show beyond counts register a *view*: a function that puts
values into Samples, called in the endpoint's thread, which therefore only reads.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from driftline.health.labels import Labels
from driftline.health.samples import Samples
from driftline.health.timing import Timing

View = Callable[[Samples], None]


class Telemetry:
    """Counters and views of one process."""

    def __init__(self, labels: Labels | None = None) -> None:
        self.labels = labels or Labels()
        self.views: list[View] = []
        self._counts: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self._timings: dict[str, Timing] = {}

    def count(self, name: str, n: int, *labels: str) -> None:
        """Add ``n`` to a counter of the catalogue. The label of a model is capped: what is counted stays bounded whatever names come."""
        if n:
            self._counts[name, labels] += n

    def count_of_model(self, name: str, n: int, model: str) -> None:
        """Add ``n`` to a counter whose one label is the model."""
        self.count(name, n, self.labels.model(model))

    @contextmanager
    def timed(self, call: str) -> Iterator[None]:
        """Time a call of a step."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self._timings.setdefault(call, Timing()).add(time.perf_counter() - begun)

    def collect(self) -> Samples:
        """Return everything as it stands."""
        samples = Samples(self.labels)
        for (name, labels), n in self._counts.copy().items():
            samples.add(name, n, *labels)
        for call, timing in self._timings.copy().items():
            samples.add_timing("driftline_step_duration_seconds", timing, call)
        for view in list(self.views):
            view(samples)
        return samples
