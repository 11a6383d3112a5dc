"""One process's health put together: its port by name, its endpoint, its metrics."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING

from driftline.contracts.settings import Settings
from driftline.health.catalogue import PROCESSES, Process
from driftline.health.labels import Labels
from driftline.health.telemetry import Telemetry
from driftline.health.vitals import Vitals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric as Family

    from driftline.health.samples import Samples


def port_of(settings: Settings, process: Process) -> int | None:
    """Return the port of a process: ``http.port`` is the first one's, the others follow; None where there is none.

    >>> from driftline.contracts.settings import build_settings
    >>> port_of(build_settings({"http": {"port": 9464}}), "retrain")
    9468
    """
    return settings.http.port + PROCESSES.index(process) if settings.http.port else None


def telemetry_of(settings: Settings) -> Telemetry:
    """Return the counters of a process, with the configured models and columns first among the labels."""
    configured = {name: (*model.features, *model.importance) for name, model in settings.models.items()}
    return Telemetry(Labels(settings.http.model_labels, settings.http.column_labels, configured))


def serve(settings: Settings, process: Process, vitals: Vitals, telemetry: Telemetry) -> None:
    """Start the endpoint of a process, if the settings give it a port; the database is watched beside it."""
    port = port_of(settings, process)
    if port is None:
        return
    from driftline.health.endpoint import Endpoint

    if process != "summarise":
        from driftline.health.database import DatabaseWatch
        from driftline.store.database import open_database

        watch = DatabaseWatch(lambda: open_database(settings.database), process)
        watch.start()
        telemetry.views.append(watch.show)
    telemetry.views.append(_vital_view(process, vitals))
    Endpoint(settings.http.host, port, process=process, vitals=vitals, metrics=exposition(telemetry)).start()


class _Collector:
    """What prometheus_client asks when it is scraped."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def collect(self) -> Iterator[Family]:
        yield from self._telemetry.collect().families()

    def describe(self) -> list[Family]:
        return []


def exposition(telemetry: Telemetry) -> Callable[[], tuple[bytes, str]]:
    """Return the function that writes a process's metrics in Prometheus's text format, those of the process itself included."""
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(_Collector(telemetry))
    return lambda: (generate_latest(registry), CONTENT_TYPE_LATEST)


def _vital_view(process: Process, vitals: Vitals) -> Callable[[Samples], None]:
    release = version("driftline")

    def show(samples: Samples) -> None:
        samples.add("driftline_process_info", 1, process, release)
        samples.add("driftline_live", vitals.trouble() is None)
        samples.add("driftline_ready", vitals.unready() is None)

    return show
