"""The rows that an episode is about: what the panes since its onset sampled, as their reference saw them."""

from __future__ import annotations

from bisect import bisect_left

from sqlalchemy import Engine

from driftline.contracts.errors import DriftlineError
from driftline.contracts.reference import Reference
from driftline.contracts.settings import Settings
from driftline.contracts.summaries import SampleRow
from driftline.contracts.times import parse_duration
from driftline.detectors.layout import layout_of
from driftline.detectors.pane import Pane
from driftline.detectors.sample import bottom_k
from driftline.store import panes
from driftline.store.episodes import Episode

#: Rows of either side that a report compares.
MOST_ROWS = 4_000

# Of a longer stretch the last panes are read: older ones stand in their windows, which hold no rows.
_MOST_PANES = 2_000
# Panes in memory at once.
_CHUNK = 64


class NothingToCompareError(DriftlineError):
    """There is no report to be made of what is stored."""


def current_rows(engine: Engine, settings: Settings, episode: Episode, reference: Reference) -> list[SampleRow]:
    """Return the rows sampled from the episode's onset until it opened, those of least place where there are too many.

    Samples stand in the panes of features, whichever kind of pane the episode is about. Rows after the opening are left out: a report made later, or
    made again, then shows the same rows.
    """
    until = max(episode.opened_at, episode.onset + 1)
    width = parse_duration(settings.model(episode.model).pane)
    start = max(episode.onset // width, until // width - _MOST_PANES) * width
    layout = layout_of(reference, "features")
    kept: list[SampleRow] = []
    while start < until:
        end = min(start + _CHUNK * width, until)
        found = panes.stretch(engine, episode.model, reference_id=reference.reference_id, kind="features", width=width, since=start, until=end)
        bound = kept[-1].place if len(kept) >= MOST_ROWS else None
        fresh = [row for pane in found for row in _below(Pane.decode(pane.payload, layout).sample, bound) if episode.onset <= row.event_time < until]
        kept = bottom_k([*kept, *fresh], MOST_ROWS)
        start = end
    return kept


def _below(sample: list[SampleRow], bound: int | None) -> list[SampleRow]:
    """Return the rows of a sample, which are in order of place, that can still belong to the least."""
    return sample if bound is None else sample[: bisect_left(sample, bound + 1, key=lambda row: row.place)]
