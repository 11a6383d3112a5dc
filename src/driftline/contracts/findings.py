"""What Driftline says: findings, alerts, triggers, versions, decisions. JSON on their topics, one plain sentence in each.

Every id is deterministic, so a repeat after a crash has the id of the first. Times are epoch milliseconds of event time.
None of these carries a raw feature value.
"""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

from driftline.contracts.bounds import Name, out_of_bounds
from driftline.contracts.errors import DecodeError

State = Literal["learning", "insufficient_data", "uncalibrated", "ok", "drift"]
Severity = Literal["info", "warning", "critical"]


class OffsetRange(msgspec.Struct, frozen=True, kw_only=True):
    """Records ``first`` to ``next - 1`` of one partition: what a finding can be recomputed from."""

    topic: str
    partition: int
    first: int
    next: int


class Distance(msgspec.Struct, frozen=True):
    """A distance of a window from the reference, its 95 % interval at the window's n, and what chance alone stays below in 95 of 100 such windows."""

    value: float
    low: float
    high: float
    chance: float


class SincePrevious(msgspec.Struct, frozen=True):
    """How far a window is from the one before it, of ``n`` rows: it describes, nothing is decided from it.

    ``psi`` and ``jensen_shannon`` over the groups that the distances from the reference are taken over; chance alone stays below ``psi_chance`` in 95
    of 100 such pairs of windows, where rows are independent.
    """

    n: int
    psi: float
    psi_chance: float
    jensen_shannon: float


class ColumnFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a window against its reference. ``effect`` with its interval is in reference standard deviations (numeric: the greatest of the
    term effects) and compared with ``tolerance``; distances describe. ``None`` where n is too small or the value is undefined.
    """

    column: str
    state: State
    n: int
    null_share: float
    unseen_share: float
    effect: float | None = None
    effect_low: float | None = None
    effect_high: float | None = None
    tolerance: float | None = None
    #: ``psi``, ``jensen_shannon``, ``hellinger``, ``total_variation``, ``chi_square`` (the statistic: its p-value is below .05 where it is above what
    #: chance shows), ``cramers_v``; of numbers also ``ks`` and ``wasserstein`` (in units of the reference column's scale).
    distances: dict[str, Distance] = {}
    #: What else is worth saying of a column that has moved: a change of unit, values of a wrong type.
    note: str = ""
    #: About how many different values there were, of a column that has very many, with the bounds of two standard errors; and in the reference.
    distinct: int | None = None
    distinct_low: int | None = None
    distinct_high: int | None = None
    reference_distinct: int | None = None
    #: None where there is no window before this one under the same reference, or too few rows in either.
    since_previous: SincePrevious | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change that a sequential detector saw in one column: in the pane that starts at ``at`` (ms of event time), after all panes before it.

    ``series`` is what it read: ``means``, ``squares``, ``rows``, ``row_squares`` or ``errors``.
    """

    column: str
    detector: str
    series: str
    at: int


class SlicePerformance(msgspec.Struct, frozen=True, kw_only=True):
    """Realised performance in one slice (``carrier=UA``), with its 95 % intervals, on ``n`` outcomes."""

    where: str
    n: int
    metrics: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """Realised performance on ripe predictions, by prediction time; ``reference`` holds the same metrics at reference time.

    ``n`` outcomes were counted; where ``sampled`` is below 1, the join kept that share of the predictions (``outcome_sample``), by hash of their ids.
    """

    n: int
    metrics: dict[str, float]
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    reference: dict[str, float] = {}
    sampled: float = 1.0
    #: The slices in which the model surely does worst, worst first.
    weakest: tuple[SlicePerformance, ...] = ()


class Multivariate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What ``n`` sampled rows of a window, against ``reference_n`` of the reference's, show of all columns together. It describes: nothing alarms.

    ``auc`` of a classifier that tells the two apart (.5: it can't), by cross-validation; ``columns`` carry it, the one that matters most first.
    ``reconstruction``: the error of the reference's principal components on the window as a multiple of that on rows of the reference which they were
    not fitted to; ``chance`` is the greatest that chance shows, and 1 / ``chance`` the least. None where ``reason`` says why.
    """

    n: int
    reference_n: int
    auc: Distance | None = None
    columns: tuple[str, ...] = ()
    reconstruction: Distance | None = None
    components: int = 0
    reason: str = ""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The digest of one window of one model. A late event makes a new ``revision`` of the same ``finding_id``."""

    schema_version: int = 1
    finding_id: str
    revision: int
    model: str
    version: str
    reference_id: str
    state: State
    window_start: int
    window_end: int
    n: int
    late: int
    columns: tuple[ColumnFinding, ...]
    performance: Performance | None = None
    quality: dict[str, int] = {}
    #: Sum of the decider's Shiryaev-Roberts evidence (hours) and the budget (hours) it is compared with.
    evidence: float
    budget: float
    sentence: str
    offsets: tuple[OffsetRange, ...] = ()
    config_hash: str = ""
    #: What the sequential detectors that the user named saw inside the window.
    changes: tuple[Change, ...] = ()
    #: What the window's row sample shows of all columns together, where the setting ``multivariate`` asks for it.
    multivariate: Multivariate | None = None


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """A column that carries an episode's evidence. ``share`` is its part of the evidence, ``effect`` in reference standard deviations with sign.

    ``impact`` = ``importance`` x ``effect``, with the effect's sign, ranks the causes of an episode (its size does). Where no importance is known
    it is 0, and the share of the evidence ranks. Of the traffic (column and term ``volume``) effect, interval and tolerance are logs of the number of
    events as a multiple of the reference's; of its end (term ``silence``) they are hours without an event, and the most there had been before.
    """

    column: str
    term: str
    direction: Literal["up", "down", "changed"]
    effect: float
    low: float
    high: float
    tolerance: float
    share: float
    importance: float
    onset: int
    impact: float = 0.0
    #: Of a slice: the column that it is a slice of, and where (``carrier = UA``); ``only``: the column's other slices stand still.
    of: str = ""
    where: str = ""
    only: bool = False
    #: What else is worth saying: that it looks like a change of unit, which part is of a wrong type.
    note: str = ""
    #: Of a term that is a share (missing, never seen, of a value, of errors): what it is in the reference, and what the effect makes of it.
    share_then: float | None = None
    share_now: float | None = None


AlertStatus = Literal["opened", "updated", "resolved", "accepted", "superseded"]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A change of state of one episode. ``alert_id`` is unique to (episode, status, revision)."""

    schema_version: int = 1
    alert_id: str
    episode_id: str
    revision: int
    status: AlertStatus
    severity: Severity
    model: str
    version: str
    reference_id: str
    onset: int
    opened_at: int
    at: int
    n: int
    evidence: float
    budget: float
    causes: tuple[Cause, ...]
    sentence: str
    offsets: tuple[OffsetRange, ...] = ()
    config_hash: str = ""
    #: How many columns moved, of which ``causes`` names the first.
    moved: int = 0
    #: The sequential detector that opened the episode, outside the budget; nothing where the decider did.
    opened_by: str = ""


class RetrainTrigger(msgspec.Struct, frozen=True, kw_only=True):
    """An order to train a challenger. ``at`` is the event time of the decision; outcomes after it are not known to it."""

    schema_version: int = 1
    trigger_id: Name
    model: Name
    version: Name
    reason: Literal["performance", "drift", "manual"]
    at: int
    episode_id: str | None = None
    sentence: str
    evidence: dict[str, float] = {}
    config_hash: str = ""


class RetrainDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What the policy said at one window, yes or no, and why. ``rule`` names the rule that decided."""

    decision_id: str
    model: str
    version: str
    at: int
    retrain: bool
    rule: str
    sentence: str
    trigger_id: str | None = None


class TrialResult(msgspec.Struct, frozen=True, kw_only=True):
    """Champion against challenger on the same held-out outcomes. ``difference`` is mean loss(champion) - loss(challenger) with its interval."""

    n: int
    holdout_start: int
    holdout_end: int
    train_rows: int
    metric: str
    champion: dict[str, float]
    challenger: dict[str, float]
    difference: float
    low: float
    high: float
    promoted: bool
    rule: str
    sentence: str


VersionStatus = Literal["champion", "refused", "drift_accepted", "failed"]


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A turn in a model's life. ``version`` is the champion after it: services serve that one. ``sequence`` grows by one with each."""

    schema_version: int = 1
    model: str
    sequence: int
    status: VersionStatus
    version: str
    previous_version: str | None = None
    challenger: str | None = None
    reference_id: str
    effective_from: int
    artifact: str | None = None
    sha256: str | None = None
    trigger_id: str | None = None
    trial: TrialResult | None = None
    sentence: str


class PaneClosing(msgspec.Struct, frozen=True, kw_only=True):
    """The logged decision to close a pane: what it held when the sequential detectors took it. A replay follows these, not the clock."""

    closing_id: str
    model: str
    reference_id: str
    kind: Literal["features", "outcomes"]
    start: int
    end: int
    n: int
    digest: str
    watermark: int
    by: Literal["watermark", "idle"]
    #: For each source partition the position up to which its blocks were in.
    positions: dict[str, int]
    #: For each partition that the join reads (``label-events/0``) the offset up to which its outcomes were in.
    joined: dict[str, int] = {}
    #: How far the event time of features, of outcomes and of joined predictions had come, and the greatest event time met; zeros: an older version's.
    marks: tuple[int, int, int, int] = (0, 0, 0, 0)
    labels_idle: bool = False


Published = TypeVar("Published", Finding, Alert, RetrainTrigger, ModelVersion, PaneClosing)


def encode_json(message: msgspec.Struct) -> bytes:
    """Return the JSON of a published message, keys in declared order."""
    return msgspec.json.encode(message)


def decode_json(raw: bytes | None, kind: type[Published]) -> Published:
    """Return the message of the kind that the topic holds, or raise DecodeError. Fields of later schema versions are let pass."""
    if raw is None:
        raise DecodeError("the record has no value", raw, code="no_value")
    try:
        message = msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, OverflowError) as error:
        raise DecodeError(f"not a {kind.__name__}: {error}", raw, code="wrong_field") from error
    # An order is obeyed, and what it says goes into a database; the rest is read only.
    flaw = out_of_bounds(message) if kind.__name__ == RetrainTrigger.__name__ else None
    if flaw is not None:
        raise DecodeError(f"not a {kind.__name__}: {flaw}", raw, code="wrong_field")
    return message
