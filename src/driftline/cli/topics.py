"""The topics on the broker against the table in ``contracts/topics.py``: made where they are missing, told where they differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from driftline.cli.connection import open_admin
from driftline.contracts.errors import SetupError, TopicError
from driftline.contracts.settings import KafkaSettings, Settings
from driftline.contracts.topics import DEAD_LETTERS, TOPICS, Topic, partitions_of, topic_name

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

_UNKNOWN_TOPIC = 3
_EXISTS = 36


_MISSING = "missing"


class WantedTopic(msgspec.Struct, frozen=True):
    """A topic as it has to be."""

    name: str
    partitions: int
    replication_factor: int
    configs: dict[str, str]


class FoundTopic(msgspec.Struct, frozen=True):
    """A topic as the broker has it."""

    partitions: int
    configs: Mapping[str, str]


class Flaw(msgspec.Struct, frozen=True):
    """Where a topic differs. One that is ``fatal`` gives wrong results, the others cost disk or history."""

    topic: str
    what: str
    found: str
    expected: str
    remedy: str
    fatal: bool

    @property
    def sentence(self) -> str:
        """The flaw in words."""
        if self.found == _MISSING:
            return f"topic {self.topic} is missing, expected with {self.expected}; {self.remedy}"
        return f"topic {self.topic}: {self.what} is {self.found}, expected {self.expected}; {self.remedy}"


def wanted_topics(kafka: KafkaSettings) -> list[WantedTopic]:
    """Return the topics that the settings ask for.

    >>> wanted = wanted_topics(KafkaSettings(topic_prefix="acme-", partitions=8))
    >>> wanted[0].name, wanted[0].partitions, wanted[0].configs["message.timestamp.type"]
    ('acme-inference-events', 8, 'CreateTime')
    """
    return [
        WantedTopic(name=topic_name(t, kafka), partitions=partitions_of(t, kafka), replication_factor=kafka.replication_factor, configs=_configs(t))
        for t in TOPICS
    ]


def compare(wanted: Sequence[WantedTopic], found: Mapping[str, FoundTopic]) -> list[Flaw]:
    """Return how the broker's topics differ from those wanted. Pure."""
    flaws = []
    for topic in wanted:
        there = found.get(topic.name)
        if there is None:
            flaws.append(Flaw(topic.name, "topic", _MISSING, f"{topic.partitions} partitions", "run `driftline topics create`", fatal=True))
            continue
        if there.partitions != topic.partitions:
            # More partitions move keys, and blocks of offsets belong to partitions: neither way is mended in place.
            remedy = "set kafka.partitions to what is there, or delete the topic and create it anew"
            flaws.append(Flaw(topic.name, "the number of partitions", str(there.partitions), str(topic.partitions), remedy, fatal=True))
        for key, value in topic.configs.items():
            known = there.configs.get(key)
            if known is not None and known != value:
                remedy = f"set it with kafka-configs.sh --alter --entity-type topics --entity-name {topic.name} --add-config {key}={value}"
                flaws.append(Flaw(topic.name, key, known, value, remedy, fatal=key in _DECISIVE))
    return flaws


def check_topics(settings: Settings) -> list[Flaw]:
    """Return the flaws that can be lived with. Raises TopicError with those that can't, SetupError without a broker."""
    with _Admin(settings.kafka) as admin:
        found = _found(admin, settings.kafka)
    return _tolerable([*compare(wanted_topics(settings.kafka), found), *too_small(settings, found)])


def too_small(settings: Settings, found: Mapping[str, FoundTopic]) -> list[Flaw]:
    """Return the flaw of a dead-letters topic that would refuse a letter: the step that sends it would end, and end again. Pure."""
    name = topic_name(DEAD_LETTERS, settings.kafka)
    there = found[name].configs.get(_MOST) if name in found else None
    wanted = settings.limits.letter_bytes + _AROUND_LETTER
    if there is None or not there.isdecimal() or int(there) >= wanted:
        return []
    remedy = f"set limits.letter_bytes to {max(int(there) - _AROUND_LETTER, 0)} or less, or raise the topic's {_MOST}"
    return [Flaw(name, _MOST, there, f"at least {wanted}", remedy, fatal=True)]


def ensure_topics(settings: Settings) -> list[str]:
    """Make the topics that are missing, wait until they can be used, and return their names. Many may do so at once.

    Raises TopicError where one is there with the wrong shape, SetupError without a broker.
    """
    with _Admin(settings.kafka) as admin:
        wanted = wanted_topics(settings.kafka)
        found = _found(admin, settings.kafka)
        _tolerable(f for f in compare(wanted, found) if f.topic in found)
        absent = [topic for topic in wanted if topic.name not in found]
        if absent:
            _create(admin, absent)
        _tolerable(compare(wanted, _found(admin, settings.kafka)))
        return [topic.name for topic in absent]


def absent_topics(settings: Settings) -> list[WantedTopic]:
    """Return the topics that ``ensure_topics`` would make, in the table's order."""
    with _Admin(settings.kafka) as admin:
        found = _found(admin, settings.kafka)
    return [topic for topic in wanted_topics(settings.kafka) if topic.name not in found]


def missing(name: str) -> TopicError:
    """Return the error for a topic that is not there."""
    return TopicError(f"topic {name} is missing; run `driftline topics create`")


_MOST = "max.message.bytes"
#: What a letter is longer by than the record in it.
_AROUND_LETTER = 64 << 10

#: Other values of these give wrong results: times that are not the producer's, versions that are gone.
_DECISIVE = ("message.timestamp.type", "cleanup.policy")


def _configs(topic: Topic) -> dict[str, str]:
    kept = {"cleanup.policy": "compact"} if topic.compacted else {"cleanup.policy": "delete", "retention.ms": str(topic.retention)}
    if topic.max_bytes is not None:
        kept["max.message.bytes"] = str(topic.max_bytes)
    return {"message.timestamp.type": "CreateTime", **kept}


def _tolerable(flaws: Iterable[Flaw]) -> list[Flaw]:
    known = list(flaws)
    fatal = [flaw.sentence for flaw in known if flaw.fatal]
    if fatal:
        raise TopicError("\n".join(fatal))
    return known


def _found(admin: KafkaAdminClient, kafka: KafkaSettings) -> dict[str, FoundTopic]:
    from kafka.admin import ConfigResource, ConfigResourceType

    described = admin.describe_topics([topic.name for topic in wanted_topics(kafka)])
    partitions = {t["name"]: len(t["partitions"]) for t in described if t["error_code"] != _UNKNOWN_TOPIC}
    if not partitions:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in partitions]
    configs = admin.describe_configs(resources, config_filter="all")["topic"]
    return {name: FoundTopic(count, {key: str(entry["value"]) for key, entry in configs.get(name, {}).items()}) for name, count in partitions.items()}


def _create(admin: KafkaAdminClient, topics: Sequence[WantedTopic]) -> None:
    from kafka.errors import for_code

    asked = {t.name: {"num_partitions": t.partitions, "replication_factor": t.replication_factor, "configs": t.configs} for t in topics}
    answered = admin.create_topics(asked, raise_errors=False)
    for one in answered["topics"]:
        if one["error_code"] not in (0, _EXISTS):  # another may have made it meanwhile; its shape is looked at afterwards
            why = one.get("error_message") or for_code(one["error_code"]).__name__
            raise TopicError(f"topic {one['name']} could not be created: {why}")
    admin.wait_for_topics([topic.name for topic in topics])


class _Admin:
    """An admin client whose failures are sentences, closed at the end."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._client: KafkaAdminClient | None = None

    def __enter__(self) -> KafkaAdminClient:
        self._client = open_admin(self._kafka)
        return self._client

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from kafka.errors import KafkaError

        if self._client is not None:
            self._client.close()
        if isinstance(error, KafkaError):
            raise SetupError(f"the broker at {self._kafka.bootstrap_servers} refused: {error}") from error
