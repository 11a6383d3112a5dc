"""A producer that stops is an alarm: event time passes, or the log says for how long nothing came, and a model has no event."""

from __future__ import annotations

from driftline.contracts.findings import Cause
from driftline.contracts.reference import Reference
from driftline.contracts.times import HOUR_MS, MINUTE_MS
from driftline.detectors.decider import TermEffect
from driftline.detectors.silence import SILENCE, longest_silence
from driftline.detectors.volume import VOLUME, volume_of
from driftline.streams.detect.state import Track

#: Silence is looked for at each multiple of this in event time: whoever reads the log again looks at the same moments.
TICK = MINUTE_MS
#: A silence that was none is told no more before so many times its length.
_DOUBTED = 3


def ticked(now: int) -> int:
    """Return the last moment up to ``now`` at which silence is looked for."""
    return now // TICK * TICK


def patience_of(track: Track, start: int) -> int:
    """Return how long (ms) nothing may come from now on, a pane that starts at ``start`` having events: where a silence was told of that very time,
    they were only published later, as by a service that publishes once a night.
    """
    episode = track.episodes.get("features")
    told = [(c.onset, round(c.high * HOUR_MS)) for c in episode.causes if c.term == SILENCE] if episode is not None else []
    return max([track.patience, *(_DOUBTED * length for onset, length in told if onset <= start < onset + length)])


def speaks(track: Track, reference: Reference, since: int, now: int) -> bool:
    """Say whether a silence from ``since`` to ``now`` is long enough to speak, by the longest ones before."""
    told = volume_of(reference)
    seen = reference.span_end - reference.span_start if told is not None else 0
    known = seen + max(since - track.began, 0)
    return now - since >= longest_silence(known, longest_gap(track, reference))


def longest_gap(track: Track, reference: Reference) -> int:
    """Return the longest time (ms) without an event that is known: in the reference, or live."""
    told = volume_of(reference)
    return max(track.longest_gap, (told.longest_gap or 0) if told is not None else 0)


def silence_cause(track: Track, reference: Reference, since: int, now: int) -> Cause:
    """Return the silence as a cause: its length and, as the tolerance, the longest one before, in hours."""
    hours = (now - since) / HOUR_MS
    return Cause(
        column=VOLUME,
        term=SILENCE,
        direction="down",
        effect=-hours,
        low=hours,
        high=hours,
        tolerance=longest_gap(track, reference) / HOUR_MS,
        share=1.0,
        importance=0.0,
        onset=since,
    )


def silence_effect(cause: Cause, track: Track) -> TermEffect:
    """Return what has become of a silence: nothing once a pane with events has closed after it, else what it was."""
    over = track.last_end.get("features", 0) > cause.onset
    hours = 0.0 if over else max(cause.high, cause.tolerance + 1.0)
    return TermEffect(
        kind="features",
        column=VOLUME,
        term=SILENCE,
        effect=-hours,
        low=-hours,
        high=-hours,
        tolerance=cause.tolerance,
        n=1,
        calibrated=True,
        direction="down",
    )
