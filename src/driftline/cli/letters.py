"""The topic of dead letters, read back: each letter once, however often it was sent, and which of them have been replayed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from driftline.cli.connection import open_consumer
from driftline.cli.topics import missing
from driftline.contracts.deadletters import ATTEMPT, REPLAYED, DeadLetter, open_letter
from driftline.contracts.errors import SetupError
from driftline.contracts.settings import KafkaSettings
from driftline.contracts.topics import DEAD_LETTERS, topic_name

if TYPE_CHECKING:
    from kafka import KafkaConsumer, TopicPartition

_POLL_MS = 1_000
_POLL_MOST = 2_000


class Kept(msgspec.Struct, frozen=True):
    """A letter, when it was written (ms, by the clock of who wrote it), how often it was replayed, how often it is there, and in which partitions."""

    letter: DeadLetter
    at: int
    replayed: int
    times: int
    partitions: tuple[int, ...]


class Box(msgspec.Struct, frozen=True):
    """What was found: the letters, the newest first; ``foreign`` records are no letters of ours, ``unread`` ones lie before what was read."""

    letters: list[Kept]
    foreign: int
    unread: int

    def by_code(self) -> dict[str, int]:
        """Return how many letters there are of each code, the most frequent first."""
        return dict(Counter(kept.letter.code for kept in self.letters).most_common())


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which letters are asked for. ``topics`` without prefix, ``ids`` whole or the beginnings of them; an empty one asks for all."""

    ids: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    since: int = 0

    def has(self, letter: DeadLetter, at: int, prefix: str) -> bool:
        """Say whether a letter is asked for."""
        return (
            at >= self.since
            and (not self.codes or letter.code in self.codes)
            and (not self.topics or letter.topic.removeprefix(prefix) in self.topics)
            and (not self.ids or letter.letter_id.startswith(self.ids))
        )


def open_box(kafka: KafkaSettings, wanted: Wanted, *, last: int, whole: bool = False) -> Box:
    """Return the letters that are asked for, of the ``last`` records of each partition; their values and headers only if they are wanted ``whole``.

    Raises SetupError without a broker, TopicError without the topic.
    """
    consumer = open_consumer(kafka)
    try:
        return _sorted(kafka.topic_prefix, wanted, *_records(consumer, kafka, wanted.since, last), whole=whole)
    finally:
        consumer.close()


def _records(consumer: KafkaConsumer, kafka: KafkaSettings, since: int, last: int) -> tuple[Iterator[Any], int]:
    from kafka import TopicPartition
    from kafka.errors import KafkaError

    name = topic_name(DEAD_LETTERS, kafka)
    partitions = consumer.partitions_for_topic(name)
    if not partitions:
        raise missing(name)
    tps = [TopicPartition(name, p) for p in sorted(partitions)]
    try:
        consumer.assign(tps)
        first, ends = consumer.beginning_offsets(tps), consumer.end_offsets(tps)
        asked = consumer.offsets_for_times(dict.fromkeys(tps, since)) if since else {}
    except KafkaError as error:
        raise SetupError(f"the broker does not say what {name} holds: {error}") from error
    unread = 0
    for tp in tps:
        begin = first[tp] if not since else asked[tp].offset if asked.get(tp) else ends[tp]
        start = max(begin, ends[tp] - last)
        unread += start - begin
        consumer.seek(tp, start)
    return _each(consumer, ends, name), unread


def _each(consumer: KafkaConsumer, ends: dict[TopicPartition, int], name: str) -> Iterator[Any]:
    from kafka.errors import KafkaError

    try:
        while any(consumer.position(tp) < end for tp, end in ends.items()):
            for tp, records in consumer.poll(timeout_ms=_POLL_MS, max_records=_POLL_MOST).items():
                yield from (record for record in records if record.offset < ends[tp])
    except KafkaError as error:
        raise SetupError(f"{name} can't be read: {error}") from error


def _sorted(prefix: str, wanted: Wanted, records: Iterator[Any], unread: int, *, whole: bool) -> Box:
    found: dict[str, tuple[DeadLetter, int]] = {}
    times, foreign = Counter[str](), 0
    # One replay leaves a note in each partition that holds the letter, each with the number of the attempt.
    attempts: defaultdict[str, set[bytes]] = defaultdict(set)
    partitions: defaultdict[str, set[int]] = defaultdict(set)
    for record in records:
        noted = dict(record.headers)
        of = noted.get(REPLAYED)
        if of is not None:
            attempts[of.decode(errors="replace")].add(noted.get(ATTEMPT) or b"")
            continue
        letter = open_letter(record.key, record.value, record.headers)
        if letter is None:
            foreign += 1
        elif wanted.has(letter, record.timestamp, prefix):
            times[letter.letter_id] += 1
            partitions[letter.letter_id].add(record.partition)
            if letter.letter_id not in found:
                found[letter.letter_id] = (letter if whole else _light(letter), record.timestamp)
    letters = [Kept(letter, at, len(attempts.get(name, ())), times[name], tuple(sorted(partitions[name]))) for name, (letter, at) in found.items()]
    return Box(sorted(letters, key=_newest, reverse=True), foreign, unread)


def _light(letter: DeadLetter) -> DeadLetter:
    return msgspec.structs.replace(letter, key=None, value=None, headers=())


_newest: Callable[[Kept], Any] = lambda kept: (kept.at, kept.letter.topic, kept.letter.partition, kept.letter.offset)  # noqa: E731
