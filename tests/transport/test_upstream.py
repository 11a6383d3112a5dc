"""Says which method of Faust or aiokafka that the transport leans on has changed, after an upgrade of either.

When this fails: read what changed upstream, decide whether the transport still fits it (docs/decisions/0003 says what
each override is for), change it if not, and only then write the new hash below.
"""

from __future__ import annotations

import hashlib
import inspect
import textwrap
from importlib.metadata import version
from pathlib import Path

import aiokafka
import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.structs import ConsumerRecord
from faust import App
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer, ConsumerThread, ThreadDelegateConsumer
from faust.transport.drivers.aiokafka import (
    AIOKafkaConsumerThread,
    ConsumerRebalanceListener,
    Producer,
    Transport,
    credentials_to_aiokafka_auth,
    server_list,
)
from faust.types.tuples import ConsumerMessage, Message
from mode.threads import MethodQueue, QueueServiceThread

from driftline.contracts.errors import SetupError
from driftline.streams.transport import Batch, BatchConsumer, DriftApp
from driftline.streams.transport.answers import _decode
from driftline.streams.transport.fetching import Fetched, WholeBatches
from driftline.streams.transport.producer import IdempotentProducer
from driftline.streams.transport.thread import BatchConsumerThread
from driftline.streams.transport.transport import BatchTransport
from driftline.streams.transport.versions import check_versions

OURS = [Batch, BatchConsumer, BatchConsumerThread, BatchTransport, DriftApp, Fetched, IdempotentProducer, WholeBatches]

# What our overrides replace (found by themselves, see below).
OVERRIDDEN = {
    "aiokafka.consumer.fetcher.FetchResult.__init__": "00a9da5e0517",
    "aiokafka.consumer.fetcher.FetchResult.getall": "b638929de343",
    "aiokafka.consumer.fetcher.PartitionRecords.__init__": "4649d3084e59",
    "faust.app.base.App.__init__": "c90c021f3805",
    "faust.app.base.App._new_producer_transport": "4ebfd7e867b3",
    "faust.app.base.App._new_transport": "11beddacb9fe",
    "faust.app.base.App._producer_flush": "8ee470a400e6",
    "faust.app.base.App.on_first_start": "a87e1f3590af",
    "faust.transport.consumer.Consumer._add_gap": "f1cc1db634f5",
    "faust.transport.consumer.Consumer.ack": "5548cf0f7584",
    "faust.transport.consumer.Consumer.force_commit": "464b62ae9172",
    "faust.transport.consumer.Consumer.getmany": "e486c434b792",
    "faust.transport.consumer.Consumer.on_buffer_drop": "c5f80b096c71",
    "faust.transport.consumer.Consumer.on_partitions_revoked": "652177e770ee",
    "faust.transport.consumer.Consumer.perform_seek": "2b4ceebd23de",
    "faust.transport.consumer.Consumer.wait_empty": "53195dca246c",
    "faust.transport.consumer.ConsumerThread.__init__": "d28391029483",
    "faust.transport.consumer.ThreadDelegateConsumer.__init__": "eb97deeb86ee",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread._create_worker_consumer": "c179c0bdb975",
    "mode.threads.QueueServiceThread.call_thread": "d1304f73ca65",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread.on_thread_stop": "cdbbe53230d2",
    "faust.transport.drivers.aiokafka.Consumer._new_consumer_thread": "8fd0d41b1514",
    "faust.transport.drivers.aiokafka.Consumer.verify_event_path": "883ce70ac0a6",
    "faust.transport.drivers.aiokafka.Producer._settings_extra": "2b12df47f0a5",
    "faust.transport.drivers.aiokafka.Transport.__init__": "ae80bd69013f",
    "faust.types.tuples.Message.__init__": "34616bad2796",
    "mode.services.Service._crash": "023e36034cd9",
}

# What calls them, or what they call behind the public interface.
LEANT_ON = {
    "aiokafka.conn.AIOKafkaConnection._handle_frame": "aadf78abd43c",
    "aiokafka.conn.AIOKafkaConnection._read": "4020301d6ad4",
    "aiokafka.conn.AIOKafkaConnection.connect": "179fa038c170",
    "aiokafka.consumer.consumer.AIOKafkaConsumer.start": "5ba1baa38f62",
    "aiokafka.consumer.fetcher.FetchResult.getall": "b638929de343",
    "aiokafka.consumer.fetcher.Fetcher._proc_fetch_request": "ace04969424f",
    "aiokafka.consumer.fetcher.Fetcher._update_fetch_positions": "1dc02ecce273",
    "aiokafka.consumer.fetcher.Fetcher.fetched_records": "e20ce0c8117f",
    "aiokafka.consumer.fetcher.Fetcher.seek_to": "10c45c3c873d",
    "aiokafka.consumer.fetcher.PartitionRecords._consumer_record": "56c3ee13f914",
    "aiokafka.consumer.fetcher.PartitionRecords._unpack_records": "047f7fc3f005",
    "aiokafka.consumer.group_coordinator.GroupCoordinator._do_fetch_commit_offsets": "fcd9abe4e50f",
    "aiokafka.consumer.group_coordinator.GroupCoordinator._maybe_leave_group": "7bc230e3f4dc",
    "aiokafka.consumer.group_coordinator.GroupCoordinator.fetch_committed_offsets": "c83e0cafbf1e",
    "aiokafka.protocol.types.Bytes.decode": "e146bf114354",
    "aiokafka.record.default_records._DefaultRecordBatchPy": "f63fbb5a8a24",
    "aiokafka.record.memory_records._MemoryRecordsPy": "795a0314fbca",
    "aiokafka.structs.ConsumerRecord": "1d35bd6c8da0",
    "faust.app.base.App._on_partitions_assigned": "c9c5485eb273",
    "faust.app.base.App._on_partitions_revoked": "c1abd58dcb37",
    "faust.app.base.App._stop_consumer": "96573acf5f04",
    "faust.tables.recovery.Recovery._resume_streams": "fbe0f747b84c",
    "faust.tables.recovery.Recovery.on_recovery_completed": "895e7c415a4d",
    "faust.transport.consumer.Consumer._drain_messages": "8f35dd7a1114",
    "faust.transport.consumer.Consumer.commit": "e43a7d03685f",
    "faust.transport.consumer.Consumer.maybe_wait_for_commit_to_finish": "14281eda99cf",
    "faust.transport.consumer.Consumer.on_partitions_assigned": "c07feb1175f7",
    "faust.transport.consumer.Consumer.on_stop": "7accc1bf4f97",
    "faust.transport.consumer.ConsumerThread.on_partitions_revoked": "e10fd9e1e29f",
    "faust.transport.consumer.ThreadDelegateConsumer.__init__": "eb97deeb86ee",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread._fetch_records": "9e7369fc572d",
    "faust.transport.drivers.aiokafka.ConsumerRebalanceListener.on_partitions_assigned": "f8231db51dd5",
    "faust.transport.drivers.aiokafka.ConsumerRebalanceListener.on_partitions_revoked": "cb4aa49e968a",
    "faust.transport.drivers.aiokafka.Producer._new_producer": "a1bef421b990",
    "faust.transport.drivers.aiokafka.Transport.__init__": "ae80bd69013f",
    "faust.transport.drivers.aiokafka.credentials_to_aiokafka_auth": "364c9c9c6852",
    "faust.transport.drivers.aiokafka.server_list": "5a13d9708b3c",
    "faust.types.tuples.ConsumerMessage.on_final_ack": "818bf19da001",
    "faust.types.tuples.Message.ack": "3c9ee05236d3",
    "mode.threads.MethodQueue._process_enqueued": "3488d5b16ac8",
    "mode.threads.MethodQueue.call": "b4efaada7993",
    "mode.threads.MethodQueue.flush": "6d580f671276",
    "mode.threads.QueueServiceThread.on_thread_stop": "7c6486656040",
}

# Compiled by Cython: their source, or what it offers, is in the package.
SOURCES = {
    "faust/_cython/streams.pyx": "0041622f4a25",
    "faust/transport/_cython/conductor.pyx": "dde1f9742678",
    "aiokafka/record/_crecords/default_records.pyi": "9945086d3259",
    "aiokafka/record/_crecords/memory_records.pyi": "71825ecc6a52",
}

CALLERS = [
    App._on_partitions_assigned, App._on_partitions_revoked, App._stop_consumer,
    Consumer._drain_messages, Consumer.commit, Consumer.maybe_wait_for_commit_to_finish, Consumer.on_stop,
    Consumer.on_partitions_assigned, ThreadDelegateConsumer.__init__, ConsumerThread.on_partitions_revoked,
    ConsumerRebalanceListener.on_partitions_revoked, ConsumerRebalanceListener.on_partitions_assigned,
    AIOKafkaConsumerThread._fetch_records, Recovery._resume_streams, Recovery.on_recovery_completed,
    Message.ack, ConsumerMessage.on_final_ack, Producer._new_producer, Transport.__init__,
    credentials_to_aiokafka_auth, server_list, _MemoryRecordsPy, _DefaultRecordBatchPy, ConsumerRecord,
    GroupCoordinator._maybe_leave_group, Fetcher._proc_fetch_request, PartitionRecords._consumer_record,
    aiokafka.AIOKafkaConsumer.start, Fetcher.fetched_records, Fetcher.seek_to, FetchResult.getall,
    Fetcher._update_fetch_positions, PartitionRecords._unpack_records,
    GroupCoordinator.fetch_committed_offsets, GroupCoordinator._do_fetch_commit_offsets,
    AIOKafkaConnection.connect, AIOKafkaConnection._read, AIOKafkaConnection._handle_frame, _decode,
    MethodQueue.call, MethodQueue._process_enqueued, MethodQueue.flush, QueueServiceThread.on_thread_stop,
]  # fmt: skip


def digest(text: str) -> str:
    return hashlib.sha256(textwrap.dedent(text).encode()).hexdigest()[:12]


def hash_of(method: object) -> str:
    return digest(inspect.getsource(inspect.unwrap(method)))  # type: ignore[arg-type]


def overridden() -> dict[str, str]:
    found = {}
    for ours in OURS:
        for name, value in vars(ours).items():
            if not inspect.isfunction(value):
                continue
            base = next((b for b in ours.__mro__[1:] if name in vars(b) and b is not object), None)
            if base is not None:
                found[f"{base.__module__}.{base.__name__}.{name}"] = hash_of(vars(base)[name])
    return found


def changes(known: dict[str, str], now: dict[str, str]) -> str:
    lines = [
        f"  {name}: {'new' if name not in known else 'gone' if name not in now else 'changed'} ({now.get(name)!r})"
        for name in sorted(known.keys() | now.keys())
        if known.get(name) != now.get(name)
    ]
    return (
        f"faust-streaming {version('faust-streaming')}, aiokafka {version('aiokafka')}: read each method below in the new version and in the old; "
        "what ours does with it stands in src/driftline/streams/transport/ (search for the name), and why in docs/decisions/0003 and 0008. "
        "Mend what does not fit, run tests/transport, which shows the defects too, and only then write the new hashes here:\n" + "\n".join(lines)
    )


def test_a_change_is_told_with_its_name_and_what_to_read() -> None:
    told = changes({"a.B.c": "1", "a.B.d": "1"}, {"a.B.c": "2", "a.B.e": "3"})
    assert "a.B.c: changed ('2')" in told
    assert "a.B.d: gone" in told
    assert "a.B.e: new" in told
    assert "docs/decisions/0003" in told


@pytest.mark.parametrize(("package", "found"), [("faust-streaming", "0.16.0"), ("faust-streaming", "1.15.0"), ("aiokafka", "0.13.1")])
def test_a_worker_does_not_start_on_a_version_that_nobody_has_looked_at(package: str, found: str) -> None:
    versions = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0", package: found}
    with pytest.raises(SetupError, match=rf"{package} {found} is installed.*pip install"):
        check_versions(versions.__getitem__)


def test_the_versions_that_are_tested_are_those_that_are_allowed() -> None:
    check_versions()
    DriftApp("app", broker="kafka://127.0.0.1:1")


def test_the_methods_that_the_transport_replaces_are_those_it_was_written_for() -> None:
    now = overridden()
    assert now == OVERRIDDEN, changes(OVERRIDDEN, now)


def test_the_methods_that_the_transport_leans_on_are_those_it_was_written_for() -> None:
    now = {f"{m.__module__}.{m.__qualname__}": hash_of(m) for m in CALLERS}
    assert now == LEANT_ON, changes(LEANT_ON, now)


@pytest.mark.parametrize("path", SOURCES)
def test_the_compiled_parts_of_faust_are_those_the_transport_was_written_for(path: str) -> None:
    now = digest((Path(inspect.getfile(App)).parents[2] / path).read_text())
    assert now == SOURCES[path], changes({path: SOURCES[path]}, {path: now})
