"""All columns together, once for each window that closes: where the settings ask for it, and the rows that it takes."""

from __future__ import annotations

from driftline.contracts.findings import Multivariate
from driftline.contracts.pii import rule_of
from driftline.contracts.reference import CategoricalColumn, NumericColumn, Reference
from driftline.contracts.settings import ModelSettings
from driftline.detectors.multivariate.joint import Joint
from driftline.streams.detect.relations import Samples
from driftline.streams.detect.said import Said, Turn
from driftline.streams.detect.windows import Windows

#: Windows of an episode at which it is told what all columns together show: the one in which it opened, and a whole one.
_FIRST_WINDOWS = 2


class JointBook:
    """The reference's rows of one model, made ready while they are asked for."""

    def __init__(self, settings: ModelSettings, windows: Windows, samples: Samples) -> None:
        self._settings = settings
        self._windows = windows
        self._samples = samples
        self._ready: tuple[str, Joint] | None = None

    def told(self, turn: Turn) -> Multivariate | None:
        """Return what the samples of a window's panes show as the window of features closes; None where nobody asks.

        What comes later, a late row or a label, does not change it: by then panes may stand in their windows only, which have no rows.
        """
        asked = self._settings.multivariate
        if asked == "off" or (asked == "episodes" and not _young(turn)):
            self._ready = None  # a megabyte that nobody needs
            return None
        return self._joint(turn.reference, turn.said).compared(self._windows.sampled(turn.key))

    def _joint(self, reference: Reference, said: Said) -> Joint:
        known = reference.reference_id
        if self._ready is None or self._ready[0] != known:
            # Of a reference that was learned in this very step, SQL has nothing yet.
            fresh = next((rows for learned, rows in said.references if learned.reference_id == known), None)
            # What samples hold of a feature under any other rule is not what the reference counted.
            columns = [c for c in reference.columns if isinstance(c, NumericColumn | CategoricalColumn)]
            kept = frozenset(c.feature for c in columns if rule_of(self._settings.pii, c.feature) == "keep")
            self._ready = known, Joint.of(reference, self._samples(known) if fresh is None else fresh, kept)
        return self._ready[1]


def _young(turn: Turn) -> bool:
    """Say whether an episode of features is in its first windows. One of outcomes runs on a clock of its own: whether it is open may be chance."""
    since = turn.at - _FIRST_WINDOWS * turn.key.length
    return any(episode.kind == "features" and episode.opened_at > since for episode in turn.track.open_at(turn.at))
