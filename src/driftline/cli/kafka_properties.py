"""The settings of the local broker: a single node that starts fast, holds little memory, and hides no missing topic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

#: Where ``more`` adds to what is there.
_LISTS = ("listeners", "advertised.listeners", "listener.security.protocol.map")


def server_properties(data: Path, *, host: str, port: int, controller_port: int, more: Mapping[str, str] = MappingProxyType({})) -> str:
    r"""``server.properties`` of one KRaft node that is broker and controller, with its log under ``data``.

    ``more`` are further settings of Kafka's; listeners among them come beside the open one of ``port``.

    >>> text = server_properties(Path("/tmp/x"), host="127.0.0.1", port=9092, controller_port=9093)
    >>> "auto.create.topics.enable=false\n" in text
    True
    """
    settings: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{host}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{host}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data).replace("\\", "\\\\"),
        # A misspelt topic must be an error, not a new topic with one partition.
        "auto.create.topics.enable": "false",
        # There is one node to replicate to.
        "default.replication.factor": 1,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # Fifty partitions apiece by default: files to open at each start, for a handful of groups.
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.num.partitions": 4,
        # A group of one machine is complete as soon as it forms; and tests that kill a worker ask for short sessions.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        # The compactor's buffer is 128 MB of heap by default.
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        "num.network.threads": 2,
        "num.io.threads": 4,
    }
    settings |= {key: f"{settings[key]},{value}" if key in _LISTS else value for key, value in more.items()}
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def log_properties() -> str:
    """``log4j2.properties``: warnings, and the server's words at start and stop, to standard output (its log file)."""
    return """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX} %-5p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server
logger.server.level = info
# Prints every setting there is, three times.
logger.config.name = org.apache.kafka.common.config
logger.config.level = warn
logger.kafkaconfig.name = kafka.server.KafkaConfig
logger.kafkaconfig.level = warn
"""
