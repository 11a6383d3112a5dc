"""A calibration in plain sentences. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from driftline.cli.wording import term_name, visible_texts
from driftline.contracts.times import HOUR_MS
from driftline.detectors.preview import PairsPreview, TermPreview

if TYPE_CHECKING:
    from driftline.cli.calibrating import Calibration

_NAMED = 6


def heading_lines(told: Calibration) -> list[str]:
    """Return the reference, the thresholds, the rate."""
    days = (told.span_end - told.span_start) / HOUR_MS / 24
    able = [t for t in told.terms if t.weight > 0]
    columns = len({(t.kind, t.column) for t in able})
    rates = " and ".join(f"{rate:,.1f} {'events' if kind == 'features' else 'labels'} an hour" for kind, rate in told.rates.items() if rate)
    return [
        (
            f"{told.model} against the {told.origin} reference {told.reference_id[:12]} of version {told.version}: "
            f"{told.rows:,} rows over {days:,.1f} days."
        ),
        (
            f"alarm_budget {told.alarm_budget}: an alarm wants evidence of {told.budget_hours:,.0f} h, summed over {len(able)} terms of "
            f"{columns} columns{_beside(told)} whose weights sum to 1, and {math.exp(told.gate):,.0f} to 1 in one of them. "
            f"Tolerance {told.tolerance:g} sd, more where the reference is less sure of itself."
        ),
        f"Rate: {rates or 'none'} ({told.rate_from}).",
    ]


def shown(terms: Sequence[TermPreview], *, every: bool) -> list[TermPreview]:
    """Return the terms that can alarm, or of each column the one with the greatest weight: of a number its level, of a category the most frequent."""
    able = [t for t in terms if t.weight > 0]
    if every:
        return able
    first: dict[tuple[str, str], TermPreview] = {}
    for term in able:
        held = first.get((term.kind, term.column))
        if held is None or term.weight > held.weight:
            first[term.kind, term.column] = term
    return list(first.values())


def visible_cells(term: TermPreview | PairsPreview) -> tuple[str, ...]:
    """Return a term's cells: what, weight, tolerance, the smallest visible shifts."""
    texts = (" or ".join(visible_texts(term.visible[name])) if name in term.visible else "" for name in ("hour", "day", "week"))
    what = "correlation" if isinstance(term, PairsPreview) else term_name(term.term)
    return (what, f"{term.weight:.2%}", f"{term.tolerance:.3f}", *(text or "none" for text in texts))


def pairs_rows(told: Calibration) -> list[tuple[str, ...]]:
    """Return the pairs' row of the table; none where no pair is watched."""
    return [] if told.pairs is None else [(_pairs(told.pairs.watched), *visible_cells(told.pairs))]


def pairs_lines(told: Calibration) -> list[str]:
    """Return what is seen of how columns go together."""
    pairs = told.pairs
    if pairs is None:
        return [f"Pairs of columns are not watched: {told.no_pairs}."]
    blind = f"; {pairs.blind:,} more are uncalibrated, or have a column of weight 0" if pairs.blind else ""
    return [
        (
            f"How columns go together (weight {pairs.weight:.2%}): {_pairs(pairs.watched)}, in up to {pairs.rate:,.1f} sampled rows an hour{blind}. "
            f"The row above is of the middle one, {pairs.pair}, in sd of the product of the two."
        )
    ]


def _pairs(count: int) -> str:
    return "1 pair" if count == 1 else f"{count:,} pairs"


def _beside(told: Calibration) -> str:
    beside = [*(["the traffic"] if told.traffic is not None else []), *([_pairs(told.pairs.watched)] if told.pairs is not None else [])]
    return "".join(f"{' and' if i == len(beside) - 1 else ','} {name}" for i, name in enumerate(beside))


def traffic_lines(told: Calibration) -> list[str]:
    """Return what is seen of the number of events."""
    traffic = told.traffic
    if traffic is None:
        return ["Traffic is not watched: the reference can't tell how many events are normal."]
    parts = []
    for name, (more, fewer) in traffic.visible.items():
        found = [*([f"{more:,.1f} times as many"] if more is not None else []), *([f"{fewer:.0%}"] if fewer is not None else [])]
        parts.append(f"within {'an' if name == 'hour' else 'a'} {name} {' or '.join(found) or 'none'}")
    return [
        (
            f"Traffic (weight {traffic.weight:.2%}): {traffic.rate:,.1f} events an hour, up to {traffic.factor:,.1f} times more or "
            f"fewer, are normal; seen is {', '.join(parts)}."
        )
    ]


def blind_lines(terms: Sequence[TermPreview]) -> list[str]:
    """Return what can't alarm, by the reason."""
    reasons: dict[str, list[str]] = {}
    for t in terms:
        if not t.calibrated:
            reasons.setdefault(t.why or "", []).append(f"{t.column} ({term_name(t.term)})")
        elif t.weight == 0:
            reasons.setdefault("its weight is 0, or no bet on it can be made", []).append(f"{t.column} ({term_name(t.term)})")
    lines = []
    for why, names in reasons.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        lines.append(f"Blind to {', '.join(names[:_NAMED])}{more}: {why}.")
    return lines


def realised_lines(told: Calibration) -> list[str]:
    """Return the false episodes on null data."""
    run = told.realised
    if run is None:
        return [f"False episodes: {told.drawn_from}."]
    low, high = run.interval
    verdict = "the budget is kept" if run.kept else "THE BUDGET IS NOT KEPT"
    lines = [
        (
            f"False episodes: {run.false_episodes} in {run.hours:,.0f} h of null data, where the budget allows {run.allowed:,.1f} (95 % interval "
            f"{low:.1f} to {high:.1f}): {verdict}. Drawn from {told.drawn_from}, {run.rate:,.1f} an hour, blocks of {run.block_hours:,.0f} h, "
            f"panes of {run.pane_hours:g} h, seed {run.seed}."
        )
    ]
    lines.append(f"Replayed: {', '.join(told.replayed)}. Left out: {', '.join(told.left_out)}.")
    if run.allowed < 3:
        lines.append("So little time can't tell much: a longer reference, or a budget of more alarms, would.")
    return lines
