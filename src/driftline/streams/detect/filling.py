"""Windows by count: cut at the end of the first closed pane with which their events on time reach the count, or at their time bound.

The cut is at the border of a pane, so that a window holds whole panes and at least the count, unless its time was up. It is decided from what panes
held when they closed, in order: a function of the log. Once cut a window never moves; its cell, which is the sum of its panes, is the log of it, and
whatever comes for one of them later goes into it too. A pane between two windows (only late rows can be) belongs to the later one.
"""

from __future__ import annotations

from bisect import bisect_left

from driftline.contracts.summaries import PaneKind
from driftline.contracts.windows import WindowRule
from driftline.store.detect_rows import PaneKey
from driftline.streams.detect.cells import Cells
from driftline.streams.detect.counted_edges import CountedEdges, put_together
from driftline.streams.detect.state import Filling, ModelState
from driftline.streams.detect.stepping import Steps


class Fillings:
    """The windows by count of one model, of each reference on its own."""

    def __init__(self, model: str, rule: WindowRule, pane: int, cells: Cells, state: ModelState) -> None:
        self._model = model
        self._longest = rule.longest
        self._count = rule.events or 1
        self._pane = pane
        self._cells = cells
        self._state = state
        self._edges = CountedEdges(model, cells, lambda key: key.counted)
        #: What these windows slide by, if they do.
        self.steps = Steps(model, rule, pane, cells)

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
        step = self.steps.take(filling, pane, n)
        if filling.n >= self._count or filling.until - filling.start >= self._longest:
            return [*step, *self._cut(pane.reference_id, filling, filling.until)]
        return [*step, self._bound(pane.reference_id, filling)]

    def time_is_up(self, bound: PaneKey) -> list[PaneKey]:
        """Cut the window whose bound this is, if it is still open."""
        filling = self._state.fillings.get(bound.reference_id)
        if filling is None or not filling.until or self._bound(bound.reference_id, filling) != bound:
            return []
        return self._cut(bound.reference_id, filling, bound.end)

    def holding(self, pane: PaneKey) -> tuple[PaneKey, ...]:
        """Return the step and the window that hold a pane: the first ones that end after it; none as long as they are not cut."""
        filling = self._state.fillings.get(pane.reference_id)
        if filling is None:
            return ()
        if pane.start >= filling.cut:
            return self.steps.holding(pane, None)
        starts, ends = edges = self._edges.of(pane.reference_id)
        i = edges.after(pane.start)
        if i == len(ends):
            return ()
        whole = pane.whole(starts[i], ends[i])
        return (*self.steps.holding(pane, whole), whole)

    def forgotten(self, pane: PaneKey) -> bool:
        """Say whether the window of a pane is let go of."""
        filling = self._state.fillings.get(pane.reference_id)
        return pane.start < max(self._state.forgotten, filling.forgotten if filling else 0)

    def edge(self, reference_id: str, moment: int) -> int:
        """Return the last end of a window that is not after a moment, 0 where there is none."""
        edges = self._edges.of(reference_id)
        i = edges.after(moment)
        return edges.ends[i - 1] if i else 0

    def is_end(self, reference_id: str, moment: int) -> bool:
        """Say whether a window ends at a moment."""
        return self._edges.of(reference_id).ends_at(moment)

    def windows(self, like: PaneKey, kind: PaneKind, *, after: int, until: int) -> list[PaneKey]:
        """Return the windows of a kind that end after one moment and not after another, in order."""
        starts, ends = edges = self._edges.of(like.reference_id)
        own = like._replace(kind=kind, late=False)
        return [own.whole(starts[i], ends[i]) for i in range(edges.after(after), edges.after(until))]

    def sliding_over(self, step: PaneKey) -> list[PaneKey]:
        """Return the windows that hold a step, or follow those that do, and slid; those left out that are let go of."""
        return self.steps.over(step, self._edges.of(step.reference_id), self._state.forgotten)

    def beside(self, key: PaneKey, places: int) -> PaneKey | None:
        """Return the window that was cut so many places after a window (before it: negative), None where there is none."""
        starts, ends = self._edges.of(key.reference_id)
        i = bisect_left(starts, key.start) + places
        return key.whole(starts[i], ends[i]) if 0 <= i < len(starts) else None

    def forget(self) -> None:
        """Let go of windows that begin before what the state has forgotten: nothing that comes for them is counted any more."""
        before = self._state.forgotten
        for name, filling in list(self._state.fillings.items()):
            starts, ends = self._edges.of(name)
            i = bisect_left(starts, before)
            if i:
                filling.forgotten = max(filling.forgotten, ends[i - 1])
                self._edges.forget(name, i)
            self.steps.forget(name, before)
            if not filling.until and filling.cut < before and name not in self._state.tracks:
                del self._state.fillings[name]
                self._edges.drop(name)
                self.steps.drop(name)

    def _bound(self, reference_id: str, filling: Filling) -> PaneKey:
        return self._key(reference_id, filling.start, filling.start + self._longest)

    def _key(self, reference_id: str, start: int, end: int) -> PaneKey:
        return PaneKey(self._model, reference_id, "features", start - end, start, late=False)

    def _cut(self, reference_id: str, filling: Filling, end: int) -> list[PaneKey]:
        """Make the window's cells of those of its panes, end its last step, and begin anew."""
        key = self._key(reference_id, filling.start, end)
        edges = self._edges.of(reference_id)  # as they are before this one
        steps = self.steps.cut(key, filling, end)
        made = put_together(self._cells, key, max(filling.cut, filling.forgotten), self._pane)
        edges.add(key.start, end)
        self.steps.begin_window(filling)
        filling.start = filling.until = filling.n = 0
        filling.cut = end
        return [*steps, *made]
