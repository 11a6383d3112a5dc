"""Episodes of one model: what opens them, what each window makes of them, what ends them."""

from __future__ import annotations

from collections.abc import Iterable

from driftline.alerts import episodes
from driftline.alerts.episodes import Crossing, Episode
from driftline.contracts.ripeness import label_wait
from driftline.contracts.settings import ModelSettings, config_hash
from driftline.contracts.times import HOUR_MS, parse_duration
from driftline.detectors.decider import Verdict
from driftline.detectors.multivariate.pairs import TERM
from driftline.detectors.pane import Pane
from driftline.detectors.silence import SILENCE
from driftline.detectors.volume import VOLUME, volume_of
from driftline.store.detect_rows import PaneKey
from driftline.streams.detect.causes import Moved, causes_of, discreet, noted, plain_causes, window_causes
from driftline.streams.detect.cells import Cells, merged, ranges_of, spans_of
from driftline.streams.detect.evidence_book import EvidenceBook
from driftline.streams.detect.families import wheres_of
from driftline.streams.detect.relations import Relations
from driftline.streams.detect.said import Turn
from driftline.streams.detect.sequential_book import NOTHING, Seen
from driftline.streams.detect.series import LONGEST, dated, effects_of
from driftline.streams.detect.shares import shared
from driftline.streams.detect.silence import silence_cause, silence_effect, speaks
from driftline.streams.detect.state import REMEMBERED_WINDOWS, Track
from driftline.streams.detect.windows import Found, Windows
from driftline.streams.detect.wording import version_of

#: The effect of an open episode is measured over so many trailing windows, since its onset at the most: what wanders slowly has no interval worth the
#: name in one window.
_TRAILING_WINDOWS = 14


class EpisodeKeeper:
    """Opens, follows and ends the episodes of a model's tracks."""

    def __init__(  # noqa: PLR0917 - what a monitor has
        self, model: str, settings: ModelSettings, cells: Cells, windows: Windows, evidence: EvidenceBook, relations: Relations
    ) -> None:
        self._model = model
        self._settings = settings
        self._cells = cells
        self._windows = windows
        self._evidence = evidence
        self._relations = relations
        self._hash = config_hash(settings)
        self._pane = parse_duration(settings.pane)

    def pane_closed(self, turn: Turn, verdict: Verdict, seen: Seen = NOTHING) -> None:
        """Open an episode if the decider's evidence has reached the budget, or else if a sequential detector that may decide has seen a change."""
        if turn.key.kind in turn.track.episodes:
            return
        if not verdict.crossed:
            self._decided(turn, verdict, seen)
            return
        key, reference = turn.key, turn.reference
        onset = verdict.onset if verdict.onset is not None else key.start
        since = self._since(key, onset - self._pane + 1)
        pane = merged([cell for _, cell in since], self._cells.layout(key))
        width = _time(since) or self._pane
        decider = self._evidence.decider(reference)
        effects = decider.effects(key.kind, pane.counts, width / HOUR_MS, spans_of(since))
        if key.kind == "features" and since:
            effects += tuple(filter(None, [decider.volume_effect(pane.n, min(onset, *(k.start for k, _ in since)), key.end)]))
        effects += tuple(self._relations.effects(reference, (c.column for c in verdict.carriers if c.term == TERM), since))
        moved = causes_of(verdict, effects, self._relations.importance(reference), wheres_of(reference))
        self._open(turn, verdict, onset, pane, Moved(dated(moved.causes, self._series(key), pane.layout), moved.columns), since)

    def silent(self, turn: Turn, since: int, now: int) -> None:
        """Say that nothing has come from ``since`` to ``now``, if that is long enough and nobody has been told."""
        track, reference = turn.track, turn.reference
        if now - since < track.patience:
            return
        episode = track.episodes.get("features")
        if self._settings.weights.get(VOLUME) == 0 or (episode is not None and any(c.column == VOLUME for c in episode.causes)):
            return
        told, long = volume_of(reference), speaks(track, reference, since, now)
        # Where the rate is known, and no events came under another reference or are about to be counted.
        by_rate = told is not None and told.calibrated and since <= track.last_end.get("features", 0)
        if not long and not by_rate:
            return  # most models at most moments: nothing is built for them
        verdict = self._evidence.verdict_of_silence(track, reference, now)
        if not long and not (verdict.crossed and bool(verdict.carriers) and verdict.carriers[0].column == VOLUME):
            return
        cause = silence_cause(track, reference, since, now)
        if episode is None:
            nothing = Pane(self._cells.layout(turn.key))
            self._open(turn, verdict, since, nothing, Moved((cause,), (VOLUME,)), [])
            return
        after, alert = episodes.watched(episode, (*episode.causes, cause), now, 0, self._hash, (VOLUME,))
        track.episodes["features"] = after
        turn.said.alerts.extend(filter(None, [alert]))

    def window_closed(self, turn: Turn) -> None:
        """Let the open episode see the window."""
        episode = turn.track.episodes.get(turn.key.kind)
        if episode is not None:
            self._follow(turn, episode)

    def end_older(self, replaced: Iterable[Track], turn: Turn) -> None:
        """End the open episodes of references that a newer one replaces, at its first pane, each kind by the clock of its own panes."""
        for older in replaced:
            episode = older.episodes.get(turn.key.kind)
            if episode is not None and older.effective_from < turn.track.effective_from:
                self._end(older, episode, turn)

    def end_dried(self, tracks: Iterable[Track], turn: Turn) -> None:
        """End the episodes of older references whose events have stopped: their version was replaced, and nothing else would ever end them."""
        for older in tracks:
            episode = older.episodes.get(turn.key.kind)
            dried = older.last_end.get(turn.key.kind, 0) + turn.key.length <= turn.key.start
            if episode is not None and dried and older.effective_from < turn.track.effective_from:
                self._end(older, episode, turn)

    def _follow(self, turn: Turn, episode: Episode) -> None:
        key, reference = turn.key, turn.reference
        if key.end <= episode.onset:
            return  # late rows have opened a window of before its time, which says nothing of it
        seen = self._windows.trailing(key, _TRAILING_WINDOWS, episode.onset)
        pane = merged([cell for _, cell in seen], self._cells.layout(key))
        decider = self._evidence.decider(reference)
        effects = decider.effects(key.kind, pane.counts, _time(seen) / HOUR_MS, spans_of(seen))
        if key.kind == "features":
            # Of this window alone: events come again, or they do not.
            now = sum(cell.pane.n for k, cell in seen if (k.start, k.end) == (key.start, key.end))
            effects += tuple(filter(None, [decider.volume_effect(now, key.start, key.end)]))
            effects += tuple(silence_effect(c, turn.track) for c in episode.causes if c.term == SILENCE)
        related = [cause.column for cause in episode.causes if cause.term == TERM]
        panes = self._panes(key, max(key.start, self._windows.reach(key)), key.end) if related else []
        effects += tuple(self._relations.effects(reference, related, panes))
        moved = window_causes(episode, effects, reference, key.start)
        causes = noted(discreet(moved.causes, reference, self._settings.pii), pane, self._settings.pii)
        after, alert = episodes.watched(episode, causes, turn.at, pane.n, self._hash, moved.columns)
        if after.ended_at is None:
            turn.track.episodes[key.kind] = after
        else:
            self._forget(turn.track, after, turn)
        if alert is not None:
            turn.said.alerts.append(alert)

    def _decided(self, turn: Turn, verdict: Verdict, seen: Seen) -> None:
        key, reference = turn.key, turn.reference
        deciding = [watch for watch in seen.deciding if self._settings.weights.get(watch.column) != 0]
        if not deciding:
            return
        # What it saw is the last of the panes; what a person is told of it is measured over a window's time, which has an interval.
        inside = self._panes(key, max(key.end - self._windows.usual, self._windows.reach(key)), key.start + 1)
        pane = merged([cell for _, cell in inside], self._cells.layout(key))
        hours = (_time(inside) or self._pane) / HOUR_MS
        effects = effects_of(deciding, self._evidence.decider(reference).effects(key.kind, pane.counts, hours, spans_of(inside)))
        causes = dated(plain_causes(effects, reference.importance_by_column(), key.start), self._series(key), pane.layout)
        moved = Moved(causes, tuple(sorted({watch.column for watch in deciding})))
        self._open(turn, verdict, key.start, pane, moved, inside, by=" and ".join(dict.fromkeys(watch.name for watch in deciding)))

    def _open(self, turn: Turn, verdict: Verdict, onset: int, pane: Pane, moved: Moved, found: Found, *, by: str = "") -> None:  # noqa: PLR0917 - the callers' local names
        key, reference = turn.key, turn.reference
        crossing = Crossing(
            model=self._model,
            version=version_of(reference, pane.versions),
            reference_id=reference.reference_id,
            kind=key.kind,
            at=turn.at,
            onset=onset,
            n=pane.n,
            evidence=verdict.evidence,
            budget=verdict.budget,
            causes=noted(discreet(shared(moved.causes, reference, key.kind), reference, self._settings.pii), pane, self._settings.pii),
            moved=moved.columns,
            offsets=ranges_of([cell for _, cell in found]) if key.kind == "features" else (),
            by=by,
        )
        episode, alert = episodes.opened(crossing, self._hash)
        turn.track.episodes[key.kind] = episode
        turn.said.alerts.append(alert)

    def _end(self, track: Track, episode: Episode, turn: Turn) -> None:
        how: episodes.Replaced = "accepted" if turn.reference.origin == "accepted" else "superseded"
        over, alert = episodes.ended(episode, how, turn.at, self._hash)
        self._forget(track, over, turn)
        turn.said.alerts.append(alert)

    def _forget(self, track: Track, over: Episode, turn: Turn) -> None:
        track.end(over, turn.at - label_wait(self._settings, turn.reference) - REMEMBERED_WINDOWS * self._windows.usual)
        self._evidence.forget(track, over.kind)

    def _since(self, key: PaneKey, since: int) -> Found:
        """Return the panes from ``since`` to the one that closes; what is older than their reach by windows, from the start of the first."""
        near = max(since, self._windows.reach(key))
        found = self._panes(key, near, key.start + 1)
        if since >= near:
            return found
        return self._windows.before(key, since, near) + found

    def _panes(self, key: PaneKey, since: int, until: int) -> Found:
        return self._cells.range(self._model, key.reference_id, key.kind, self._pane, since, until)

    def _series(self, key: PaneKey) -> Found:
        return self._panes(key, key.end - LONGEST * self._pane, key.end)


def _time(found: Found) -> int:
    """Return how much event time panes or windows take up (ms)."""
    return sum(key.length for key, _ in found)
