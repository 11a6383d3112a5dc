"""The table of all metrics, as data: docs/metrics.md is made from it, and nothing that is not in it can be exposed.

Names end in their unit or in ``_total``. No label holds a value of an event: models and columns are names, the rest are words of ours.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["counter", "gauge", "histogram"]
Process = Literal["summarise", "join", "detect", "reports", "retrain"]

#: In this order they take their ports.
PROCESSES: tuple[Process, ...] = ("summarise", "join", "detect", "reports", "retrain")
STEPS: tuple[Process, ...] = ("summarise", "join", "detect")


class Metric(msgspec.Struct, frozen=True):
    """One metric family. ``merge`` says what stands under a label that many names share: their sum, or the greatest in size of them."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    of: tuple[Process, ...]
    help: str
    merge: Literal["sum", "max"] = "sum"


CATALOGUE: tuple[Metric, ...] = (
    # ------------------------------------------------------------------------------------------------------------- every process
    Metric("driftline_process_info", "gauge", ("process", "version"), PROCESSES, "1, with the process's name and Driftline's version.", "max"),
    Metric("driftline_live", "gauge", (), PROCESSES, "Whether /livez says yes.", "max"),
    Metric("driftline_ready", "gauge", (), PROCESSES, "Whether /readyz says yes.", "max"),
    # ------------------------------------------------------------------------------------------------------------- the stream steps
    Metric("driftline_records_read_total", "counter", ("topic",), STEPS, "Records read by this process; what is read again counts again."),
    Metric("driftline_batches_read_total", "counter", ("topic",), STEPS, "Batches that these records came in."),
    Metric("driftline_records_sent_total", "counter", ("topic",), STEPS, "Records sent and acknowledged by the broker."),
    Metric("driftline_dead_letters_total", "counter", ("code",), STEPS, "Dead letters sent, by the code of the flaw (docs/dead-letters.md)."),
    Metric(
        "driftline_step_duration_seconds",
        "histogram",
        ("call",),
        STEPS,
        "Time that one call of a step took: a batch of a topic (transaction and sending included), or a timer's work.",
    ),
    Metric("driftline_lag_records", "gauge", ("topic", "partition"), STEPS, "Records that the step has not dealt with, of partitions assigned here."),
    Metric("driftline_assigned_partitions", "gauge", ("topic",), STEPS, "Partitions assigned to this process."),
    Metric("driftline_seeks_total", "counter", (), STEPS, "Times that all partitions were sought anew: rebalances and rewinds."),
    Metric(
        "driftline_watermark_age_seconds",
        "gauge",
        ("source",),
        STEPS,
        "Wall clock minus the event time reached: of the partitions assigned here (sources), or for panes of features and outcomes (detect).",
        "max",
    ),
    # ------------------------------------------------------------------------------------------------------------- summarise
    Metric("driftline_events_total", "counter", ("model",), ("summarise",), "Events taken in, each row of a batch record counted."),
    Metric("driftline_events_late_total", "counter", ("model",), ("summarise",), "Of these, events behind the allowed lateness."),
    # ------------------------------------------------------------------------------------------------------------- join
    Metric("driftline_join_rows_total", "counter", ("kind",), ("join",), "Predictions and labels that the sample kept."),
    Metric(
        "driftline_join_outcomes_total",
        "counter",
        ("change",),
        ("join",),
        "What these rows made of outcomes: completed (prediction and label are here), corrected, withdrawn. Rows that are repeats, or wait for their "
        "other half, make nothing.",
    ),
    Metric("driftline_outcome_sample_ratio", "gauge", ("model",), ("join",), "Share of the predictions that the join keeps.", "max"),
    # ------------------------------------------------------------------------------------------------------------- detect
    Metric(
        "driftline_summaries_total",
        "counter",
        ("outcome",),
        ("detect",),
        "Summaries met: applied, superseded by a newer revision, repeated, undecodable.",
    ),
    Metric("driftline_parts_after_close_total", "counter", (), ("detect",), "Parts that changed a pane or window after its close."),
    Metric(
        "driftline_parts_overtaken_total",
        "counter",
        (),
        ("detect",),
        "Parts of panes that newer ones had closed before, from a partition that had been idle: late for the sequential detectors.",
    ),
    Metric("driftline_model_state", "gauge", ("model", "state"), ("detect",), "1 for the state of the model's last window."),
    Metric("driftline_window_events", "gauge", ("model",), ("detect",), "Events in the last window."),
    Metric("driftline_open_episodes", "gauge", ("model", "kind"), ("detect",), "Open episodes, of features and of outcomes."),
    Metric(
        "driftline_evidence_ratio",
        "gauge",
        ("model", "kind"),
        ("detect",),
        "The decider's evidence over its budget at the last closed pane; an episode opens at 1.",
        "max",
    ),
    Metric(
        "driftline_evidence_share_ratio",
        "gauge",
        ("model", "kind", "column", "term"),
        ("detect",),
        "Shares of the evidence of the terms that carry most of it; the values of a categorical column together.",
    ),
    Metric(
        "driftline_effect_sds",
        "gauge",
        ("model", "column"),
        ("detect",),
        "Greatest effect of a column in the last window, in standard deviations of the reference; of many columns, the greatest in size.",
        "max",
    ),
    Metric("driftline_tolerance_sds", "gauge", ("model",), ("detect",), "The effect that matters, by configuration.", "max"),
    Metric(
        "driftline_distance",
        "gauge",
        ("model", "column", "distance"),
        ("detect",),
        "Distances of the last window from the reference: psi, jensen_shannon, hellinger, total_variation, cramers_v, ks, wasserstein.",
        "max",
    ),
    # ------------------------------------------------------------------------------------------------------------- out of SQL
    Metric(
        "driftline_database_up",
        "gauge",
        (),
        ("join", "detect", "reports", "retrain"),
        "Whether the last question to the database was answered.",
        "max",
    ),
    Metric(
        "driftline_outbox_records",
        "gauge",
        ("owner",),
        ("join", "detect"),
        "Records decided and not yet published, of all owners of the step, and (detect) turns of models; every process of the step says the same.",
    ),
    Metric("driftline_reports_total", "counter", ("status",), ("reports",), "Reports on episodes in the database, by status."),
    Metric("driftline_retrain_runs_total", "counter", ("model", "status"), ("retrain",), "Settled runs in the database, by what became of them."),
    Metric("driftline_retrain_running", "gauge", ("model",), ("retrain",), "Runs under way, of any worker."),
    Metric("driftline_open_triggers", "gauge", ("model",), ("detect", "retrain"), "Triggers that no run has settled."),
    Metric("driftline_open_trigger_age_seconds", "gauge", ("model",), ("detect", "retrain"), "Wall clock minus the oldest one's event time.", "max"),
)

BY_NAME = {metric.name: metric for metric in CATALOGUE}
