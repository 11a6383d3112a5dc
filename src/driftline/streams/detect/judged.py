"""The findings of a window's columns, remembered: labels that come make a window's finding anew again and again, and its columns stay as they are.

What is remembered is a pure function of what it is remembered by, so that nothing depends on what has been forgotten, or on a restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from driftline.contracts.findings import ColumnFinding
from driftline.contracts.reference import Reference
from driftline.contracts.times import HOUR_MS
from driftline.detectors.decider import Decider, Span
from driftline.detectors.describe import column_findings
from driftline.detectors.pane import Pane
from driftline.store.detect_rows import PaneKey

#: Windows of a model that are remembered: labels come for the newest few.
_MOST = 64


class JudgedColumns:
    """Compares the columns of one model's windows with their reference."""

    def __init__(self) -> None:
        self._known: dict[PaneKey, tuple[bytes, tuple[ColumnFinding, ...]]] = {}

    def of(
        self, key: PaneKey, reference: Reference, decider: Decider, pane: Pane, *, spans: Sequence[Span], before: Pane | None
    ) -> tuple[ColumnFinding, ...]:
        """Return the findings of the columns of the window ``key`` that holds ``pane``, beside the window ``before`` it."""
        held = _digest(pane, spans, before)
        known = self._known.pop(key, None)
        if known is None or known[0] != held:
            hours = key.length / HOUR_MS
            counts_before = before.counts if before is not None else None
            found = column_findings(reference, decider, "features", pane.counts, hours, spans=spans, distinct=pane.distinct, before=counts_before)
            known = held, found
        self._known[key] = known
        if len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
        return known[1]


def _digest(pane: Pane, spans: Sequence[Span], before: Pane | None) -> bytes:
    told = blake2b(pane.counts.tobytes(), digest_size=16)
    told.update(msgspec.msgpack.encode((sorted(pane.distinct.items()), list(spans), before is not None)))
    if before is not None:
        told.update(before.counts.tobytes())
    return told.digest()
