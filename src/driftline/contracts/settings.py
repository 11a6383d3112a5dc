"""Settings: one frozen tree, built once from a mapping. Unknown keys are errors; durations and budgets are text as people write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from driftline.contracts.errors import SettingsError
from driftline.contracts.ids import content_hash
from driftline.contracts.reference import Task
from driftline.contracts.sequential import DetectorSettings
from driftline.contracts.settings_checks import check, parse_budget, settings_error
from driftline.contracts.times import format_duration, is_duration, parse_duration
from driftline.contracts.windows import WindowRule, parse_window

#: ``integer``: a number with a fraction is of a wrong type. ``boolean``: what is no truth value is. ``text`` is watched by its length, ``timestamp``
#: by its age at the event's time and its hour of the day.
FeatureKind = Literal["numeric", "integer", "boolean", "categorical", "text", "timestamp", "ignore"]

#: ``DRIFTLINE__KAFKA__PARTITIONS=8`` sets ``kafka.partitions``. Names of models are met in small letters this way.
ENVIRONMENT_PREFIX = "DRIFTLINE__"


class SecuritySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach a secured broker. Files, never secrets, stand in the configuration: the password comes from ``password_file`` or from the
    environment variable ``DRIFTLINE_KAFKA_PASSWORD``. ``contracts/security.py`` opens them.
    """

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str | None = None
    password_file: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    #: SASL_PLAINTEXT sends name and password (or what SCRAM makes of it) over an open line: refused unless this says that it is meant.
    allow_sasl_plaintext: bool = False


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The broker and the topics."""

    bootstrap_servers: str = "127.0.0.1:9092"
    topic_prefix: str = ""
    partitions: int = 4
    replication_factor: int = 1
    security: SecuritySettings = SecuritySettings()


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The stream steps. Defaults suit a production cluster; tests and the demo make them brisker."""

    #: A block of records that is summarised as one: so many offsets at the most, ended before a record written so long after its first one, and after
    #: the record with which its values come to so many bytes. Whoever takes a partition over reads its open block again.
    block_size: int = 1024
    block_span: str = "5m"
    block_bytes: int = 4 << 20
    flush_interval: str = "500ms"
    commit_interval: str = "500ms"
    idle_timeout: str = "10s"
    session_timeout: str = "6s"
    allowed_skew: str = "5m"
    max_poll_records: int = 8000
    #: How long the broker may hold a step's fetch back until there is more to hand over: longer is less work, in fewer and larger batches, and later.
    fetch_wait: str = "50ms"
    #: How long summarise waits for the reference of a version nobody stored before it treats the version as unknown.
    version_wait: str = "2s"
    instance_id: str | None = None
    #: How long a step may stand still although it has something to read, before it ends itself for its supervisor to restart.
    stall_timeout: str = "120s"
    #: How far detect's state in memory may run ahead of SQL. What has to be said is never held back for it.
    checkpoint_interval: str = "5s"
    #: How long a step that is told to stop may take to finish, publish and commit what it has in hand. Whoever ends it (systemd, Kubernetes, Docker)
    #: has to wait longer than this.
    drain_timeout: str = "15s"


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """/livez, /readyz and /metrics of each process. ``port`` is summarise's, the next ones are join's, detect's, the reports' and the retrain
    worker's; 0: none of them has any.
    """

    host: str = "127.0.0.1"
    port: int = 0
    #: A step is ready while it is behind by no more than so many records.
    ready_lag: int = 10_000
    #: So many models have metrics of their own, and of each so many columns; all others share the label ``__other__``.
    model_labels: int = 50
    column_labels: int = 50


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may come in from outside before it is refused: memory and disk follow what is configured here, never what is sent."""

    #: Models that nobody configured or registered, watched all the same; the events of further ones are dead letters.
    models: int = 1_000
    #: Versions of one model that are told apart; further ones are counted together as ``__other__``.
    versions: int = 500
    #: A dead letter holds a record whole up to so many bytes, beyond them the beginning of it.
    letter_bytes: int = 16 << 20


class PolicySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a finding becomes a retraining trigger, and when a challenger may replace the champion."""

    enabled: bool = True
    #: Realised loss is judged over this much trailing event time ...
    performance_window: str = "14d"
    #: ... and has fallen when the lower end of its interval is above the reference's by more than this share of it.
    performance_tolerance: float = 0.05
    #: Fewer ripe labelled predictions than this say nothing about performance.
    min_labelled: int = 500
    #: An open episode whose causes carry at least this share of the importance, and that has lasted this long, is a trigger.
    drift_importance: float = 0.05
    drift_persists: str = "7d"
    cooldown: str = "7d"
    #: How far back the training rows reach; ``all``: every ripe outcome that is stored.
    train_window: str = "all"
    min_rows: int = 5000
    #: The newest ripe outcomes, held out of training, on which champion and challenger are tried, in blocks of a day.
    holdout: str = "14d"
    min_blocks: int = 7
    #: One-sided confidence at which the challenger has to be better.
    trial_confidence: float = 0.9


class QualitySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shares of a window's events above which its finding says so (of fields: how many per event). They alarm nobody; 1 and more: never said."""

    late: float = 0.05
    #: Events with the id of an earlier one, as far as a block of one partition shows them.
    duplicates: float = 0.01
    clock_skew: float = 0.01
    missing_fields: float = 0.01
    extra_fields: float = 0.01
    unknown_version: float = 0.01


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model. All has a default, so that a model nobody configured is monitored too."""

    task: Task | None = None
    #: Kinds by name (of a nested one by its path: ``user.age``), where what the reference's rows tell is not what is meant.
    features: dict[str, FeatureKind] = {}
    #: What of a feature is kept in samples and outcomes: ``keep``, ``hash`` (keyed), ``bucket:10``, ``drop``. The key ``*`` is the default.
    pii: dict[str, str] = {}
    pane: str = "5s"
    #: ``1h``, ``10000 events``, or ``1h or 10000 events``, whichever comes first. Time is a multiple of the pane; 24 panes where the pane is longer
    #: than half an hour and no window is named.
    window: str = "1h"
    #: The step (``15m``; ``1000 events`` where windows end by count, with a time or without) by which windows slide; without it the next one begins
    #: where the last one ended.
    slide: str | None = None
    allowed_lateness: str = "10s"
    #: False episodes that the user accepts, per model.
    alarm_budget: str = "1 per 30d"
    #: The effect that matters, in reference standard deviations of a feature.
    tolerance: float = 0.2
    #: The same for single columns (features, ``prediction``, ``score``, ``loss`` ...), in the place of ``tolerance``.
    tolerances: dict[str, float] = {}
    #: Share of the budget's attention that a column gets, 1 where it is not named; with 0 it is shown and never alarms. ``volume`` is a column too.
    weights: dict[str, float] = {}
    #: What a feature without a weight of its own gets: 1, or half of that and the rest by its importance, where the reference has importance.
    weighting: Literal["equal", "importance"] = "equal"
    #: The factor, up or down, by which the number of events an hour may leave the reference's is 1 plus this.
    volume_tolerance: float = 1.0
    #: Whether rows that a reference is built from are all events of their time: only then does it say how many events are normal. Those of one that
    #: was learned live always are.
    reference_rows: Literal["all", "sampled"] = "sampled"
    #: What the hour of the day or of the week explains is no drift. ``auto``: where the reference shows such a cycle, and holds enough of it.
    reference_calendar: Literal["none", "hour_of_day", "hour_of_week", "auto"] = "auto"
    importance: dict[str, float] = {}
    #: Slices that are watched by themselves: values of a feature by name, or how many of its most frequent ones; all others are one slice more.
    slices: dict[str, tuple[str, ...] | int] = {}
    #: The features that are watched in each beside prediction, score and errors; without a list the five most important ones.
    slice_features: tuple[str, ...] | None = None
    #: When a window's sampled rows are compared with the reference's, all columns together (domain classifier, PCA reconstruction): never, at every
    #: window, or at the first two windows of each episode of features. It takes some tenths of a second of detect's thread a window.
    multivariate: Literal["off", "windows", "episodes"] = "episodes"
    sample_rows_per_pane: int = 64
    learning_rows: int = 5000
    max_values: int = 32
    max_features: int = 500
    #: Share of the predictions that the join keeps, by hash of the event id.
    outcome_sample: float = 1.0
    #: A prediction is ripe when it is older than this; ``auto``: the p95 of the label delay at reference time (a day without one).
    label_wait: str = "auto"
    #: Sequential detectors beside the decider, by name: what each reads, and whether it only describes or opens episodes by itself.
    detectors: tuple[DetectorSettings, ...] = ()
    #: ``adwin`` is short for one that decides over the pane means of all numeric features, and looks at every pane.
    deciders: tuple[str, ...] = ()
    trainer: str = "driftline.retrain.trainers:SklearnTrainer"
    policy: PolicySettings = PolicySettings()
    quality: QualitySettings = QualitySettings()


class RetrainSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The retrain worker."""

    #: A training that takes longer is ended, and the run has failed.
    deadline: str = "30m"
    #: A run whose worker has not been heard of for this long may be taken over by another.
    lease: str = "30s"
    #: How long a run waits for the join to have read all that had been published when it was claimed.
    join_wait: str = "30s"
    #: Longest time between two polls before the broker gives a worker's partitions to another; training does not hold up polls.
    max_poll_interval: str = "5m"
    #: Full names of types in model files that are trusted beyond scikit-learn's, numpy's and scipy's own.
    trusted_types: tuple[str, ...] = ()
    max_artifact_mb: int = 512
    #: Most outcomes of one run; of more, the newest.
    max_rows: int = 500_000


class ReportSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Evidently reports, one for each episode."""

    enabled: bool = True
    folder: str = ".driftline/reports"


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long state is kept, in event time behind the watermark. Panes of less than a window are let go of earlier: they stand in their windows."""

    #: Windows, and panes that no window holds yet.
    panes: str = "90d"
    #: Predictions and labels; what is older can't be trained on any more, and a correction of it is not counted.
    outcomes: str = "180d"
    #: The findings of windows, and what the retraining policy said at each.
    findings: str = "365d"
    #: The logged closings of panes, which a replay follows.
    closings: str = "90d"
    #: Episodes that have ended, with their alerts and reports.
    alerts: str = "730d"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole tree, as ``driftline.yaml`` spells it."""

    kafka: KafkaSettings = KafkaSettings()
    database: str = "sqlite:///.driftline/driftline.db"
    artifacts: str = ".driftline/artifacts"
    worker: WorkerSettings = WorkerSettings()
    http: HttpSettings = HttpSettings()
    limits: LimitSettings = LimitSettings()
    reports: ReportSettings = ReportSettings()
    #: The file with the key under which features with the rule ``hash`` are hashed.
    pii_key_file: str | None = None
    retention: RetentionSettings = RetentionSettings()
    retrain: RetrainSettings = RetrainSettings()
    defaults: ModelSettings = ModelSettings()
    models: dict[str, ModelSettings] = {}

    def by_place(self) -> dict[str, ModelSettings]:
        """Return the defaults and each model's settings by where they stand in the file: ``defaults``, ``models.NAME``."""
        return {"defaults": self.defaults, **{f"models.{name}": model for name, model in self.models.items()}}

    def model(self, name: str) -> ModelSettings:
        """Return a model's settings, the defaults for one that nobody configured."""
        return self.models.get(name, self.defaults)


def build_settings(tree: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Settings:
    """Return settings from a mapping, ``DRIFTLINE__KAFKA__PARTITIONS=8``-like variables laid over it. Each model starts from ``defaults``.

    >>> build_settings({"models": {"m": {"pane": "1h"}}, "defaults": {"tolerance": 0.3}}).model("m").tolerance
    0.3
    >>> build_settings({}, {"DRIFTLINE__KAFKA__PARTITIONS": "8"}).kafka.partitions
    8
    >>> build_settings({"kafka": {"partitions": "many"}})
    Traceback (most recent call last):
    driftline.contracts.errors.SettingsError: kafka.partitions: 'many' is not accepted; expected a whole number
    """
    merged = _overlaid(tree, environment or {})
    defaults, models = merged.get("defaults"), merged.get("models")
    if isinstance(models, Mapping):
        under = defaults if isinstance(defaults, Mapping) else {}
        merged["models"] = {name: _merge(under, model or {}) if isinstance(model, Mapping | None) else model for name, model in models.items()}
    # A key without a value ("kafka:" and only comments below it) means its default, as if it were not there.
    merged = _without_none(merged)
    try:
        settings = msgspec.convert(merged, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise settings_error(error, merged) from None
    except UnicodeEncodeError as error:
        raise SettingsError("driftline.yaml", error.object, "text without half surrogate pairs") from None
    settings = _with_windows(settings, merged)
    check(settings)
    return settings


def _with_windows(settings: Settings, tree: Mapping[str, Any]) -> Settings:
    """Return the settings with a window of 24 panes for a model whose pane is too long for the default window and that names none."""
    models = tree.get("models", {})
    return msgspec.structs.replace(
        settings,
        defaults=_with_window(settings.defaults, tree.get("defaults", {})),
        models={name: _with_window(model, models[name]) for name, model in settings.models.items()},
    )


def _with_window(model: ModelSettings, tree: Mapping[str, Any]) -> ModelSettings:
    if "window" in tree or "pane" not in tree or not is_duration(model.pane) or 2 * parse_duration(model.pane) <= parse_duration(model.window):
        return model
    return msgspec.structs.replace(model, window=format_duration(24 * parse_duration(model.pane)))


def window_rule(settings: ModelSettings) -> WindowRule:
    """Return how a model's windows are cut.

    >>> window_rule(ModelSettings(window="1h", slide="15m")).slide // 60_000
    15
    """
    rule = parse_window(settings.window, settings.slide)
    pane = parse_duration(settings.pane)
    # What bounds a window by count alone is nobody's setting: it need not be a multiple of the pane, and is made one.
    return rule._replace(longest=max(rule.longest // pane, 1) * pane)


def config_hash(settings: ModelSettings) -> str:
    """Return the hash that findings carry, so that one can tell under which configuration they were made."""
    return content_hash(msgspec.json.encode(settings, order="deterministic"))


def budget_hours(settings: ModelSettings) -> float:
    """Return the mean time between false episodes that the user accepts, in hours.

    >>> budget_hours(ModelSettings(alarm_budget="2 per 30d"))
    360.0
    """
    return parse_budget(settings.alarm_budget, "alarm_budget")


def _overlaid(tree: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    merged = _merge({}, tree)
    for name, value in sorted(environment.items()):
        if not name.upper().startswith(ENVIRONMENT_PREFIX):
            continue
        *path, leaf = name[len(ENVIRONMENT_PREFIX) :].lower().split("__")
        node = merged
        for step in path:
            child = node.get(step)
            if not isinstance(child, dict):
                child = node[step] = {}
            node = child
        node[leaf] = value
    return merged


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = {key: _merge({}, value) if isinstance(value, Mapping) else value for key, value in under.items()}
    for key, value in over.items():
        if isinstance(value, Mapping):
            kept = merged.get(key)
            merged[key] = _merge(kept if isinstance(kept, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def _without_none(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _without_none(v) if isinstance(v, Mapping) else v for k, v in tree.items() if v is not None}
