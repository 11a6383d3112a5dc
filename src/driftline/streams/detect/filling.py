"""Windows by count: cut at the end of the first closed pane with which their events on time reach the count, or at their time bound.

The cut is at the border of a pane, so that a window holds whole panes and at least the count, unless its time was up. It is decided from what panes
held when they closed, in order: a function of the log. Once cut a window never moves; its cell, which is the sum of its panes, is the log of it, and
whatever comes for one of them later goes into it too. A pane between two windows (only late rows can be) belongs to the later one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from driftline.contracts.summaries import PaneKind
from driftline.contracts.windows import WindowRule
from driftline.store.detect_rows import PaneKey
from driftline.streams.detect.cells import Cells
from driftline.streams.detect.state import Filling, ModelState

_KINDS: tuple[PaneKind, ...] = ("features", "outcomes")


class Fillings:
    """The windows by count of one model, of each reference on its own."""

    def __init__(self, model: str, rule: WindowRule, pane: int, cells: Cells, state: ModelState) -> None:
        self._model = model
        self._longest = rule.longest
        self._count = rule.events or 1
        self._pane = pane
        self._cells = cells
        self._state = state
        #: Starts and ends of what was cut, by reference: as the cells have them.
        self._known: dict[str, tuple[list[int], list[int]]] = {}

    def bounds(self) -> list[PaneKey]:
        """Return the open windows as they will be if their time is up before they are full."""
        return [self._bound(name, filling) for name, filling in sorted(self._state.fillings.items()) if filling.until]

    def closed(self, pane: PaneKey, n: int) -> list[PaneKey]:
        """Take a pane of features that closed with ``n`` events on time; return what may be due for it: windows, or the bound of one that began."""
        filling = self._state.fillings.setdefault(pane.reference_id, Filling())
        if pane.start < filling.cut:
            return []  # an idle partition has come back: it stands in its window already
        if not filling.until or pane.start < filling.start:
            filling.start = pane.start
        filling.until = max(filling.until, pane.end)
        filling.n += n
        if filling.n >= self._count or filling.until - filling.start >= self._longest:
            return self._cut(pane.reference_id, filling, filling.until)
        return [self._bound(pane.reference_id, filling)]

    def time_is_up(self, bound: PaneKey) -> list[PaneKey]:
        """Cut the window whose bound this is, if it is still open."""
        filling = self._state.fillings.get(bound.reference_id)
        if filling is None or not filling.until or self._bound(bound.reference_id, filling) != bound:
            return []
        return self._cut(bound.reference_id, filling, bound.end)

    def holding(self, pane: PaneKey) -> tuple[PaneKey, ...]:
        """Return the window that holds a pane: the first one that ends after it; none as long as it is not cut."""
        filling = self._state.fillings.get(pane.reference_id)
        if filling is None or pane.start >= filling.cut:
            return ()
        starts, ends = self._edges(pane.reference_id)
        i = bisect_right(ends, pane.start)
        return (pane._replace(width=starts[i] - ends[i], start=starts[i]),) if i < len(ends) else ()

    def forgotten(self, pane: PaneKey) -> bool:
        """Say whether the window of a pane is let go of."""
        filling = self._state.fillings.get(pane.reference_id)
        return pane.start < max(self._state.forgotten, filling.forgotten if filling else 0)

    def edge(self, reference_id: str, moment: int) -> int:
        """Return the last end of a window that is not after a moment, 0 where there is none."""
        _, ends = self._edges(reference_id)
        i = bisect_right(ends, moment)
        return ends[i - 1] if i else 0

    def windows(self, like: PaneKey, kind: PaneKind, *, after: int, until: int) -> list[PaneKey]:
        """Return the windows of a kind that end after one moment and not after another, in order."""
        starts, ends = self._edges(like.reference_id)
        chosen = range(bisect_right(ends, after), bisect_right(ends, until))
        return [PaneKey(self._model, like.reference_id, kind, starts[i] - ends[i], starts[i], late=False) for i in chosen]

    def beside(self, key: PaneKey, places: int) -> PaneKey | None:
        """Return the window that was cut so many places after a window (before it: negative), None where there is none."""
        starts, ends = self._edges(key.reference_id)
        i = bisect_left(starts, key.start) + places
        return key._replace(width=starts[i] - ends[i], start=starts[i]) if 0 <= i < len(starts) else None

    def forget(self) -> None:
        """Let go of windows that begin before what the state has forgotten: nothing that comes for them is counted any more."""
        before = self._state.forgotten
        for name, filling in list(self._state.fillings.items()):
            starts, ends = self._edges(name)
            i = bisect_right(starts, before - 1)
            if i:
                filling.forgotten = max(filling.forgotten, ends[i - 1])
                self._known[name] = (starts[i:], ends[i:])
            if not filling.until and filling.cut < before and name not in self._state.tracks:
                del self._state.fillings[name]
                self._known.pop(name, None)

    def _bound(self, reference_id: str, filling: Filling) -> PaneKey:
        return PaneKey(self._model, reference_id, "features", -self._longest, filling.start, late=False)

    def _cut(self, reference_id: str, filling: Filling, end: int) -> list[PaneKey]:
        """Make the window's cells of those of its panes, and begin anew."""
        key = PaneKey(self._model, reference_id, "features", filling.start - end, filling.start, late=False)
        starts, ends = self._edges(reference_id)
        since = max(filling.cut, filling.forgotten)
        made = []
        for kind in _KINDS:
            on_time, late = (
                [c for _, c in self._cells.range(self._model, reference_id, kind, self._pane, since, end, late=late)] for late in (False, True)
            )
            own = key._replace(kind=kind)
            if on_time or late or kind == "features":
                self._cells.put(own, on_time)
                made.append(own)
            if late:
                self._cells.put(own._replace(late=True), late)
        starts.append(key.start)
        ends.append(end)
        filling.start = filling.until = filling.n = 0
        filling.cut = end
        return made

    def _edges(self, reference_id: str) -> tuple[list[int], list[int]]:
        known = self._known.get(reference_id)
        if known is None:
            edges = self._cells.edges(self._model, reference_id)
            known = self._known[reference_id] = ([start for start, _ in edges], [end for _, end in edges])
        return known
