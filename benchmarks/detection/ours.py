"""Driftline's decider, as a worker runs it over closed panes; the evidence begins anew after each alarm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from benchmarks.detection.streams import Floats, Ints, Run
from benchmarks.detection.watching import Alarm, Until, Watcher
from driftline.contracts.reference import Reference, Task
from driftline.contracts.settings import ModelSettings
from driftline.contracts.summaries import PaneKind
from driftline.contracts.times import HOUR_MS
from driftline.detectors.counting import binned
from driftline.detectors.decider import Decider, DeciderConfig
from driftline.detectors.evidence import DeciderState
from driftline.detectors.layout import layout_of
from driftline.detectors.multivariate.pairs import PairTable
from driftline.detectors.nullrun import may_cross
from driftline.detectors.outcomes import outcome_columns
from driftline.detectors.reference import build_reference
from driftline.detectors.rows import Coded, Held, Values, listed

#: Carriers with less of the evidence are not counted as named.
_LEAST_SHARE = 0.1


def watch(run: Run, tolerance: float, until: Until) -> list[Alarm]:
    """Return the alarms of the decider."""
    reference, config = reference_of(run), DeciderConfig(run.budget_hours, tolerance)
    pairs = _Pairs.of(run, reference, config)
    decider = Decider(reference, config, [pairs.table.extra] if pairs else [])
    slots = {kind: _slots(reference, kind, run) for kind in _kinds(reference)}
    hours = run.pane_ms / HOUR_MS
    # Each kind of pane has evidence of its own.
    states, alarms = dict.fromkeys(slots, decider.start()), []
    for first, last, end in panes_of(run):
        for kind, held in slots.items():
            seen = held[:, first:last].ravel()
            counts = np.bincount(seen[seen >= 0], minlength=layout_of(reference, kind).slots)
            state = decider.step(states[kind], kind, counts, end, hours, last - first if run.steady else None)
            if pairs is not None and kind == "features":
                state = decider.take(state, pairs.table.extra.name, pairs.log_e(first, last, decider.rates(state, pairs.columns), hours), end, hours)
            states[kind] = state
            if may_cross(decider, state) and (verdict := decider.verdict(state)).crossed:
                named = tuple(dict.fromkeys(name for c in verdict.carriers if c.share >= _LEAST_SHARE for name in _named(c.column, pairs, state)))
                alarms.append(Alarm(last, named, verdict.onset))
                states[kind] = decider.start()
        if until is not None and alarms and alarms[-1].row > until:
            break
    return alarms


def _named(column: str, pairs: _Pairs | None, state: DeciderState) -> tuple[str, ...]:
    if pairs is not None and column == pairs.table.extra.column:
        return pairs.strongest(state)
    return (_NAMES.get(column, column),)


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Relations of columns, on as many rows of each pane as a sample keeps."""

    table: PairTable
    score: Floats
    there: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, run: Run, reference: Reference, config: DeciderConfig) -> _Pairs | None:
        if run.group in TASKS:
            return None
        rows = np.linspace(0, len(run.reference) - 1, min(len(run.reference), _REFERENCE_SAMPLE)).astype(np.int64)
        table = PairTable.of_columns(reference, _plain(_features(run, run.reference[rows])), run.reference_times[rows], config)
        return None if table is None else cls(table, *table.scorer.matrix(_plain(_features(run, run.live)), len(run.live)))

    @property
    def columns(self) -> list[str]:
        """The columns that have pairs."""
        return [column.name for column in self.table.scorer.columns]

    def log_e(self, first: int, last: int, rates: Floats, hours: float) -> Floats:
        """Return log e of a pane's sampled rows (rows are exchangeable within it, so the first ones), of columns with so many events an hour."""
        last = min(last, first + _SAMPLE)
        return self.table.log_e_of(self.score[first:last], self.there[first:last], np.minimum(rates, _SAMPLE / hours)[self.table.faster])

    def strongest(self, state: DeciderState) -> tuple[str, ...]:
        """Return the two columns that carry most of the pairs' evidence."""
        return tuple(name for place, *_ in self.table.carriers(state.extras[self.table.extra.name], 1) for name in self.table.names(place))


#: As a user gets it, and with the tolerance at which the marks were set.
OURS = (Watcher("driftline", watch, DeciderConfig(1.0).tolerance), Watcher("driftline, tolerance .05", watch, 0.05))
#: With no tolerance but the reference's own error, as peers have none: whatever is no longer the same is told, whether it matters or not.
SHARP = Watcher("driftline, tolerance 0", watch, 0.0)

#: What the model does whose outcomes a stream is made of.
TASKS: Mapping[str, Task] = {"errors": "multiclass", "losses": "regression"}
_NAMES = dict.fromkeys(("loss", "error", "absolute_error"), "f0")
#: Rows that are kept of a pane, and of a reference.
_SAMPLE, _REFERENCE_SAMPLE = ModelSettings().sample_rows_per_pane, 2_000


def reference_of(run: Run) -> Reference:
    """Return the reference of a run's rows."""
    held = {} if run.group in TASKS else _features(run, run.reference)
    said, labels = _answers(run, run.reference) if run.group in TASKS else (None, None)
    return build_reference(
        model="made", version="1", task=TASKS.get(run.group, "regression"), effective_from=0, origin="built",
        times=run.reference_times, features=_plain(held), predictions=said, labels=labels, all_events=run.group not in TASKS,
    )  # fmt: skip


def panes_of(run: Run) -> Iterator[tuple[int, int, int]]:
    """Yield the first row, the row after the last, and the end (ms) of each pane with events."""
    place: Ints = run.times // run.pane_ms
    cuts = [0, *(np.flatnonzero(np.diff(place)) + 1).tolist(), len(place)]
    for first, last in pairwise(cuts):
        yield first, last, int(place[first] + 1) * run.pane_ms


def _kinds(reference: Reference) -> tuple[PaneKind, ...]:
    return ("features", "outcomes") if reference.outcomes else ("features",)


def _slots(reference: Reference, kind: PaneKind, run: Run) -> Ints:
    layout, n = layout_of(reference, kind), len(run.live)
    if run.group not in TASKS:
        return binned(layout, _features(run, run.live), n)[0]
    said, labels = _answers(run, run.live)
    values = {"prediction": said} if kind == "features" else outcome_columns(TASKS[run.group], said, [None] * n, labels)
    return binned(layout, values, n)[0]


def _features(run: Run, rows: Floats) -> dict[str, Held]:
    return {f"f{i}": _coded(rows[:, i]) if i in run.categories else rows[:, i] for i in range(rows.shape[1])}


def _plain(held: Mapping[str, Held]) -> dict[str, Values]:
    return {name: values if isinstance(values, np.ndarray) else listed(values) for name, values in held.items()}


def _coded(places: Floats) -> Coded:
    most = int(np.nanmax(places)) + 1
    return Coded([*(f"value {i}" for i in range(most)), None], np.where(np.isnan(places), most, places).astype(np.int64))


def _answers(run: Run, rows: Floats) -> tuple[list[object], list[object]]:
    """Answers and truths, which are as they were whatever is wrong: as many of both kinds, or normal ones."""
    if run.group == "losses":
        labels = np.random.default_rng(len(rows)).standard_normal(len(rows))
        return (labels + rows[:, 0]).tolist(), labels.tolist()
    truth = np.arange(len(rows)) % 2
    said = np.where(rows[:, 0] > 0, 1 - truth, truth)
    return ["ab"[i] for i in said], ["ab"[i] for i in truth]
