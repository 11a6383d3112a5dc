"""The one plain sentence of a window's finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from driftline.contracts.findings import Change, ColumnFinding, Multivariate, Performance, State
from driftline.contracts.reference import ANY_VERSION, Reference
from driftline.contracts.times import format_time

_NAMED = 3


def version_of(reference: Reference | None, versions: Mapping[str, int]) -> str:
    """Return the version that a finding speaks of: the reference's, or the most frequent one under a reference that serves any."""
    if reference is not None and reference.version != ANY_VERSION:
        return reference.version
    return max(sorted(versions), key=lambda v: versions[v]) if versions else ANY_VERSION


def finding_sentence(
    model: str, state: State, window: tuple[int, int], n: int, *, columns: Sequence[ColumnFinding], performance: Performance | None, quality: str = ""
) -> str:
    """Return what a window showed, in words; ``quality`` says what of the events themselves is above its limit."""
    span = f"{model}, {format_time(window[0])} to {format_time(window[1])}, {n:,} events"
    moved = sorted((c for c in columns if c.state == "drift" and c.effect is not None), key=lambda c: -abs(c.effect or 0.0))
    named = ", ".join(f"{c.column} {c.effect:+.2f} sd" + (f" ({c.note})" if c.note else "") for c in moved[:_NAMED])
    more = f" and {len(moved) - _NAMED} more" if len(moved) > _NAMED else ""
    if state == "learning":
        text = "learning what is normal; nothing can be said yet"
    elif state == "insufficient_data":
        text = "too few events to say anything"
    elif state == "uncalibrated":
        text = "the reference is too short for its own cycles; shown, but it neither alarms nor retrains"
    elif state == "drift":
        text = f"an episode is open ({named}{more})" if named else "an episode is open"
    else:
        text = f"no alarm; beyond tolerance in this window: {named}{more}" if named else "within tolerance"
    if performance is not None and performance.n:
        shown = ", ".join(f"{name} {value:.3f}" for name, value in list(performance.metrics.items())[:_NAMED])
        text += f". Realised on {performance.n:,} labelled predictions: {shown}"
    return f"{span}: {text}." + (f" {quality[0].upper()}{quality[1:]}." if quality else "")


def changes_sentence(changes: Sequence[Change]) -> str:
    """Return what is added to a window's sentence where sequential detectors saw changes in it; nothing where they did not.

    >>> changes_sentence([Change(column="temp", detector="adwin", series="means", at=1_600_000_000_000)])
    ' Changes seen: temp by adwin at 2020-09-13T12:26:40Z.'
    """
    if not changes:
        return ""
    named = ", ".join(f"{c.column} by {c.detector} at {format_time(c.at)}" for c in changes[:_NAMED])
    more = f" and {len(changes) - _NAMED} more" if len(changes) > _NAMED else ""
    return f" Changes seen: {named}{more}."


def multivariate_sentence(joint: Multivariate | None) -> str:
    """Return what is added to a window's sentence where all its columns together surely differ from the reference's; nothing where they don't.

    >>> from driftline.contracts.findings import Distance
    >>> multivariate_sentence(Multivariate(n=900, reference_n=2_000, auc=Distance(0.61, 0.58, 0.64, 0.53), columns=("a", "b")))
    " All columns together: 900 sampled rows are told from the reference's with an AUC of 0.61 (0.58 to 0.64), by a and b."
    """
    if joint is None:
        return ""
    told = []
    auc, ratio = joint.auc, joint.reconstruction
    if auc is not None and auc.low > 0.5 and auc.value > auc.chance:
        by = f", by {' and '.join(joint.columns)}" if joint.columns else ""
        told.append(f"{joint.n:,} sampled rows are told from the reference's with an AUC of {auc.value:.2f} ({auc.low:.2f} to {auc.high:.2f}){by}")
    if ratio is not None and (ratio.low > 1 or ratio.high < 1) and max(ratio.value, 1 / ratio.value) > ratio.chance:
        told.append(f"the reference's principal components miss {ratio.value:.2f} times as much ({ratio.low:.2f} to {ratio.high:.2f})")
    return f" All columns together: {'; '.join(told)}." if told else ""
