"""Does the champion's file answer what the service published? If not, a trial would judge what nobody serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftline.detectors.values import canonical_text, finite_number
from driftline.retrain.models import Answers
from driftline.store.outcome_rows import OutcomeRow

_MIN_ROWS = 100
#: Mean distance of a probability, or of a prediction in standard deviations: rounding to two digits is .0025 on
#: average.
_TOLERANCE = 0.02
#: Share of rows on which the service's decision has to be the model's own for it to be called the model's own.
_AGREE = 0.99


@dataclass(frozen=True)
class Skew:
    """How far what was published by one version lies from what its file says. None where nothing was published to
    compare.
    """

    n: int
    distance: float | None
    agreement: float | None

    @property
    def harmful(self) -> bool:
        """Whether the file is plainly not the model that was served."""
        return self.distance is not None and self.n >= _MIN_ROWS and self.distance > _TOLERANCE

    @property
    def own_predictions(self) -> bool:
        """Whether the service publishes the model's bare predictions, not decisions by a rule of its own."""
        return self.agreement is not None and self.agreement >= _AGREE


def skew_of(rows: Sequence[OutcomeRow], said: Answers, version: str) -> Skew:
    """Return the skew of ``version`` on rows whose answers by its file are ``said``; rows of other versions are left
    out.
    """
    own = [i for i, row in enumerate(rows) if row.version == version]
    if not said.classes:  # a regression: the prediction is the score
        pairs = [(finite_number(rows[i].prediction), float(said.predictions[i])) for i in own]
        spread = float(np.std([ours for _, ours in pairs])) if pairs else 0.0
        distance = _distance(pairs, spread or 1.0)
        return Skew(len(own), distance, None if distance is None else float(distance <= _TOLERANCE))
    scores = said.scores
    decided = [(canonical_text(rows[i].prediction), canonical_text(said.predictions[i])) for i in own if rows[i].prediction is not None]
    return Skew(
        n=len(own),
        distance=None if scores is None else _distance([(finite_number(rows[i].score), float(scores[i])) for i in own], 1.0),
        agreement=sum(a == b for a, b in decided) / len(decided) if decided else None,
    )


def _distance(pairs: Sequence[tuple[float | None, float]], unit: float) -> float | None:
    gaps = [abs(published - ours) for published, ours in pairs if published is not None]
    return float(np.mean(gaps)) / unit if gaps else None
