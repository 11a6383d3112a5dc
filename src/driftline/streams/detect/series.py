"""River's ADWIN over block averages: it dates the causes of an episode.

Averages of panes, because on single values ADWIN takes autocorrelation for drift by the thousand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from driftline.contracts.findings import Cause
from driftline.contracts.reference import NumericColumn
from driftline.detectors.binning import Z_SCALE
from driftline.detectors.changepoint import adwin_changes
from driftline.detectors.decider import TermEffect
from driftline.detectors.layout import Layout
from driftline.detectors.sequential.reading import WRONG
from driftline.detectors.sequential.watches import Watch
from driftline.store.detect_rows import PaneKey
from driftline.streams.detect.cells import Cell

#: ADWIN looks at so many panes at the most; what lies further back has its window and its finding.
LONGEST = 2000

Series = Sequence[tuple[PaneKey, Cell]]


def pane_means(panes: Series, layout: Layout, name: str) -> list[tuple[int, float]]:
    """Return (start of the pane, mean of z) for each pane with values of a numeric column."""
    column = layout.column(name)
    if not isinstance(column, NumericColumn):
        return []
    place, values = layout.numeric.index(name), layout.slice_of(name).start + np.arange(len(column.edges) + 1)
    counted = ((key, cell, int(cell.pane.counts[values].sum())) for key, cell in panes)
    return [(key.start, float(cell.pane.sums[2 * place]) / Z_SCALE / n) for key, cell, n in counted if n > 0]


def dated(causes: Iterable[Cause], panes: Series, layout: Layout) -> tuple[Cause, ...]:
    """Return the causes, those by location with ADWIN's last change as their onset where it saw one."""
    return tuple(_dated(cause, panes, layout) if cause.term == "location" else cause for cause in causes)


def effects_of(watches: Iterable[Watch], effects: Iterable[TermEffect]) -> list[TermEffect]:
    """Return for each watch the effect of what it reads: of squares the scale, of errors their share, else the location."""
    measured = [effect for effect in effects if effect.n]
    wanted = {(watch.column, _term_of(watch)) for watch in watches}
    return [e for e in measured if (e.column, e.term) in wanted]


def _term_of(watch: Watch) -> str:
    if watch.series == "errors":
        return f"value:{WRONG}"
    return "scale" if watch.series in ("squares", "row_squares") else "location"


def _dated(cause: Cause, panes: Series, layout: Layout) -> Cause:
    changes = adwin_changes(pane_means(panes, layout, cause.column))
    return msgspec.structs.replace(cause, onset=changes[-1]) if changes else cause
