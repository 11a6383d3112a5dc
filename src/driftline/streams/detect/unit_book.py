"""Which columns of a window look like another unit's, once for each whole window that closes: from the rows that its panes sampled."""

from __future__ import annotations

from itertools import islice

from driftline.contracts.settings import ModelSettings
from driftline.detectors.sample import bottom_k
from driftline.streams.detect.causes import MOST_CAUSES, far_columns, unit_notes
from driftline.streams.detect.cells import Cells, merged
from driftline.streams.detect.said import Turn
from driftline.streams.detect.windows import Windows

#: Rows that are looked at: with many more, what else has moved by a tenth of a standard deviation would hide the unit.
_ROWS = 256


class UnitBook:
    """The units of one model's columns."""

    def __init__(self, settings: ModelSettings, cells: Cells, windows: Windows) -> None:
        self._pii = settings.pii
        self._cells = cells
        self._windows = windows

    def told(self, turn: Turn) -> dict[str, tuple[str, ...]]:
        """Return what is told, and of which columns (no more than an alert names), as a window of features closes.

        Late rows do not change it: by then panes may stand in their windows only, which have no sample. Panes are read where a column has moved far.
        """
        whole = [cell for k, cell in self._cells.found(self._windows.made_of(turn.key)) if not k.late]
        if not whole or not (far := far_columns(pane := merged(whole, whole[0].layout))):
            return {}
        sample = bottom_k(self._windows.sampled(turn.key), _ROWS)
        told: dict[str, tuple[str, ...]] = {}
        for name, note in islice(unit_notes(far, pane, sample, self._pii), MOST_CAUSES):
            told[note] = (*told.get(note, ()), name)
        return told
