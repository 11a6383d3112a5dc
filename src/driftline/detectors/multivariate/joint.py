"""A window's sampled rows against the reference's own, all columns together: domain classifier and PCA reconstruction. It describes.

Rows of one time resemble one another more than chance has it: of an autocorrelated stream both figures leave what chance shows although nothing is
wrong. That is why they open no episode; the decider's terms, pairs among them, know how much each wanders.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from driftline.contracts.findings import Multivariate
from driftline.contracts.reference import Reference
from driftline.contracts.summaries import SampleRow
from driftline.detectors.multivariate.classifier import domain_auc
from driftline.detectors.multivariate.matrix import Coder, Matrices
from driftline.detectors.multivariate.reconstruction import Components
from driftline.detectors.sample import bottom_k

#: Fewer rows of either say too little.
LEAST_ROWS = 200
#: Of more rows those of the least places: the cost of a window has an end.
MOST_ROWS, MOST_REFERENCE_ROWS = 1_000, 2_000


@dataclass(frozen=True, eq=False)
class Joint:
    """A reference's rows, made ready once. ``reason`` says why nothing can be said, for good."""

    coder: Coder
    rows: Matrices
    ids: frozenset[str]
    components: Components | None
    reason: str

    @classmethod
    def of(cls, reference: Reference, rows: Iterable[SampleRow], kept: frozenset[str] | None = None) -> Joint:
        """Return what windows are compared with: of the features in ``kept`` (None: all) the ones that the reference's sample has values of."""
        own = bottom_k(rows, MOST_REFERENCE_ROWS)
        coder = Coder.of(reference, own, kept)
        matrices = coder.of_rows(own)
        reason = ""
        if len(own) < LEAST_ROWS:
            reason = f"{len(own)} rows were stored with the reference; {LEAST_ROWS} are needed"
        elif not coder.columns:
            reason = "the reference's rows keep no column that can be compared"
        components = None if reason else Components.of(matrices, coder.scored)
        return cls(coder, matrices, frozenset(row.event_id for row in own), components, reason)

    def compared(self, rows: Iterable[SampleRow]) -> Multivariate:
        """Return what the rows of a window show, a function of their set; those that are the reference's own are left out. No row makes it raise."""
        window: Sequence[SampleRow] = bottom_k((row for row in rows if row.event_id not in self.ids), MOST_ROWS)
        n, reference_n = len(window), len(self.ids)
        if self.reason or n < LEAST_ROWS:
            reason = self.reason or f"{n} sampled rows in the window; {LEAST_ROWS} are needed"
            return Multivariate(n=n, reference_n=reference_n, reason=reason)
        ours = self.coder.of_rows(window)
        auc, carriers = domain_auc(self.rows, ours, self.coder.scored)
        return Multivariate(
            n=n,
            reference_n=reference_n,
            auc=auc,
            columns=tuple(self.coder.columns[place].name for place in carriers),
            reconstruction=None if self.components is None else self.components.ratio(ours),
            components=0 if self.components is None else len(self.components.basis),
            reason="" if self.components is not None else "fewer than two columns vary together in the reference: no principal components",
        )
