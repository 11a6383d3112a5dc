"""Causes whose term is a share (missing, never seen, of a value, of errors), with what it was and is: people think in percent, not in sd. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from driftline.contracts.findings import Cause
from driftline.contracts.reference import Column, Reference
from driftline.contracts.summaries import PaneKind
from driftline.detectors.moments import moments_of
from driftline.detectors.visible import share_at


def shared(causes: Iterable[Cause], reference: Reference, kind: PaneKind) -> tuple[Cause, ...]:
    """Return the causes of one kind of pane, each that is a share with what it was in the reference, and what its effect makes of it."""
    columns = columns_of(reference, kind)
    return tuple(with_share(cause, columns.get(cause.column), cause.term) for cause in causes)


def with_share(cause: Cause, column: Column | None, term: str) -> Cause:
    """Return a cause by ``term`` of a column (the cause may hide both names) with its share then and now; as it is, if it is no share."""
    moments = moments_of(column) if column is not None else None
    if moments is None or term not in moments.terms:
        return cause
    phi = moments.phi[moments.terms.index(term)]
    return msgspec.structs.replace(cause, share_then=share_at(term, phi, 0.0), share_now=share_at(term, phi, cause.effect))


def columns_of(reference: Reference, kind: PaneKind) -> dict[str, Column]:
    """Return the columns of one kind of pane by name."""
    return {column.name: column for column in reference.columns_of(kind)}
