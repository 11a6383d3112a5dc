"""Windows by count that slide: cut into steps at the end of the first closed pane with which the events on time since the last step reach its count,
and wherever a whole window ends.

With each step ends a window, which reaches back over the fewest steps that hold the window's count, or its time. That is decided when it is cut, from
what the panes held when they closed, and logged by the key under which the step's cell stands: the window's, not the step's own. So the window knows
its steps for good, those that end in it, and no row that comes later moves it.
"""

from __future__ import annotations

from collections.abc import Sequence

from driftline.contracts.windows import WindowRule
from driftline.store.detect_rows import PaneKey
from driftline.streams.detect.cells import Cells
from driftline.streams.detect.counted_edges import CountedEdges, Edges, put_together
from driftline.streams.detect.state import Filling, Step


class Steps:
    """The steps of one model's windows by count, of each reference on its own. Without a step in the settings none is cut; those that were go on."""

    def __init__(self, model: str, rule: WindowRule, pane: int, cells: Cells) -> None:
        self._model = model
        self._rule = rule
        self._pane = pane
        self._cells = cells
        self._edges = CountedEdges(model, cells, lambda key: key.slid)

    def take(self, filling: Filling, pane: PaneKey, n: int) -> list[PaneKey]:
        """Take a pane that closed with ``n`` events on time, and cut the step that is full with it; return its cells."""
        if _inside(filling):
            if pane.start < filling.steps[-1].end:
                filling.stepped += n  # an idle partition has come back: it stands in its step already
            elif not filling.begun or pane.start < filling.begun:
                filling.begun = pane.start
        return self.cut(pane, filling, filling.until) if 0 < self._rule.step <= filling.n - filling.stepped else []

    def cut(self, like: PaneKey, filling: Filling, end: int) -> list[PaneKey]:
        """End the open step, if there is any time in it and steps are asked for; return its cells."""
        if not self._rule.step:
            return []
        inside = _inside(filling)
        since = filling.steps[-1].end if inside else max(filling.cut, filling.forgotten)
        if since >= end:
            return []
        start = (filling.begun or since) if inside else filling.start
        step = Step(start, end, filling.n - filling.stepped)
        filling.steps = _reached([*filling.steps, step], self._rule)
        filling.stepped, filling.begun = filling.n, 0
        key = like._replace(kind="features", late=False).sliding(filling.steps[0].start, end)
        edges = self._edges.of(key.reference_id)  # as they are before this one
        made = put_together(self._cells, key, since, self._pane)
        for cell in (cell for own in made for _, cell in self._cells.found([own, own._replace(late=True)])):
            cell.news = False  # no window that has closed holds it
        edges.add(key.start, end)
        return made

    def begin_window(self, filling: Filling) -> None:
        """Note that the open window has been cut. Where no step is asked for, no window that slides later reaches back over it."""
        filling.stepped = filling.begun = 0
        if not self._rule.step:
            filling.steps = []

    def holding(self, pane: PaneKey, whole: PaneKey | None) -> tuple[PaneKey, ...]:
        """Return the step that holds a pane of the window ``whole``, or of the open one: none if it was cut when no step was asked for."""
        starts, ends = edges = self._edges.of(pane.reference_id)
        i = edges.after(pane.start)
        return (pane.sliding(starts[i], ends[i]),) if i < len(ends) and (whole is None or ends[i] <= whole.end) else ()

    def made_of(self, key: PaneKey) -> list[PaneKey]:
        """Return the steps of a window that slid."""
        starts, ends = edges = self._edges.of(key.reference_id)
        return [key.sliding(starts[i], ends[i]) for i in range(edges.after(key.start), edges.after(key.end))]

    def over(self, step: PaneKey, wholes: Edges, since: int) -> list[PaneKey]:
        """Return the windows that hold a step, and those that follow one of these; no whole one, nor one that begins before ``since``."""
        starts, ends = edges = self._edges.of(step.reference_id)
        first = last = edges.after(step.end - 1)
        while last < len(ends) and starts[last] < step.end:
            last += 1
        held = last
        while last < len(ends) and edges.after(starts[last]) <= held:
            last += 1
        return [
            step._replace(late=False).sliding(starts[i], ends[i]) for i in range(first, last) if starts[i] >= since and not wholes.ends_at(ends[i])
        ]

    def preceding(self, key: PaneKey) -> PaneKey | None:
        """Return the window that ended last when this one began."""
        starts, ends = edges = self._edges.of(key.reference_id)
        i = edges.after(key.start) - 1
        return key.sliding(starts[i], ends[i]) if i >= 0 else None

    def forget(self, reference_id: str, before: int) -> None:
        """Let go of the steps that ended by then."""
        self._edges.forget(reference_id, self._edges.of(reference_id).after(before))

    def drop(self, reference_id: str) -> None:
        """Let go of a reference."""
        self._edges.drop(reference_id)


def _inside(filling: Filling) -> bool:
    """Say whether a step of the open window has ended."""
    return bool(filling.steps) and filling.steps[-1].end > filling.cut


def _reached(steps: Sequence[Step], rule: WindowRule) -> list[Step]:
    """Return the last of the steps: as few as hold the count, no longer than the time."""
    first, n = len(steps) - 1, steps[-1].n
    while first > 0 and n < (rule.events or 1) and steps[-1].end - steps[first - 1].start <= rule.longest:
        first -= 1
        n += steps[first].n
    return list(steps[first:])
