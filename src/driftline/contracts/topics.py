"""One table of topics: name, key, value, partitions, retention. A configurable prefix goes before each name."""

from __future__ import annotations

import msgspec

from driftline.contracts.settings import KafkaSettings
from driftline.contracts.times import DAY_MS


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic of Driftline. ``retention`` is in milliseconds; a compacted topic keeps the last value of each key instead."""

    name: str
    key: str
    value: str
    retention: int = 7 * DAY_MS
    compacted: bool = False
    #: The largest record, in bytes; None: the broker's own bound (1 MB).
    max_bytes: int | None = None
    #: None: as many as ``kafka.partitions`` says.
    partitions: int | None = None


#: A block of a model with the most features that are accepted, still being learned: 1,024 sample rows of 500 features.
MAX_SUMMARY_BYTES = 32 << 20

INFERENCE_EVENTS = Topic(name="inference-events", key="event_id", value="InferenceEvent, JSON or CloudEvents")
LABEL_EVENTS = Topic(name="label-events", key="event_id", value="LabelEvent, JSON or CloudEvents", retention=30 * DAY_MS)
SUMMARIES = Topic(name="summaries", key="model", value="SummaryMessage, MessagePack (internal)", retention=2 * DAY_MS, max_bytes=MAX_SUMMARY_BYTES)
DRIFT_FINDINGS = Topic(name="drift-findings", key="model", value="Finding, JSON", retention=30 * DAY_MS)
ALERTS = Topic(name="alerts", key="model", value="Alert, JSON", retention=90 * DAY_MS)
RETRAIN_TRIGGERS = Topic(name="retrain-triggers", key="model", value="RetrainTrigger, JSON", retention=30 * DAY_MS)
MODEL_VERSIONS = Topic(name="model-versions", key="model", value="ModelVersion, JSON", compacted=True, partitions=1)
PANE_CLOSINGS = Topic(name="pane-closings", key="model", value="PaneClosing, JSON", retention=30 * DAY_MS)
DEAD_LETTERS = Topic(
    name="dead-letters", key="as it came", value="the original bytes, reason in headers", retention=14 * DAY_MS, max_bytes=MAX_SUMMARY_BYTES
)

TOPICS = (
    INFERENCE_EVENTS,
    LABEL_EVENTS,
    SUMMARIES,
    DRIFT_FINDINGS,
    ALERTS,
    RETRAIN_TRIGGERS,
    MODEL_VERSIONS,
    PANE_CLOSINGS,
    DEAD_LETTERS,
)


def topic_name(topic: Topic, kafka: KafkaSettings) -> str:
    """Return the topic's name on the broker.

    >>> topic_name(ALERTS, KafkaSettings(topic_prefix="acme-"))
    'acme-alerts'
    """
    return kafka.topic_prefix + topic.name


def partitions_of(topic: Topic, kafka: KafkaSettings) -> int:
    """Return how many partitions the topic has to have."""
    return topic.partitions or kafka.partitions
