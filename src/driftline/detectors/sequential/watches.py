"""From what a user asked for to single watches: one detector over one series of one column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from driftline.contracts.findings import Change
from driftline.contracts.ids import stable_id
from driftline.contracts.reference import CategoricalColumn, NumericColumn, Reference
from driftline.contracts.sequential import ERRORS, FEATURES, SEQUENTIAL, DetectorSettings, Series, parameters_of
from driftline.contracts.summaries import PaneKind
from driftline.detectors.layout import Layout
from driftline.detectors.pane import Pane
from driftline.detectors.sequential.detector import NamedDetector
from driftline.detectors.sequential.reading import ERROR, errors_of, values_of

#: ``deciders: [adwin]``, written out: it looks at every pane.
ADWIN_DECIDES = DetectorSettings(name="adwin", reads=(FEATURES,), role="decide", parameters={"clock": 1, "grace_period": 5})


@dataclass(frozen=True)
class Watch:
    """One detector over one series. ``key`` names it among those of a reference."""

    kind: PaneKind
    column: str
    series: Series | Literal["errors"]
    settings: DetectorSettings

    @property
    def key(self) -> str:
        """What its state is kept under: the same watch under other parameters is another one."""
        parameters = sorted(parameters_of(self.settings.name, self.settings.parameters).items())
        return stable_id(self.kind, self.column, self.series, self.settings.name, repr(parameters))

    def fresh(self) -> NamedDetector:
        """Return its detector before any value."""
        return NamedDetector(self.settings.name, self.settings.parameters)

    def restored(self, raw: bytes | None) -> NamedDetector:
        """Return its detector from a stored state, a fresh one where there is none or it was made by another River."""
        try:
            return self.fresh() if raw is None else NamedDetector.decode(raw, self.settings.name, self.settings.parameters)
        except ValueError:
            return self.fresh()

    def read(self, pane: Pane, layout: Layout, seed: str) -> list[float]:
        """Return what it reads of a pane; ``seed`` is the pane's own."""
        return errors_of(pane, layout, seed) if self.series == "errors" else values_of(pane, layout, self.column, self.series)

    @property
    def name(self) -> str:
        """What an alert calls it.

        >>> Watch("features", "temp", "squares", DetectorSettings(name="adwin")).name
        'adwin on the squares of temp'
        """
        return f"{self.settings.name} on {'the errors' if self.series == 'errors' else f'the {self.series} of {self.column}'}"

    def change(self, at: int) -> Change:
        """Return what is told of a change in the pane that starts at ``at``."""
        return Change(column=self.column, detector=self.settings.name, series=self.series, at=at)


def asked_for(detectors: Sequence[DetectorSettings], deciders: Sequence[str]) -> tuple[DetectorSettings, ...]:
    """Return the detectors of a model's settings, the short form written out."""
    return (*detectors, *(ADWIN_DECIDES for name in deciders if name == "adwin"))


def watches_of(reference: Reference, asked: Sequence[DetectorSettings]) -> list[Watch]:
    """Return the watches over a reference's columns, each once; columns that it does not have, or that have no series, are left out."""
    found: dict[tuple[str, str], Watch] = {}
    for settings in asked:
        for name in settings.columns:
            for watch in _watches(reference, settings, name):
                found.setdefault((watch.key, settings.role), watch)
    return list(found.values())


def _watches(reference: Reference, settings: DetectorSettings, name: str) -> list[Watch]:
    if name == ERRORS:
        classes = any(c.name == ERROR and isinstance(c, CategoricalColumn) for c in reference.outcomes)
        return [Watch("outcomes", ERROR, "errors", settings)] if classes else []
    if SEQUENTIAL[settings.name].reads == "errors":
        return []
    numeric = [c for c in reference.columns if isinstance(c, NumericColumn)]
    told = [c.name for c in numeric if (c.role in ("feature", "score") if name == FEATURES else name in (c.name, c.feature))]
    # Panes of outcomes hold no rows.
    by_pane = settings.series in ("means", "squares")
    outcomes = [c.name for c in reference.outcomes if isinstance(c, NumericColumn) and name == c.name and by_pane]
    return [
        *(Watch("features", column, settings.series, settings) for column in told),
        *(Watch("outcomes", column, settings.series, settings) for column in outcomes),
    ]
