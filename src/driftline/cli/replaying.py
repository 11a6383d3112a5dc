"""Dead letters sent back to where they came from, once.

A record and the note that it was replayed (a record among the letters, with the letter's id) are one Kafka transaction, so that neither is ever there
without the other. The note goes to the partition in which the letter lies, to each of them where it lies in several: whoever reads as far back as the
letter meets the note first. Whoever replays shuts out who did so before, and looks at the notes only then: two at a time can't send a letter twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from driftline.cli.connection import open_transactions
from driftline.cli.letters import Kept, Wanted, open_box
from driftline.contracts.deadletters import ATTEMPT, REPLAYED
from driftline.contracts.errors import SetupError
from driftline.contracts.settings import KafkaSettings
from driftline.contracts.topics import DEAD_LETTERS, INFERENCE_EVENTS, LABEL_EVENTS, MAX_SUMMARY_BYTES, RETRAIN_TRIGGERS, SUMMARIES, topic_name

if TYPE_CHECKING:
    from kafka import KafkaProducer

#: What a step reads: letters come from here, and nowhere else is anything sent to, whatever a letter says.
SOURCES = (INFERENCE_EVENTS, LABEL_EVENTS, SUMMARIES, RETRAIN_TRIGGERS)
_NAME = "driftline-replay"
#: Records of one transaction.
_TOGETHER = 500
_WAIT_S = 30.0


class Verdict(msgspec.Struct, frozen=True):
    """Whether a letter is replayed, for the how manieth time; or why it is not."""

    letter_id: str
    topic: str
    partition: int
    offset: int
    code: str
    replay: bool
    attempt: int
    why: str


def judge(kept: Kept, prefix: str, *, again: bool, most: int) -> Verdict:
    """Say whether a letter may be replayed. Pure."""
    letter = kept.letter
    attempt = letter.attempt + kept.replayed + 1
    why = ""
    if letter.cut:
        why = f"only a part of it was kept ({', '.join(letter.cut)})"
    elif letter.topic not in {prefix + topic.name for topic in SOURCES}:
        why = f"{letter.topic} is no topic that a step reads"
    elif letter.key is None and letter.value is None:
        why = "there is nothing in it"
    elif kept.replayed and not again:
        why = "it was replayed before; --again does it once more"
    elif attempt > most:
        why = f"it was replayed {attempt - 1} times before; --max-attempts allows {most}"
    return Verdict(letter.letter_id, letter.topic, letter.partition, letter.offset, letter.code, not why, attempt, why)


def replay(kafka: KafkaSettings, wanted: Wanted, *, last: int, limit: int, again: bool, most: int, dry: bool) -> list[Verdict]:
    """Replay the letters that are asked for, the oldest first, and say what was done, or would be; ``limit`` bounds how many are sent.

    Raises SetupError without a broker, TopicError without the topic.
    """
    if dry:
        return [verdict for _, verdict in _judged(kafka, wanted, last, limit, again=again, most=most)]
    producer = open_transactions(kafka, _NAME, MAX_SUMMARY_BYTES)
    try:
        judged = _judged(kafka, wanted, last, limit, again=again, most=most)
        for some in _chunks([one for one in judged if one[1].replay]):
            _send(producer, kafka, some)
    finally:
        producer.close(timeout=_WAIT_S)
    return [verdict for _, verdict in judged]


def _judged(kafka: KafkaSettings, wanted: Wanted, last: int, limit: int, *, again: bool, most: int) -> list[tuple[Kept, Verdict]]:
    box = open_box(kafka, wanted, last=last, whole=True)
    judged = [(kept, judge(kept, kafka.topic_prefix, again=again, most=most)) for kept in reversed(box.letters)]
    sent = [i for i, (_, verdict) in enumerate(judged) if verdict.replay]
    return judged if len(sent) <= limit else judged[: sent[limit]]


def _send(producer: KafkaProducer, kafka: KafkaSettings, judged: Sequence[tuple[Kept, Verdict]]) -> None:
    from kafka.errors import KafkaError

    try:
        producer.begin_transaction()
        for kept, verdict in judged:
            letter = kept.letter
            attempt = (ATTEMPT, str(verdict.attempt).encode())
            # kafka-python sends no header without content: an empty one stands for it.
            headers = [*((name, content or b"") for name, content in letter.headers if name != ATTEMPT), attempt]
            producer.send(letter.topic, key=letter.key, value=letter.value, headers=headers, partition=letter.partition)
            note = [(REPLAYED, letter.letter_id.encode()), attempt]
            for partition in kept.partitions:
                producer.send(topic_name(DEAD_LETTERS, kafka), key=letter.letter_id.encode(), value=b"", headers=note, partition=partition)
        producer.commit_transaction()
    except KafkaError as error:
        raise SetupError(f"the broker does not take the replay: {error}. What was not sent is not noted as replayed") from error


def _chunks(judged: Iterable[tuple[Kept, Verdict]]) -> Iterator[list[tuple[Kept, Verdict]]]:
    rest = iter(judged)
    while some := list(islice(rest, _TOGETHER)):
        yield some
