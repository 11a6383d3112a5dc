"""Episodes: a crossing opens one, it lasts while its effect is there, and it ends in one of three ways. Pure; decisions are data.

An episode belongs to one reference and one kind of pane: what the inputs did (`features`) and what the errors did (`outcomes`) are separate stories
on separate clocks. It *resolves* when the interval of every cause lies within tolerance (or the effect itself has for three windows in a row), is
*accepted* when somebody installs a new reference for the same version, and is *superseded* when a new champion brings its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from driftline.alerts.ranking import ranked
from driftline.alerts.sentences import LOSSES, ended_sentence, opened_sentence, outside_sentence, spread_sentence, turned_sentence
from driftline.contracts.findings import Alert, AlertStatus, Cause, OffsetRange, Severity
from driftline.contracts.ids import stable_id
from driftline.contracts.summaries import PaneKind

#: A window in which the effect of no cause is above tolerance is quiet; this many in a row resolve (peers open after 2 of 3 and close after 3).
QUIET_WINDOWS = 3
#: Causes are news when this share of the evidence is carried by columns that the episode did not name yet.
NEWS_SHARE = 0.25
#: An episode names so many causes at the most; of further movers only the names are remembered, so that each is news once.
MOST_NAMED = 48

#: How an episode ends when a new reference takes the place of its own.
Replaced = Literal["accepted", "superseded"]


class Turn(msgspec.Struct, frozen=True):
    """When one of an episode's causes, at its ``place``, came to move the other way, and what it had been told as before."""

    at: int
    place: int
    before: Cause


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of drift of one model. ``ended_at`` is None while it is open; ``moved`` names every column that has moved, ``causes`` the first."""

    episode_id: str
    revision: int
    status: AlertStatus
    severity: Severity
    model: str
    version: str
    reference_id: str
    kind: PaneKind
    onset: int
    opened_at: int
    at: int
    n: int
    evidence: float
    budget: float
    causes: tuple[Cause, ...]
    offsets: tuple[OffsetRange, ...] = ()
    quiet_windows: int = 0
    ended_at: int | None = None
    moved: tuple[str, ...] = ()
    #: The sequential detector that opened it, outside the budget; nothing where the decider did.
    opened_by: str = ""
    #: When each of ``causes`` was named; those beyond its end (of a state that an older version kept) from the first.
    named_at: tuple[int, ...] = ()
    #: Of ``causes``, those that have turned since they were named, in order: ``MOST_NAMED`` turns at the most.
    turns: tuple[Turn, ...] = ()

    @property
    def naming(self) -> tuple[int, ...]:
        """When each of the causes was named, whatever version kept the state."""
        return (*self.named_at, *(self.opened_at for _ in self.causes[len(self.named_at) :]))

    def as_of(self, moment: int) -> Episode | None:
        """Return the episode as it stood at a moment of event time, with the causes named by then; None where it was not open."""
        if self.opened_at > moment or (self.ended_at is not None and self.ended_at <= moment):
            return None
        told = list(self.causes)
        for turn in reversed(self.turns):
            if turn.at > moment:
                told[turn.place] = turn.before
        causes = tuple(cause for cause, at in zip(told, self.naming, strict=True) if at <= moment)
        named, turns = tuple(at for at in self.naming if at <= moment), tuple(turn for turn in self.turns if turn.at <= moment)
        return msgspec.structs.replace(self, causes=causes, named_at=named, turns=turns, severity=severity_of(self.kind, causes))


class Crossing(msgspec.Struct, frozen=True, kw_only=True):
    """The decider's crossing, with what carried it, and every column that moved; or (``by``) that of a sequential detector which may decide."""

    model: str
    version: str
    reference_id: str
    kind: PaneKind
    at: int
    onset: int
    n: int
    evidence: float
    budget: float
    causes: tuple[Cause, ...]
    offsets: tuple[OffsetRange, ...] = ()
    moved: tuple[str, ...] = ()
    by: str = ""


def opened(crossing: Crossing, config_hash: str) -> tuple[Episode, Alert]:
    """Return the episode that a crossing opens, and its alert."""
    episode = Episode(
        episode_id=stable_id("episode", crossing.model, crossing.reference_id, crossing.kind, crossing.at),
        revision=1,
        status="opened",
        severity=severity_of(crossing.kind, crossing.causes),
        model=crossing.model,
        version=crossing.version,
        reference_id=crossing.reference_id,
        kind=crossing.kind,
        onset=crossing.onset,
        opened_at=crossing.at,
        at=crossing.at,
        n=crossing.n,
        evidence=crossing.evidence,
        budget=crossing.budget,
        causes=crossing.causes,
        offsets=crossing.offsets,
        moved=_together(crossing.moved, crossing.causes),
        opened_by=crossing.by,
        named_at=(crossing.at,) * len(crossing.causes),
    )
    sentence = opened_sentence(crossing.model, crossing.kind, crossing.causes, crossing.onset, crossing.n, episode.moved)
    if crossing.by:
        sentence = f"{sentence} {outside_sentence(crossing.by)}"
    return episode, _alert(episode, sentence, config_hash)


def watched(  # noqa: PLR0917 - a window: what it showed, when, of how many rows
    episode: Episode, causes: tuple[Cause, ...], at: int, n: int, config_hash: str, moved: tuple[str, ...] = ()
) -> tuple[Episode, Alert | None]:
    """Return the episode after one closed window: as it was, updated with new causes or with some that have turned, or resolved.

    ``causes`` are those of the window: the episode's own columns, measured again, and the first of the others that now lie above tolerance; ``moved``
    names all that do. However many columns come to move, and however long that takes, a window tells of them once. One that had moved one way and
    surely has the other by now is told again: errors that had become smaller and have grown are another story to whoever reads it.
    """
    named = {cause.column for cause in episode.causes}
    known = named.union(episode.moved)
    own = [cause for cause in causes if cause.column in named]
    above = [cause for cause in causes if cause.low > cause.tolerance]
    within = bool(own) and all(cause.high <= cause.tolerance for cause in own)
    quiet = 0 if above or moved or any(abs(cause.effect) > cause.tolerance for cause in own) else episode.quiet_windows + 1
    if not above and not moved and (within or quiet >= QUIET_WINDOWS):
        return _ended(msgspec.structs.replace(episode, n=n), "resolved", at, config_hash)
    news = [cause for cause in above if cause.column not in known]
    if sum(cause.share for cause in news) < NEWS_SHARE:
        news = []
    turned = _turned(episode.causes, own)
    if not news and not turned:
        return msgspec.structs.replace(episode, at=at, quiet_windows=quiet), None
    joining = ranked(news)[: max(MOST_NAMED - len(episode.causes), 0)]
    merged = (*(turned.get(place, cause) for place, cause in enumerate(episode.causes)), *joining)
    updated = msgspec.structs.replace(
        episode,
        status="updated",
        revision=episode.revision + 1,
        at=at,
        n=n,
        causes=merged,
        severity=severity_of(episode.kind, merged),
        quiet_windows=quiet,
        moved=_together((*known, *moved), news) if news else episode.moved,
        named_at=(*episode.naming, *(at for _ in joining)),
        turns=(*episode.turns, *(Turn(at, place, episode.causes[place]) for place in turned))[-MOST_NAMED:],
    )
    said, now = [], (*own, *news)
    if news:
        more = set(updated.moved) - known
        said.append(spread_sentence(episode.model, episode.kind, tuple(news), now, more, len(updated.moved), episode.onset, n))
    if turned and not (news and episode.kind == "outcomes"):  # news of errors says what they are by now
        said.append(turned_sentence(episode.model, episode.kind, tuple(turned.values()), now, n))
    return updated, _alert(updated, " ".join(said), config_hash)


def ended(episode: Episode, how: Replaced, at: int, config_hash: str) -> tuple[Episode, Alert]:
    """Return the episode and its alert when a new reference takes the place of the one it was measured against."""
    return _ended(episode, how, at, config_hash)


def severity_of(kind: PaneKind, causes: tuple[Cause, ...]) -> Severity:
    """Return how urgent: errors that rise are critical, drift of features with a tenth of the importance a warning, as is
    traffic that is not what it was; the rest is for information.
    """
    if kind == "outcomes":
        return "critical" if any(map(_is_worse, causes)) else "info"
    if any(cause.term in ("volume", "silence") for cause in causes):
        return "warning"
    share = sum({cause.of or cause.column: cause.importance for cause in causes}.values())
    return "warning" if share >= 0.1 else "info"


def _together(moved: Iterable[str], causes: Iterable[Cause]) -> tuple[str, ...]:
    return tuple(sorted({*moved, *(cause.column for cause in causes)}))


def _turned(told: Sequence[Cause], now: Iterable[Cause]) -> dict[int, Cause]:
    """Return by their place those of the causes that had moved one way when they were told and surely have moved the other way now."""
    places = {(cause.column, cause.term): place for place, cause in enumerate(told)}
    surely = ((places.get((cause.column, cause.term)), cause) for cause in now if cause.low > cause.tolerance)
    return {place: cause for place, cause in surely if place is not None and {cause.direction, told[place].direction} == {"up", "down"}}


def _is_worse(cause: Cause) -> bool:
    """Say whether a cause among the outcomes means that the model errs more; labels that move are no errors yet."""
    column = cause.of or cause.column
    if column == "error":
        return cause.term == "location" or cause.direction != ("up" if cause.term == "value:0" else "down")
    return column in LOSSES and cause.direction != "down"


def _ended(episode: Episode, how: AlertStatus, at: int, config_hash: str) -> tuple[Episode, Alert]:
    over = msgspec.structs.replace(episode, status=how, revision=episode.revision + 1, at=at, ended_at=at)
    return over, _alert(over, ended_sentence(over.model, how, over.causes, over.opened_at, at), config_hash)


def _alert(episode: Episode, sentence: str, config_hash: str) -> Alert:
    return Alert(
        alert_id=stable_id("alert", episode.episode_id, episode.status, episode.revision),
        episode_id=episode.episode_id,
        revision=episode.revision,
        status=episode.status,
        severity=episode.severity,
        model=episode.model,
        version=episode.version,
        reference_id=episode.reference_id,
        onset=episode.onset,
        opened_at=episode.opened_at,
        at=episode.at,
        n=episode.n,
        evidence=episode.evidence,
        budget=episode.budget,
        causes=episode.causes,
        sentence=sentence,
        offsets=episode.offsets,
        config_hash=config_hash,
        moved=len(episode.moved),
        opened_by=episode.opened_by,
    )
