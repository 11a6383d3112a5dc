"""What describes and does not decide, in words: how far a window is from the one before it, and what all columns together show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from driftline.contracts.findings import Distance, Multivariate, SincePrevious
from driftline.contracts.times import format_time

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from driftline.contracts.findings import Finding
    from driftline.streams.detect.state import Track

#: Findings that are looked through for one of a reference: several versions may be served side by side.
_LOOKED_AT = 64


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """A column in a window of ``n`` rows, ``window_start`` to ``window_end`` (epoch ms), beside the window before; None: nothing is known."""

    finding_id: str
    window_start: int
    window_end: int
    n: int
    since_previous: SincePrevious | None


class Together(msgspec.Struct, frozen=True, kw_only=True):
    """What all columns together showed in the last window, beginning at ``window_start`` (epoch ms), for which that was asked."""

    window_start: int
    shown: Multivariate


def last_finding(engine: Engine, model: str, reference_id: str, until: int | None = None) -> Finding | None:
    """Return the finding of the last window of a model under a reference, of those that ended before ``until``."""
    from driftline.store import findings
    from driftline.store.panes import FOREVER

    found = findings.history(engine, model, until=FOREVER if until is None else until, limit=_LOOKED_AT)
    return next((one for one in found if one.reference_id == reference_id), None)


def beside(finding: Finding, column: str) -> Beside | None:
    """Return what a finding says of a column beside the window before; None where it has no such column."""
    own = next((one for one in finding.columns if one.column == column), None)
    if own is None:
        return None
    return Beside(
        finding_id=finding.finding_id,
        window_start=finding.window_start,
        window_end=finding.window_end,
        n=own.n,
        since_previous=own.since_previous,
    )


def together(track: Track | None) -> Together | None:
    """Return the newest that is remembered of all columns together."""
    if track is None or not track.multivariate:
        return None
    start = max(track.multivariate)
    return Together(window_start=start, shown=track.multivariate[start])


def beside_sentence(told: Beside) -> str:
    """Return it in words; nothing where nothing is known.

    >>> beside_sentence(Beside(finding_id="f", window_start=0, window_end=3_600_000, n=900, since_previous=SincePrevious(800, 0.0123, 0.04, 0.02)))
    'In the window that ended at 1970-01-01T01:00Z (n = 900) PSI to the window before it (n = 800) is 0.012, and chance stays below 0.040.'
    """
    before = told.since_previous
    if before is None:
        return ""
    return (
        f"In the window that ended at {format_time(told.window_end)} (n = {told.n:,}) PSI to the window before it (n = {before.n:,}) is "
        f"{before.psi:.3f}, and chance stays below {before.psi_chance:.3f}."
    )


def together_sentence(told: Together) -> str:
    """Return it in words, whether it shows anything or not.

    >>> shown = Multivariate(n=900, reference_n=2_000, auc=Distance(0.61, 0.58, 0.64, 0.53), columns=("a", "b"))
    >>> together_sentence(Together(window_start=0, shown=shown))
    'All columns together, from 1970-01-01T00:00Z on: 900 sampled rows against 2,000: AUC 0.61 (0.58 to 0.64, chance below 0.53), by a and b.'
    """
    shown, parts = told.shown, []
    if shown.auc is not None:
        by = f", by {' and '.join(shown.columns)}" if shown.columns else ""
        parts.append(f"AUC {_distance(shown.auc)}{by}")
    if shown.reconstruction is not None:
        parts.append(f"{shown.components} principal components miss {_distance(shown.reconstruction)} times as much")
    if shown.reason:
        parts.append(shown.reason)
    rows = f"{shown.n:,} sampled rows against {shown.reference_n:,}"
    return f"All columns together, from {format_time(told.window_start)} on: {rows}: {'; '.join(parts)}."


def previous_text(before: SincePrevious | None) -> str:
    """Return a distance for a table.

    >>> previous_text(SincePrevious(800, 0.0123, 0.04, 0.02)), previous_text(None)
    ('0.012 (chance 0.040)', '')
    """
    return "" if before is None else f"{before.psi:.3f} (chance {before.psi_chance:.3f})"


def _distance(one: Distance) -> str:
    return f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f}, chance below {one.chance:.2f})"
