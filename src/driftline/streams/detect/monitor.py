"""One model under watch: its panes and windows close in the order of event time, and what follows from each is said.

Everything here is a function of the cells, the references and the watermarks; nothing looks at a clock. Features close on the watermark of summarise,
outcomes on the slowest of summarise and the join, so that whatever is decided about outcomes at a moment finds the features of that moment decided
(docs/decisions/0004).
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from driftline.alerts.policy import decide
from driftline.contracts.findings import Finding, PaneClosing
from driftline.contracts.ids import stable_id
from driftline.contracts.reference import ANY_VERSION, Reference
from driftline.contracts.ripeness import label_wait
from driftline.contracts.settings import ModelSettings, config_hash
from driftline.contracts.summaries import LEARNING, PaneKind
from driftline.contracts.times import parse_duration
from driftline.detectors.decider import Verdict
from driftline.store.detect_rows import PaneKey
from driftline.streams.detect.asking import in_force, policy_input
from driftline.streams.detect.cells import Cell, Cells
from driftline.streams.detect.digest import Digest
from driftline.streams.detect.episode_keeper import EpisodeKeeper
from driftline.streams.detect.evidence_book import EvidenceBook
from driftline.streams.detect.joint_book import JointBook
from driftline.streams.detect.learning import learned_reference
from driftline.streams.detect.relations import Relations, Samples
from driftline.streams.detect.said import Marks, Said, Turn
from driftline.streams.detect.sequential_book import SequentialBook
from driftline.streams.detect.silence import patience_of
from driftline.streams.detect.state import REMEMBERED_WINDOWS, ModelState, Track
from driftline.streams.detect.unit_book import UnitBook
from driftline.streams.detect.windows import Windows
from driftline.streams.references import ReferenceBook

#: Windows after which outcomes that should have come are overdue where no label comes any more, and the policy is asked without them.
_LABELS_OVERDUE = 3


class ModelMonitor:
    """The watch over one model."""

    def __init__(  # noqa: PLR0917 - what a partition has
        self, model: str, settings: ModelSettings, book: ReferenceBook, cells: Cells, state: ModelState, samples: Samples
    ) -> None:
        self.model = model
        self.settings = settings
        self.state = state
        self._book = book
        self._cells = cells
        self._hash = config_hash(settings)
        self.pane = parse_duration(settings.pane)
        self.windows = Windows(model, settings, cells, state)
        self._lateness = parse_duration(settings.allowed_lateness)
        self._relations = Relations(settings, samples)
        self._evidence = EvidenceBook(model, settings, cells, self._relations)
        self._sequential = SequentialBook(model, settings, cells)
        self._joint = JointBook(settings, self.windows, samples)
        self._units = UnitBook(settings, cells, self.windows)
        self._digest = Digest(model, settings, self._evidence)
        self._episodes = EpisodeKeeper(model, settings, cells, self.windows, self._evidence, self._relations)
        #: What was last said of the model, for the metrics: by kind at the last closed pane, and of the last window.
        self.verdicts: dict[PaneKind, Verdict] = {}
        self.finding: Finding | None = None

    def advance(self, marks: Marks, said: Said) -> None:
        """Close what is due, in order of the moment at which it is due; panes before the windows that hold them."""
        due: list[tuple[int, bool, int, bool, PaneKey]] = []
        fillings = self.windows.fillings
        coming = [*self._cells.open(self.model), *(fillings.bounds() if fillings else ())]
        while coming or due:
            for key in coming:
                at = key.end + self._wait(key)
                if at <= marks.of(key.kind) or self._overdue(key, at, marks):
                    heappush(due, (at, key.kind == "outcomes", key.length, key.width < 0, key))
            if not due:
                break
            at, _, _, _, key = heappop(due)
            coming = self._close(key, at, marks, said)

    def _close(self, key: PaneKey, at: int, marks: Marks, said: Said) -> list[PaneKey]:
        """Close what is due at a moment; return what may be due for it."""
        fillings = self.windows.fillings
        known = self._cells.get(key)
        if fillings is not None and key.counted and (known is None or known.closed):
            return fillings.time_is_up(key)
        cell = self._cells.open_or_new(key)
        cell.closed = True
        turn = self._turn(key, at, said)
        if self.windows.is_step(key):
            self._close_step(key, cell, turn, said)
        elif not self.windows.is_pane(key):
            self._close_window(key, cell, turn, said)
            return self._expected(key, turn)
        else:
            self._close_pane(key, cell, turn, marks, said)
            if fillings is not None and key.kind == "features":
                return fillings.closed(key, cell.pane.n)
        return []

    def look_for_silence(self, now: int, said: Said) -> None:
        """Open an episode, or add to the one that is open, if the model has had no event, under whatever reference, for too long."""
        track = self.state.tracks.get(in_force(self.state.tracks.values(), now) or LEARNING)
        reference = self._book.get(self.model, track.reference_id) if track is not None else None
        if track is None or reference is None or "features" not in track.last_end:
            return
        since = max(t.last_end.get("features", 0) for t in self.state.tracks.values())
        if now - since < self.pane:
            return
        since = max([since, *(key.end for key in self._cells.open(self.model) if key.kind == "features" and key.width == self.pane)])
        if now > since:
            key = PaneKey(self.model, track.reference_id, "features", self.pane, track.last_end["features"] - self.pane, late=False)
            self._episodes.silent(Turn(key, now, reference, track, said), since, now)

    def overtaken(self, pane: PaneKey) -> bool:
        """Say whether a pane that is not there yet ends before one that has closed: its partition was idle, and left out when that one closed.

        Sequential detectors take panes once, in order. What comes for such a pane is late for them, and corrects its window only.
        """
        track = self.state.tracks.get(pane.reference_id)
        return track is not None and pane.end <= track.last_end.get(pane.kind, 0) and self._cells.get(pane) is None

    def early(self, key: PaneKey, cell: Cell, marks: Marks) -> bool:
        """Say whether a window of outcomes was closed as overdue, with nothing in it, before its turn: with what comes for it now it has one.

        Its panes have yet to close, and what they open is followed by windows alone: an episode that no window follows would never end.
        """
        return key.kind == "outcomes" and cell.closed and not key.late and not cell.pane.n and key.end + self._wait(key) > marks.outcomes

    def _overdue(self, key: PaneKey, at: int, marks: Marks) -> bool:
        """Say whether a window of outcomes need not be waited for: nothing moves their clock any more, as no label comes at all, and what has been
        predicted is joined as far as it can be. A join that is only behind holds its windows up.
        """
        if key.kind != "outcomes" or not marks.labels_idle or self.windows.is_pane(key):
            return False
        return at + _LABELS_OVERDUE * self.windows.usual <= marks.predictions

    def _expected(self, key: PaneKey, turn: Turn | None) -> list[PaneKey]:
        """Open the window of outcomes beside one of features, where it is not there: it closes in its time, if with nothing in it."""
        expected = key._replace(kind="outcomes")
        if turn is None or key.kind != "features" or not turn.reference.outcomes or self._cells.get(expected) is not None:
            return []
        self._cells.ensure_open(expected)
        return [expected]

    def revise(self, keys: Iterable[PaneKey], said: Said) -> None:
        """Publish closed windows anew whose content has changed since, and those after them, which are compared with it."""
        seen: set[tuple[str, int, int]] = set()
        steps: dict[PaneKey, None] = {}
        for key in sorted(keys):
            cell = self._cells.get(key)
            if self.windows.is_pane(key) or cell is None or not cell.news or (key.reference_id, key.width, key.start) in seen:
                continue
            on_time = self._cells.get(key._replace(late=False))
            if on_time is None or not on_time.closed:
                continue
            if self.windows.is_step(key):
                cell.news = False
                steps.update(dict.fromkeys(self.windows.sliding_over(key._replace(kind="features"))))
            else:
                seen.add((key.reference_id, key.width, key.start))
                self._publish(key, said)
                # Of features and outcomes that both have news the features come first.
                after = self.windows.following(key._replace(late=False)) if key.kind == "features" else None
                if after is None or (after.reference_id, after.width, after.start) in seen:
                    continue
                if (cell := self._cells.get(after)) is not None and cell.closed:
                    seen.add((after.reference_id, after.width, after.start))
                    self._publish(after, said)
        for step, cell in self._cells.found(steps):
            if cell.closed:
                self._publish(step, said)

    def settle(self, key: PaneKey) -> None:
        """Store the evidence that came from a closed pane before the pane changes: it could not be made again."""
        track, reference = self.state.tracks.get(key.reference_id), self._book.get(self.model, key.reference_id)
        if track is None or reference is None:
            return
        if track.evidence_until.get(key.kind, 0) <= key.start:
            self._evidence.settle(track, reference, key.kind)
        if track.sequential_until.get(key.kind, 0) <= key.start:
            self._sequential.settle(track, reference, key.kind)

    def fold(self, marks: Marks, retention: int) -> None:
        """Note how far back panes need not be kept one by one any more, and how far back nothing need be kept."""
        waits = [label_wait(self.settings, r) for r in self._book.of(self.model)]
        longest: dict[PaneKind, int] = {"features": self._lateness, "outcomes": max([self._lateness, *waits])}
        for kind, wait in longest.items():
            far = self.windows.horizon(marks.of(kind), wait)
            # A model that is learning goes back to all of its panes when it has enough of them.
            if self._book.has(self.model) and far > self.state.folded.get(kind, 0):
                self.state.folded = {**self.state.folded, kind: far}
        self.state.forget(marks.features - retention)
        if self.windows.fillings is not None:
            self.windows.fillings.forget()

    def _wait(self, key: PaneKey) -> int:
        if key.kind == "features":
            return self._lateness
        return max(self._lateness, label_wait(self.settings, self._book.get(self.model, key.reference_id)))

    def _turn(self, key: PaneKey, at: int, said: Said) -> Turn | None:
        """Return the turn of a pane or window under its reference, None while the model is learning."""
        reference = self._book.get(self.model, key.reference_id)
        if reference is None:
            return None
        track = self.state.tracks.get(reference.reference_id)
        if track is None:
            # How a service publishes does not change with the reference.
            patience = max((known.patience for known in self.state.tracks.values()), default=0)
            track = Track(reference_id=reference.reference_id, effective_from=reference.effective_from, patience=patience)
            self.state.tracks = {**self.state.tracks, reference.reference_id: track}
        turn = Turn(key, at, reference, track, said)
        if key.kind not in track.last_end and self.windows.is_pane(key):
            self._episodes.end_older([t for t in self.state.tracks.values() if self._takes_over(reference, t)], turn)
        return turn

    def _close_pane(self, key: PaneKey, cell: Cell, turn: Turn | None, marks: Marks, said: Said) -> None:
        said.closings.append(self._closing(key, cell, marks))
        if turn is None:
            self._learn(cell, marks, said)
            return
        turn.track.began = turn.track.began or key.start
        verdict = self.verdicts[key.kind] = self._evidence.take(turn, cell)
        seen = self._sequential.take(turn, cell, self._remembered(turn))
        last = turn.track.last_end.get(key.kind, key.start)
        if key.kind == "features":
            turn.track.longest_gap = max(turn.track.longest_gap, key.start - last)
            turn.track.patience = patience_of(turn.track, key.start)
        turn.track.last_end[key.kind] = max(key.end, last)
        if not self._replaced(turn):
            self._episodes.pane_closed(turn, verdict, seen)

    def _replaced(self, turn: Turn) -> bool:
        """Say whether another reference has taken over, with a pane of its own: its first one may hold the last rows of this one, too, whose episodes
        have ended with it.
        """
        newer = (t for t in self.state.tracks.values() if t.effective_from > turn.reference.effective_from and turn.key.kind in t.last_end)
        found = (self._book.get(self.model, track.reference_id) for track in newer)
        return any(by is not None and self._takes_over(by, turn.track) for by in found)

    def _remembered(self, turn: Turn) -> int:
        """Return the event time before which nothing that was said of a window is needed to say it again."""
        return turn.key.start - label_wait(self.settings, turn.reference) - REMEMBERED_WINDOWS * self.windows.usual

    def _close_window(self, key: PaneKey, cell: Cell, turn: Turn | None, said: Said) -> None:
        if turn is None:
            self._publish(key, said)
            return
        if key.kind == "outcomes" and not cell.pane.n:  # no label has come for any of it: the policy is asked all the same
            cell.revision += 1
            self._ask(turn)
            return
        if key.kind == "features":
            self._note_close(key, turn)
            turn.track.note_units(key.start, self._units.told(turn), self._remembered(turn))
            joint = self._joint.told(turn)
            if joint is not None:
                turn.track.note_multivariate(key.start, joint, self._remembered(turn))
        self._publish(key, said)
        self._episodes.end_dried(self.state.tracks.values(), turn)
        self._episodes.window_closed(turn)
        if (key.kind == "outcomes" and not cell.revision) or not turn.reference.outcomes:  # once for each window
            self._ask(turn)

    def _close_step(self, key: PaneKey, cell: Cell, turn: Turn | None, said: Said) -> None:
        """Publish the finding of the window that ends with a step; those that end with a whole window are published then.

        Episodes and the policy follow whole windows: these share no rows, and are the same whether others slide between them or not.
        """
        if key.kind == "outcomes":
            cell.news = True  # the windows that hold it are told again, with their performance
        elif not self.windows.ends_whole(key):
            cell.news = False
            if turn is not None:
                self._note_close(self.windows.span(key), turn)
            self._publish(key, said)

    def _note_close(self, key: PaneKey, turn: Turn) -> None:
        evidence = self._evidence.verdict(turn.track, turn.reference, key.kind).evidence
        remembered = label_wait(self.settings, turn.reference) + REMEMBERED_WINDOWS * self.windows.usual
        if key.slid:
            turn.track.note_slid(key.end, evidence, key.end - remembered)
        else:
            turn.track.note_close(key.start, evidence, key.start - remembered)

    def _publish(self, key: PaneKey, said: Said) -> None:
        """Publish the finding of a window; of its outcomes too, once their window has closed."""
        features = key._replace(kind="features", late=False)
        counted = self._cells.open_or_new(features)
        counted.revision += 1
        previous, labelled = self.windows.preceding(features), features._replace(kind="outcomes")
        compared = [] if previous is None or key.reference_id == LEARNING else self.windows.made_of(previous)
        self._cells.ensure([*compared, *self.windows.made_of(features), *self.windows.made_of(labelled)])  # in as few queries as they take
        cells, outcomes = self._told(features), self._told(labelled)
        before = [cell for _, cell in self._cells.found(compared)]
        ripe = [cell for cell, closed in outcomes if closed and cell.pane.n]
        reference = self._book.get(self.model, key.reference_id)
        track = self.state.tracks.get(key.reference_id)
        span, told = self.windows.span(features), [cell for cell, _ in cells]
        finding = self._digest.finding(span, counted.revision, told, ripe, before, reference=reference, track=track)
        said.findings.append(finding)
        if self.finding is None or finding.window_end >= self.finding.window_end:
            self.finding = finding

    def _told(self, key: PaneKey) -> list[tuple[Cell, bool]]:
        """Return the cells that a window's finding is made of, late rows' too, and whether each has closed; what is told now is no news any more."""
        found = dict(self._cells.found(self.windows.made_of(key)))
        closed = {k: (on_time := found.get(k._replace(late=False))) is not None and on_time.closed for k in found}
        if not self.windows.is_step(key):  # a step is told of in several windows
            for k, cell in found.items():
                cell.news = cell.news and not closed[k]
        return [(cell, closed[k]) for k, cell in found.items()]

    def _ask(self, turn: Turn) -> None:
        """Ask the policy, if the window's reference is the one in force."""
        if in_force(self.state.tracks.values(), turn.key.end - 1) != turn.track.reference_id:
            return
        seen = policy_input(self.model, self.settings, self.windows, turn)
        self.state.policy, decision, trigger = decide(self.settings.policy, self.state.policy, seen, self._hash)
        turn.said.decisions.append(decision)
        if trigger is not None:
            turn.said.triggers.append(trigger)

    def _takes_over(self, by: Reference, track: Track) -> bool:
        """Say whether a new reference takes over at once: its version is the track's, or everybody's, or somebody has accepted what is new.

        A version beside another one, a canary say, takes nothing over; where it has, the other's events stop and its episodes end for that.
        """
        older = self._book.get(self.model, track.reference_id)
        return older is None or by.origin == "accepted" or by.version in (older.version, ANY_VERSION)

    def _closing(self, key: PaneKey, cell: Cell, marks: Marks) -> PaneClosing:
        return PaneClosing(
            closing_id=stable_id("closing", self.model, key.reference_id, key.kind, key.start),
            model=self.model,
            reference_id=key.reference_id,
            kind=key.kind,
            start=key.start,
            end=key.end,
            n=cell.pane.n,
            digest=cell.pane.digest(),
            watermark=marks.of(key.kind),
            by="idle" if marks.by_idle else "watermark",
            positions=marks.positions,
            joined=dict(marks.joined),
            marks=(marks.features, marks.outcomes, marks.predictions, marks.newest),
            labels_idle=marks.labels_idle,
        )

    def _learn(self, cell: Cell, marks: Marks, said: Said) -> None:
        """Count the rows of a closed pane without a reference, and build one when there are enough."""
        self.state.learning_rows += len(cell.pane.sample)
        if self._book.has(self.model) or self.state.learning_rows < self.settings.learning_rows:
            return
        panes = self._cells.range(self.model, LEARNING, "features", self.pane, 0, marks.features)
        rows = [row for _, seen in panes if seen.closed for row in seen.pane.sample]
        # One event dated far ahead must not put off the reference for ever.
        newest = min(marks.newest, marks.features + self.windows.usual)
        effective_from = (max(newest, marks.features) // self.pane + 1) * self.pane
        reference, kept = learned_reference(self.model, self.settings, rows, effective_from)
        self._book.add([reference])
        self._relations.learned(reference, kept)
        said.references.append((reference, kept))
