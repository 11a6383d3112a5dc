"""The panes and windows of one summaries partition, in memory while they are open, in SQL always.

Each part goes into two cells: the pane it names, and the window that holds the pane. A cell knows which offsets went into it, so
that a finding can say from what it can be recomputed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import msgspec

from driftline.contracts.findings import OffsetRange
from driftline.contracts.reference import Reference
from driftline.contracts.summaries import LEARNING, PaneKind, PanePart
from driftline.contracts.topics import INFERENCE_EVENTS
from driftline.detectors.decider import Span
from driftline.detectors.layout import Layout, layout_of
from driftline.detectors.pane import Pane
from driftline.store.detect_rows import PaneKey, PaneRow

LEARNING_LAYOUT = Layout.of(())


class Offsets(NamedTuple):
    """The records ``first`` to ``next - 1`` of one partition."""

    first: int
    next: int


@dataclass
class Cell:
    """A pane or a window: what is in it, from which offsets, and whether its turn has come."""

    pane: Pane
    layout: Layout
    offsets: dict[int, Offsets] = field(default_factory=dict)
    closed: bool = False
    revision: int = 0
    #: Changed since its finding was published last.
    news: bool = False

    def cover(self, partition: int, first: int, next_: int) -> None:
        """Note that these offsets are in."""
        known = self.offsets.get(partition)
        self.offsets[partition] = Offsets(min(first, known.first), max(next_, known.next)) if known else Offsets(first, next_)


Fetch = Callable[[Iterable[PaneKey]], list[PaneRow]]


class FetchRange(Protocol):
    """How the stored panes of a stretch of event time are read: ``since <= start < until``."""

    def __call__(  # noqa: PLR0917 - the fields of a key, in the order of a key
        self, model: str, reference_id: str, kind: PaneKind, width: int, since: int, until: int, *, late: bool = False
    ) -> list[PaneRow]:
        """Return the rows, by start."""
        ...


class Cells:
    """All cells of a partition, with those that changed since the last commit."""

    def __init__(
        self,
        fetch: Fetch,
        fetch_range: FetchRange,
        references: Callable[[str, str], Reference | None],
        sample_rows: Callable[[PaneKey], int],
        fetch_counted: Callable[[str, str], list[PaneKey]],
    ) -> None:
        self._fetch = fetch
        self._fetch_counted = fetch_counted
        self._fetch_range = fetch_range
        self._references = references
        self._sample_rows = sample_rows
        self._cells: dict[PaneKey, Cell] = {}
        #: The same by model: each is asked for its own whenever time goes on, and there may be a thousand.
        self._of: dict[str, dict[PaneKey, Cell]] = {}
        self._absent: set[PaneKey] = set()
        self._brought: set[PaneKey] = set()
        self.changed: set[PaneKey] = set()
        self.dropped: set[PaneKey] = set()

    def load(self, rows: Iterable[PaneRow]) -> None:
        """Take stored rows in."""
        for row in rows:
            key = row.key
            layout = self.layout(key)
            self._brought.add(key)
            pane = Pane.decode(row.payload, layout, self._sample_rows(key))
            self._hold(key, Cell(pane, layout, decode_offsets(row.offsets), row.closed, row.revision))

    def ensure(self, keys: Iterable[PaneKey]) -> None:
        """Bring the keys that are stored but not in memory, in one query."""
        wanted = [key for key in dict.fromkeys(keys) if key not in self._cells and key not in self._absent and key not in self.dropped]
        if wanted:
            self.load(self._fetch(wanted))
            self._absent.update(key for key in wanted if key not in self._cells)

    def get(self, key: PaneKey) -> Cell | None:
        """Return a cell that is in memory or stored."""
        self.ensure((key,))
        return self._cells.get(key)

    def open_or_new(self, key: PaneKey) -> Cell:
        """Return the cell, a new one where there is none, and note that it changes."""
        cell = self.get(key)
        if cell is None:
            layout = self.layout(key)
            # A late cell waits for no turn: what is late corrects windows, and no sequential detector takes it.
            cell = self._hold(key, Cell(Pane(layout, self._sample_rows(key)), layout, closed=key.late))
            self._absent.discard(key)
        self.changed.add(key)
        return cell

    def put(self, key: PaneKey, parts: Iterable[Cell]) -> None:
        """Make a cell of what others hold together."""
        cell, held = self.open_or_new(key), list(parts)
        cell.pane = Pane.merged([part.pane for part in held], cell.layout, self._sample_rows(key))
        for part in held:
            for partition, seen in part.offsets.items():
                cell.cover(partition, seen.first, seen.next)
        cell.news = True

    def found(self, keys: Iterable[PaneKey]) -> list[tuple[PaneKey, Cell]]:
        """Return those of the cells that are there, in the order of the keys."""
        wanted = list(keys)
        self.ensure(wanted)
        return [(key, self._cells[key]) for key in wanted if key in self._cells]

    def counted(self, model: str, reference_id: str) -> set[PaneKey]:
        """Return the windows of features on time that were cut by count, whole ones and those that slid."""
        stored = {key for key in self._fetch_counted(model, reference_id) if key not in self.dropped}
        return stored | {k for k in self._of.get(model, ()) if k.width < 0 and (k.reference_id, k.kind, k.late) == (reference_id, "features", False)}

    def ensure_open(self, key: PaneKey) -> None:
        """Open a cell where there is none, and leave one that there is alone."""
        if self.get(key) is None:
            self.open_or_new(key)

    def replace(self, key: PaneKey, old: PanePart | None, new: PanePart | None) -> Cell:
        """Put a newer part in the place of an older one."""
        cell = self.open_or_new(key)
        cell.pane.replace(old, new)
        cell.news = True
        return cell

    def layout(self, key: PaneKey) -> Layout:
        """Return the layout of a cell; samples without a reference have none."""
        if key.reference_id == LEARNING:
            return LEARNING_LAYOUT
        reference = self._references(key.model, key.reference_id)
        if reference is None:
            msg = f"reference {key.reference_id} of model {key.model} is not in the store"
            raise LookupError(msg)
        return layout_of(reference, key.kind)

    def open(self, model: str) -> list[PaneKey]:
        """Return the keys of a model's cells whose turn has not come; late ones never have a turn."""
        return [key for key, cell in self._of.get(model, {}).items() if not cell.closed and not key.late]

    def range(  # noqa: PLR0917 - the fields of a key, in the order of a key
        self, model: str, reference_id: str, kind: PaneKind, width: int, since: int, until: int, *, late: bool = False
    ) -> list[tuple[PaneKey, Cell]]:
        """Return the cells of a stretch of event time, on time or late, in order: those in memory, the stored ones for the rest."""
        rows = self._fetch_range(model, reference_id, kind, width, since, until, late=late)
        self.load(row for row in rows if (key := row.key) not in self._cells and key not in self.dropped)
        found = [
            (key, cell)
            for key, cell in self._of.get(model, {}).items()
            if (key.reference_id, key.kind, key.width, key.late) == (reference_id, kind, width, late) and since <= key.start < until
        ]
        return sorted(found, key=lambda item: item[0].start)

    def models(self) -> set[str]:
        """Return the models that have cells in memory."""
        return set(self._of)

    def drop(self, key: PaneKey) -> None:
        """Forget a cell for good."""
        self._let_go(key)
        self.changed.discard(key)
        self.dropped.add(key)

    def rows(self) -> list[PaneRow]:
        """Return the rows of the cells that changed."""
        return [_row(key, self._cells[key]) for key in sorted(self.changed)]

    def committed(self, keep: Callable[[PaneKey, Cell], bool]) -> None:
        """Forget what is safe in SQL and will hardly be needed again."""
        # The others were worth keeping the last time, and nothing has happened to them since.
        for key in self.changed | self._brought:
            if (cell := self._cells.get(key)) is not None and not keep(key, cell):
                self._let_go(key)
        self.changed.clear()
        self.dropped.clear()
        self._absent.clear()
        self._brought.clear()

    def _hold(self, key: PaneKey, cell: Cell) -> Cell:
        self._cells[key] = self._of.setdefault(key.model, {})[key] = cell
        return cell

    def _let_go(self, key: PaneKey) -> None:
        if self._cells.pop(key, None) is not None:
            own = self._of[key.model]
            del own[key]
            if not own:
                del self._of[key.model]


def merged(cells: Iterable[Cell], layout: Layout) -> Pane:
    """Return the sum of cells of one layout."""
    return Pane.merged([cell.pane for cell in cells], layout)


def spans_of(found: Iterable[tuple[PaneKey, Cell]]) -> list[Span]:
    """Return when panes or windows were, and how many events each held."""
    return [(key.start, key.end, cell.pane.n) for key, cell in found]


def ranges_of(cells: Iterable[Cell]) -> tuple[OffsetRange, ...]:
    """Return the records that cells were made of."""
    total = Cell(Pane(LEARNING_LAYOUT), LEARNING_LAYOUT)
    for cell in cells:
        for partition, seen in cell.offsets.items():
            total.cover(partition, seen.first, seen.next)
    return tuple(OffsetRange(topic=INFERENCE_EVENTS.name, partition=p, first=o.first, next=o.next) for p, o in sorted(total.offsets.items()))


def decode_offsets(raw: bytes) -> dict[int, Offsets]:
    """Return the offsets of a stored cell, by partition."""
    return msgspec.msgpack.decode(raw, type=dict[int, Offsets])


def _row(key: PaneKey, cell: Cell) -> PaneRow:
    return PaneRow(
        model=key.model,
        reference_id=key.reference_id,
        kind=key.kind,
        width=key.width,
        start=key.start,
        late=key.late,
        payload=cell.pane.encode(),
        offsets=msgspec.msgpack.encode(cell.offsets),
        closed=cell.closed,
        revision=cell.revision,
    )
