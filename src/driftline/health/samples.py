"""What a process has to say at one moment: values by metric and labels, checked against the catalogue and merged where names share a label."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from driftline.health.catalogue import BY_NAME
from driftline.health.labels import Labels
from driftline.health.timing import Timing

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family


class Samples:
    """Collects values. Labels named ``model`` and ``column`` are capped here, whoever gives them."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._values: dict[str, dict[tuple[str, ...], float]] = {}
        self._timings: dict[str, dict[tuple[str, ...], Timing]] = {}

    def add(self, name: str, value: float, *labels: str) -> None:
        """Add one value. KeyError for a metric, ValueError for labels that the catalogue does not have."""
        metric = BY_NAME[name]
        key = self._capped(metric.labels, labels)
        values = self._values.setdefault(name, {})
        known = values.get(key)
        if known is None:
            values[key] = value
        else:
            values[key] = known + value if metric.merge == "sum" else max(known, value, key=abs)

    def add_timing(self, name: str, timing: Timing, *labels: str) -> None:
        """Add a histogram."""
        self._timings.setdefault(name, {})[self._capped(BY_NAME[name].labels, labels)] = timing

    def value(self, name: str, *labels: str) -> float | None:
        """Return a value, None where there is none."""
        return self._values.get(name, {}).get(labels)

    def families(self) -> Iterator[Family]:
        """Yield prometheus_client's families, in the catalogue's order."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        for name, metric in BY_NAME.items():
            if metric.kind == "histogram":
                histogram = HistogramMetricFamily(name, metric.help, labels=metric.labels)
                for key, timing in self._timings.get(name, {}).items():
                    histogram.add_metric(key, timing.cumulative(), timing.sum)
                family: Family = histogram
            else:
                kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
                plain = kind(name, metric.help, labels=metric.labels)
                for key, value in self._values.get(name, {}).items():
                    plain.add_metric(key, value)
                family = plain
            if family.samples:
                yield family

    def _capped(self, names: tuple[str, ...], given: tuple[str, ...]) -> tuple[str, ...]:
        if len(names) != len(given):
            raise ValueError(f"labels {given} for {names}")
        if "model" not in names:
            return given
        model = given[names.index("model")]
        shown = {"model": self._labels.model(model)}
        if "column" in names:
            shown["column"] = self._labels.column(model, given[names.index("column")])
        return tuple(shown.get(name, value) for name, value in zip(names, given, strict=True))
