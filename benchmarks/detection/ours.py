"""Driftline's decider, as a worker runs it over closed panes; the evidence begins anew after each alarm."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from benchmarks.detection.streams import Floats, Ints, Run
from benchmarks.detection.watching import Alarm, Until, Watcher
from driftline.contracts.reference import Reference
from driftline.contracts.summaries import PaneKind
from driftline.contracts.times import HOUR_MS
from driftline.detectors.counting import binned
from driftline.detectors.decider import Decider, DeciderConfig
from driftline.detectors.layout import layout_of
from driftline.detectors.nullrun import may_cross
from driftline.detectors.outcomes import outcome_columns
from driftline.detectors.reference import build_reference
from driftline.detectors.rows import Coded, Held, Values, listed

#: Carriers with less of the evidence are not counted as named.
_LEAST_SHARE = 0.1


def watch(run: Run, tolerance: float, until: Until) -> list[Alarm]:
    """Return the alarms of the decider."""
    reference = reference_of(run)
    decider = Decider(reference, DeciderConfig(run.budget_hours, tolerance))
    slots = {kind: _slots(reference, kind, run) for kind in _kinds(reference)}
    # Each kind of pane has evidence of its own.
    states, alarms = dict.fromkeys(slots, decider.start()), []
    for first, last, end in panes_of(run):
        for kind, held in slots.items():
            seen = held[:, first:last].ravel()
            counts = np.bincount(seen[seen >= 0], minlength=layout_of(reference, kind).slots)
            states[kind] = decider.step(states[kind], kind, counts, end, run.pane_ms / HOUR_MS)
            if may_cross(decider, states[kind]) and (verdict := decider.verdict(states[kind])).crossed:
                named = tuple(dict.fromkeys(_NAMES.get(c.column, c.column) for c in verdict.carriers if c.share >= _LEAST_SHARE))
                alarms.append(Alarm(last, named, verdict.onset))
                states[kind] = decider.start()
        if until is not None and alarms and alarms[-1].row > until:
            break
    return alarms


#: As a user gets it, and with the tolerance at which the marks were set.
OURS = (Watcher("driftline", watch, DeciderConfig(1.0).tolerance), Watcher("driftline, tolerance .05", watch, 0.05))

_NAMES = {"error": "f0"}


def reference_of(run: Run) -> Reference:
    """Return the reference of a run's rows."""
    held = {} if run.errors else _features(run, run.reference)
    features: dict[str, Values] = {name: values if isinstance(values, np.ndarray) else listed(values) for name, values in held.items()}
    said, labels = _answers(run.reference) if run.errors else (None, None)
    return build_reference(
        model="made", version="1", task="multiclass" if run.errors else "regression", effective_from=0, origin="built",
        times=run.reference_times, features=features, predictions=said, labels=labels,
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
    if not run.errors:
        return binned(layout, _features(run, run.live), n)[0]
    said, labels = _answers(run.live)
    values = {"prediction": said} if kind == "features" else outcome_columns("multiclass", said, [None] * n, labels)
    return binned(layout, values, n)[0]


def _features(run: Run, rows: Floats) -> dict[str, Held]:
    return {f"f{i}": _coded(rows[:, i]) if i in run.categories else rows[:, i] for i in range(rows.shape[1])}


def _coded(places: Floats) -> Coded:
    most = int(np.nanmax(places)) + 1
    return Coded([*(f"value {i}" for i in range(most)), None], np.where(np.isnan(places), most, places).astype(np.int64))


def _answers(wrong: Floats) -> tuple[list[object], list[object]]:
    """Answers and truths, of which both are as likely whatever is wrong."""
    truth = np.arange(len(wrong)) % 2
    said = np.where(wrong[:, 0] > 0, 1 - truth, truth)
    return ["ab"[i] for i in said], ["ab"[i] for i in truth]
