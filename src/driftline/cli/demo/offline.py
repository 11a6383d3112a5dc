"""The decider over a year at once, without Kafka or a database: the evidence of a worker's whole decider (terms, traffic, pairs of columns), its
episodes and its sentences, with one reference throughout.

Left out is what stands beside the decider: silence, sequential detectors, notes on what a change looks like, and the second opinion of ADWIN on when
a column moved (an onset here is the evidence's own).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from driftline.alerts import episodes
from driftline.alerts.episodes import Crossing, Episode
from driftline.contracts.findings import Alert
from driftline.contracts.times import HOUR_MS
from driftline.detectors.bootstrap import Course
from driftline.detectors.decider import Span, TermEffect
from driftline.detectors.evidence import DeciderState
from driftline.detectors.multivariate.pairs import TERM
from driftline.detectors.nullrun import may_cross
from driftline.detectors.whole import Whole, related
from driftline.streams.detect.causes import Moved, causes_of, window_causes
from driftline.streams.detect.shares import shared

#: Panes of an hour, windows of a day, of which an open episode is measured over so many.
_DAY, _TRAILING = 24, 14


@dataclass
class _Watched:
    """One kind of panes: counts summed from the first hour on, so that any stretch is a subtraction."""

    course: Course
    total: npt.NDArray[np.int64]
    state: DeciderState
    episode: Episode | None = None

    def between(self, first: int, after: int) -> npt.NDArray[np.int64]:
        """Return what the hours from ``first`` on held, up to ``after``."""
        return np.asarray(self.total[after] - self.total[max(first, 0)])


@dataclass
class Year:
    """Hourly courses from ``start`` (ms) on, watched by a decider; ``alerts`` are what was said."""

    whole: Whole
    start: int
    alerts: list[Alert] = field(default_factory=list)

    def watch(self, courses: Sequence[Course]) -> list[Alert]:
        """Return the alerts in order of time."""
        self.reference, self._decider = self.whole.reference, self.whole.decider
        kinds = [_Watched(course, _summed(course), self._decider.start()) for course in courses]
        for hour in range(courses[0].counts.shape[0]):
            for watched in kinds:
                self._hour(watched, hour)
                if hour % _DAY == _DAY - 1 and watched.episode is not None:
                    self._day(watched, watched.episode, hour)
        return self.alerts

    def _hour(self, watched: _Watched, hour: int) -> None:
        counts = watched.between(hour, hour + 1)
        # While an episode is open its evidence decides nothing, and it begins anew when the episode ends.
        if watched.episode is not None or not counts.any():
            return
        end = self._time(hour + 1)
        watched.state = self._decider.step(watched.state, watched.course.kind, counts, end, 1.0, watched.course.events_of(hour))
        pairs = watched.course.pairs
        if pairs is not None and pairs.rows(hour):
            watched.state = self.whole.take(watched.state, pairs.growth(hour), end, 1.0, pairs.most)
        if not may_cross(self._decider, watched.state) or not (verdict := self.whole.verdict(watched.state)).crossed:
            return
        onset = verdict.onset if verdict.onset is not None else end - HOUR_MS
        first = (onset - self.start) // HOUR_MS
        since = watched.between(first, hour + 1)
        effects = [
            *self._decider.effects(watched.course.kind, since, hour + 1 - first, self._spans(watched, first, hour + 1)),
            *self._beside(watched, (first, hour + 1), [carrier.column for carrier in verdict.carriers if carrier.term == TERM]),
        ]
        moved = causes_of(verdict, effects, self.whole.importance())
        crossing = Crossing(
            model=self.reference.model, version=self.reference.version, reference_id=self.reference.reference_id, kind=watched.course.kind,
            at=end, onset=onset, n=self._rows(watched, since), evidence=verdict.evidence, budget=verdict.budget,
            causes=shared(moved.causes, self.reference, watched.course.kind), moved=moved.columns,
        )  # fmt: skip
        watched.episode, alert = episodes.opened(crossing, "")
        self.alerts.append(alert)

    def _day(self, watched: _Watched, episode: Episode, hour: int) -> None:
        first = max((episode.onset - self.start) // HOUR_MS // _DAY * _DAY, hour + 1 - _TRAILING * _DAY)
        if hour + 1 <= (episode.onset - self.start) // HOUR_MS:
            return
        seen = watched.between(first, hour + 1)
        effects = [
            *self._decider.effects(watched.course.kind, seen, hour + 1 - first, self._spans(watched, first, hour + 1)),
            # Of this day alone, as a worker has it: what a window holds has no sample, and events come again or they do not.
            *self._beside(watched, (hour + 1 - _DAY, hour + 1), [cause.column for cause in episode.causes if cause.term == TERM]),
        ]
        moved: Moved = window_causes(episode, effects, self.reference, self._time(hour + 1 - _DAY))
        after, alert = episodes.watched(episode, moved.causes, self._time(hour + 1), self._rows(watched, seen), "", moved.columns)
        watched.episode = after
        if after.ended_at is not None:
            watched.episode, watched.state = None, self._decider.start()
        if alert is not None:
            self.alerts.append(alert)

    def _beside(self, watched: _Watched, hours: tuple[int, int], pairs: Sequence[str]) -> list[TermEffect]:
        """Return the effects of what is no term of a column: the traffic, and the pairs of these names."""
        first, after = max(hours[0], 0), hours[1]
        found: list[TermEffect] = []
        if watched.course.events is not None:
            events = int(watched.course.events[first:after].sum())
            found += filter(None, [self._decider.volume_effect(events, self._time(first), self._time(after))])
        if watched.course.pairs is not None and pairs:
            found += related(watched.course.pairs.effects(first, after), pairs)
        return found

    def _spans(self, watched: _Watched, first: int, after: int) -> list[Span]:
        """Return the hours with how many rows each held: what is normal depends on when they were."""
        return [
            (self._time(hour), self._time(hour + 1), self._rows(watched, watched.between(hour, hour + 1))) for hour in range(max(first, 0), after)
        ]

    def _time(self, hour: int) -> int:
        return self.start + hour * HOUR_MS

    def _rows(self, watched: _Watched, counts: npt.NDArray[np.int64]) -> int:
        columns = self.reference.columns if watched.course.kind == "features" else self.reference.outcomes
        return int(counts[: columns[0].slots].sum())


def _summed(course: Course) -> npt.NDArray[np.int64]:
    dense = course.counts.toarray()
    return np.concatenate([np.zeros((1, dense.shape[1]), np.int64), dense.cumsum(axis=0)])
