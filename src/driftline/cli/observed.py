"""What the closed windows of a model have held lately."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from driftline.contracts.settings import window_rule
from driftline.contracts.times import HOUR_MS, parse_duration
from driftline.detectors.decider import Span
from driftline.detectors.layout import layout_of
from driftline.detectors.pane import Pane
from driftline.store import panes
from driftline.store.panes import FOREVER, PaneRow

if TYPE_CHECKING:
    from driftline.cli.state import State
    from driftline.contracts.reference import Reference
    from driftline.contracts.summaries import PaneKind, SampleRow

#: As many sampled rows are looked at, of panes of which there may be very many.
_MOST_ROWS = 50_000


@dataclass(frozen=True, eq=False)
class Observed:
    """``counts`` of ``n`` rows over ``hours``, from ``since`` to ``until`` (ms)."""

    counts: npt.NDArray[np.int64]
    n: int
    hours: float
    since: int
    until: int
    spans: tuple[Span, ...] = ()


def observed(state: State, reference: Reference, kind: PaneKind, stretch: int) -> Observed | None:
    """Return what the windows that closed in the last ``stretch`` (ms) held, or the panes, as long as no window has closed; None without either."""
    own, layout = state.settings.model(reference.model), layout_of(reference, kind)
    rule = window_rule(own)
    for width in (rule.longest if rule.events is None else None, parse_duration(own.pane)):
        rows = panes.stretch(state.engine, reference.model, reference_id=reference.reference_id, kind=kind, width=width, since=0, until=FOREVER)
        closed = [row for row in rows if row.closed]
        closed = [row for row in closed if _end(row) > _end(closed[-1]) - stretch]
        if closed:
            each = [Pane.decode(row.payload, layout) for row in closed]
            held, spans = Pane.merged(each, layout), tuple((row.start, _end(row), pane.n) for row, pane in zip(closed, each, strict=True))
            return Observed(held.counts, held.n, sum(abs(row.width) for row in closed) / HOUR_MS, closed[0].start, _end(closed[-1]), spans)
    return None


@dataclass(frozen=True)
class Sampled:
    """Sampled ``rows`` of closed panes that cover ``hours``, from ``since`` to ``until`` (ms); None without any."""

    rows: list[SampleRow]
    hours: float
    since: int | None
    until: int | None


def sampled(state: State, reference: Reference, stretch: int) -> Sampled:
    """Return the sampled rows of the panes that closed in the last ``stretch`` (ms), the newest ones: windows hold none."""
    own, layout = state.settings.model(reference.model), layout_of(reference, "features")
    width = parse_duration(own.pane)
    found = panes.stretch(state.engine, reference.model, reference_id=reference.reference_id, kind="features", width=width, since=0, until=FOREVER)
    closed = [row for row in found if row.closed]
    rows: list[SampleRow] = []
    taken: list[PaneRow] = []
    for row in reversed(closed):
        if _end(row) <= _end(closed[-1]) - stretch or len(rows) >= _MOST_ROWS:
            break
        own_rows = Pane.decode(row.payload, layout).sample
        if own_rows:
            rows += own_rows
            taken.append(row)
    since, until = (taken[-1].start, _end(taken[0])) if taken else (None, None)
    return Sampled(rows, sum(abs(row.width) for row in taken) / HOUR_MS, since, until)


def _end(row: PaneRow) -> int:
    return row.start + abs(row.width)
