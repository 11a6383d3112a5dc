"""One column of one model: what it does, what would make it alarm, and why it did or did not. Pure; ``commands/explain.py`` gathers what it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import numpy.typing as npt

from driftline.cli.beside import Beside, Together
from driftline.cli.wording import past_of, sentences_of, term_name, why_of
from driftline.contracts.findings import Change
from driftline.contracts.reference import Column, Reference, where_of
from driftline.contracts.summaries import PaneKind
from driftline.detectors.decider import Decider, DeciderConfig, Span, TermEffect
from driftline.detectors.describe import MIN_ROWS, state_of
from driftline.detectors.evidence import DeciderState
from driftline.detectors.layout import layout_of
from driftline.detectors.terms import TermTable, term_tables
from driftline.detectors.visible import FORMULA, Visible, Watch, share_at, visible
from driftline.detectors.whole import Whole
from driftline.store.episodes import Episode


class TermStory(msgspec.Struct, frozen=True, kw_only=True):
    """One term. Effects in reference sd of the term; evidence in hours; for shares (nulls, categories) the share then and now."""

    term: str
    name: str
    n: int
    effect: float | None
    low: float | None
    high: float | None
    tolerance: float
    tolerance_set: float
    tolerance_reference: float
    calibrated: bool
    variance_hours: float
    evidence: float
    onset: int | None
    rate: float
    share_then: float | None
    share_now: float | None
    hours_to_alarm: float | None
    visible: dict[str, Visible]


class SliceStory(msgspec.Struct, frozen=True, kw_only=True):
    """The column in one slice: its strongest effect, in reference sd of the term, and the evidence of all its terms (hours)."""

    column: str
    where: str
    state: str
    n: int
    term: str | None
    effect: float | None
    low: float | None
    high: float | None
    tolerance: float | None
    evidence: float


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A column's story; ``sentences`` say it in words, ``why`` is the last of them. Evidence, budget in hours; times in epoch ms."""

    model: str
    column: str
    kind: PaneKind
    version: str
    reference_id: str
    origin: str
    state: str
    since: int | None
    until: int | None
    n: int
    rate: float
    importance: float | None
    alarm_budget: str
    budget: float
    evidence: float
    evidence_of_column: float
    episode_id: str | None
    terms: tuple[TermStory, ...]
    formula: str
    why: str
    sentences: tuple[str, ...]
    slices: tuple[SliceStory, ...] = ()
    #: What the sequential detectors that the user named saw of late, newest first.
    changes: tuple[Change, ...] = ()
    #: The last window beside the one before it, and what all columns together showed of late.
    last: Beside | None = None
    together: Together | None = None


@dataclass(frozen=True)
class Seen:
    """What the closed windows of one kind held over ``hours``, from ``since`` to ``until`` (ms), and the evidence after them."""

    counts: npt.NDArray[np.int64]
    hours: float
    since: int | None
    until: int | None
    evidence: bytes | None
    episode: Episode | None
    past: Sequence[Episode] = ()
    spans: Sequence[Span] = ()


def kind_of(reference: Reference, column: str) -> PaneKind | None:
    """Return on which side a column is; None where the reference does not have it."""
    if any(c.name == column for c in reference.columns):
        return "features"
    return "outcomes" if any(c.name == column for c in reference.outcomes) else None


def explain_column(whole: Whole, column: str, alarm_budget: str, seen: Seen) -> Explanation:
    """Return the story of a column that the decider's reference has."""
    reference, config, decider = whole.reference, whole.config, whole.decider
    kind = kind_of(reference, column)
    if kind is None:
        raise ValueError(f"the reference has no column {column}")
    state = restored(decider, seen.evidence)
    verdict = decider.verdict(state)
    table = term_tables(reference, config, whole.extras)[kind]
    # What is left of a tolerance when the user asks for none: the reference's own error.
    bare = term_tables(reference, replace(config, tolerance=0.0, tolerances={}))[kind]
    hours = max(seen.hours, 1e-9)
    measured = decider.effects(kind, seen.counts, hours, seen.spans)
    effects = [e for e in measured if e.column == column]
    layout = layout_of(reference, kind)
    n = int(np.maximum(seen.counts[layout.slice_of(column)], 0).sum())
    shape = next(c for c in (*reference.columns, *reference.outcomes) if c.name == column)
    frame = _Frame(shape, table, bare, state, config, hours)
    stories = tuple(_story(frame, e) for e in effects)
    carried = sum(s.evidence for s in stories)
    episode = seen.episode if seen.episode is not None and seen.episode.open else None
    told = Explanation(
        model=reference.model,
        column=column,
        kind=kind,
        version=reference.version,
        reference_id=reference.reference_id,
        origin=reference.origin,
        state=state_of(effects, n, MIN_ROWS),
        since=seen.since,
        until=seen.until,
        n=n,
        rate=n / hours if n else 0.0,
        importance=reference.importance_by_column().get(column),
        alarm_budget=alarm_budget,
        budget=decider.budget,
        evidence=verdict.evidence,
        evidence_of_column=min(carried, verdict.evidence),  # both end at the largest number there is
        episode_id=episode.episode_id if episode else None,
        terms=stories,
        formula=FORMULA,
        why="",
        sentences=(),
        slices=tuple(_slices(reference, kind, column, measured, state, seen)),
    )
    why = why_of(told, effects, episode)
    return msgspec.structs.replace(told, why=why, sentences=(*sentences_of(told, reference), *past_of(told, seen.past), why))


def restored(decider: Decider, raw: bytes | None) -> DeciderState:
    """Return stored evidence, that of the start where there is none."""
    try:
        return decider.decode(raw) if raw is not None else decider.start()
    except ValueError:  # made under other settings: they take effect with the next pane, and the evidence starts anew
        return decider.start()


def _slices(  # noqa: PLR0917 - one caller's local names
    reference: Reference, kind: PaneKind, column: str, measured: Sequence[TermEffect], state: DeciderState, seen: Seen
) -> Iterator[SliceStory]:
    """Yield the column's slices, in the order of the reference."""
    layout, evidence = layout_of(reference, kind), np.exp(np.minimum(state.of(kind).log_r, 700.0)).sum(axis=1)
    for one in layout.columns[layout.whole :]:
        where = where_of(one)
        if where is None or where.column != column:
            continue
        places = [i for i, e in enumerate(measured) if e.column == one.name]
        own = [measured[i] for i in places]
        n = int(np.maximum(seen.counts[layout.slice_of(one.name)], 0).sum())
        top = max((e for e in own if e.n), key=lambda e: (e.calibrated, abs(e.effect) / e.tolerance), default=None)
        yield SliceStory(
            column=one.name,
            where=where.label,
            state=state_of(own, n, MIN_ROWS),
            n=n,
            term=top.term if top else None,
            effect=top.effect if top else None,
            low=top.low if top else None,
            high=top.high if top else None,
            tolerance=top.tolerance if top else None,
            evidence=float(evidence[places].sum()),
        )


@dataclass(frozen=True)
class _Frame:
    column: Column
    table: TermTable
    bare: TermTable
    state: DeciderState
    config: DeciderConfig
    hours: float


def _story(frame: _Frame, effect: TermEffect) -> TermStory:
    i = frame.table.terms.index((effect.column, effect.term))
    watch = Watch.of(frame.table, frame.column, effect.term, frame.config.budget_hours)
    kind_state = frame.state.of(effect.kind)
    log_r = kind_state.log_r[i]
    best = int(log_r.argmax()) if log_r.size else 0
    rate = effect.n / frame.hours if effect.n else 0.0
    needed = watch.hours_for(effect.effect, rate) if effect.n and effect.calibrated else np.inf
    there = effect.n > 0
    return TermStory(
        term=effect.term,
        name=term_name(effect.term),
        n=effect.n,
        effect=effect.effect if there else None,
        low=effect.low if there else None,
        high=effect.high if there else None,
        tolerance=effect.tolerance,
        tolerance_set=frame.config.tolerance_of(frame.column),
        tolerance_reference=float(frame.bare.tolerance[i]),
        calibrated=effect.calibrated,
        variance_hours=float(frame.table.variance[i]),
        evidence=float(np.exp(np.minimum(log_r, 700.0)).sum()),
        onset=int(kind_state.onset[i, best]) if log_r.size and kind_state.cusum[i, best] > 0 else None,
        rate=rate,
        share_then=share_at(effect.term, watch.phi, 0.0),
        share_now=share_at(effect.term, watch.phi, effect.effect) if there else None,
        hours_to_alarm=needed if np.isfinite(needed) else None,
        visible=visible(watch, effect.term, rate),
    )
