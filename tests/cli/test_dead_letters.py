"""The commands for dead letters, on a real broker."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from kafka import KafkaProducer
from tests.integration.log import read_back
from typer.testing import CliRunner, Result

from driftline.cli.letters import Kept
from driftline.cli.main import app
from driftline.cli.replaying import judge
from driftline.cli.topics import ensure_topics
from driftline.contracts.deadletters import ATTEMPT, DeadLetter, dead_letter
from driftline.contracts.errors import DecodeError
from driftline.contracts.settings import Settings, build_settings

Invoke = Callable[..., Result]
BYTES = b'{"event_id": \xff\x00}'


class Letters:
    """A topic of dead letters, filled by hand."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.prefix = settings.kafka.topic_prefix

    def bury(
        self,
        offset: int,
        *,
        topic: str = "inference-events",
        code: str = "not_json",
        value: bytes | None = BYTES,
        times: int = 1,
        places: Sequence[int | None] = (None,),
    ) -> str:
        """Write a letter, as often as a crash may have it written, by its key or in the partitions named; return its id."""
        letter = dead_letter(
            b"key-%d" % offset, value, [("trace", b"\xfe"), ("none", None)], topic=self.prefix + topic, partition=1, offset=offset, stage="join",
            error=DecodeError("it is no JSON", code=code), most=1 << 20,
        )  # fmt: skip
        producer = KafkaProducer(bootstrap_servers=self.settings.kafka.bootstrap_servers, max_request_size=4 << 20)
        for partition in [*places] * times:
            producer.send(self.prefix + "dead-letters", key=letter.key, value=letter.value, headers=letter.headers, partition=partition)
        producer.close()
        return (dict(letter.headers)["driftline.letter.id"] or b"").decode()

    def flood(self, partition: int, records: int) -> None:
        """Write so many other records into a partition of the letters."""
        producer = KafkaProducer(bootstrap_servers=self.settings.kafka.bootstrap_servers)
        for _ in range(records):
            producer.send(self.prefix + "dead-letters", value=b"", partition=partition)
        producer.close()


@pytest.fixture
def letters(bootstrap: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Letters:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRIFTLINE_CONFIG", raising=False)
    tree = {"kafka": {"bootstrap_servers": bootstrap, "topic_prefix": topic_prefix, "partitions": 2}}
    (tmp_path / "driftline.yaml").write_text(yaml.safe_dump(tree))
    settings = build_settings(tree)
    ensure_topics(settings)
    return Letters(settings)


def run(*arguments: str, exits: int = 0) -> Result:
    result = CliRunner().invoke(app, ["dead-letters", *arguments])
    assert result.exit_code == exits, (result.stdout, result.stderr, result.exception)
    return result


def data(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def test_letters_are_listed_once_newest_first_with_counts_by_reason(letters: Letters) -> None:
    assert "No dead letter." in run("list").stdout
    first = letters.bury(1, times=3)
    second = letters.bury(2, topic="label-events", code="bad_time")
    third = letters.bury(3)
    found = data("list")
    assert (found["total"], found["by_reason"]) == (3, {"not_json": 2, "bad_time": 1})
    assert [one["letter_id"] for one in found["letters"]] == [third, second, first]
    assert [one["times"] for one in found["letters"]] == [1, 1, 3]
    assert [one["letter_id"] for one in data("list", "--reason", "bad_time")["letters"]] == [second]
    assert [one["letter_id"] for one in data("list", "--topic", "inference-events")["letters"]] == [third, first]
    assert data("list", "--since", "2100-01-01")["total"] == 0
    assert len(data("list", "--limit", "1")["letters"]) == 1
    table = run("list").stdout
    assert "not_json" in table
    assert f"{letters.prefix}label-events:1:2" in "".join(table.split())


def test_a_letter_is_shown_with_its_bytes_escaped_and_written_as_they_were(letters: Letters, tmp_path: Path) -> None:
    name = letters.bury(7)
    assert data("show", name)["headers"][1] == ["none", None]
    shown = run("show", name[:10], "--raw", str(tmp_path / "value")).stdout
    assert "it is no JSON" in shown
    assert "\\xff\\x00" in shown
    assert "\x00" not in shown
    assert (tmp_path / "value").read_bytes() == BYTES
    assert BYTES.hex(" ") in run("show", name, "--hex").stdout
    assert data("show", name)["offset"] == 7
    assert "no letters begin with" in run("show", "zz", exits=2).stderr


def test_a_replay_brings_a_record_back_as_it_was_and_happens_once(letters: Letters) -> None:
    name = letters.bury(7, times=2)
    assert data("replay", name, "--dry-run")["would_replay"] == 1
    assert read_back(letters.settings, "inference-events") == []
    assert data("replay", name)["replayed"] == 1
    (record,) = read_back(letters.settings, "inference-events")
    assert (record.partition, record.key, record.value) == (1, b"key-7", BYTES)
    assert list(record.headers) == [("trace", b"\xfe"), ("none", b""), (ATTEMPT, b"1")]
    refused = data("replay", name)
    assert (refused["replayed"], refused["refused"]) == (0, 1)
    assert "--again" in refused["letters"][0]["why"]
    assert data("replay", name, "--again")["replayed"] == 1
    assert data("replay", name, "--again", "--max-attempts", "2")["replayed"] == 0
    assert [dict(r.headers)[ATTEMPT] for r in read_back(letters.settings, "inference-events")] == [b"1", b"2"]
    assert data("list")["letters"][0]["replayed"] == 2


def test_that_a_letter_was_replayed_is_known_as_long_as_the_letter_is(letters: Letters) -> None:
    quiet = [letters.bury(offset, places=[1]) for offset in range(6)]  # by their ids, which the key of a note is, they would lie in either
    both = letters.bury(7, places=[0, 1])  # a record without a key has its letter anywhere, and after a crash elsewhere
    assert data("replay", "--reason", "not_json")["replayed"] == 7
    letters.flood(0, 60)
    assert {one["letter_id"] for one in data("list", "--last", "50")["letters"]} == {*quiet, both}
    assert data("replay", "--reason", "not_json", "--last", "50")["replayed"] == 0
    assert {one["replayed"] for one in data("list", "--last", "50")["letters"]} == {1}
    assert data("list")["letters"][0]["replayed"] == 1  # two notes of one replay are one
    assert data("replay", both, "--again")["replayed"] == 1
    assert data("replay", both, "--again")["replayed"] == 1
    assert data("replay", both, "--again")["replayed"] == 0


def test_letters_are_replayed_by_reason_and_never_all_by_mistake(letters: Letters) -> None:
    for offset in range(5):
        letters.bury(offset, code="too_many_models")
    letters.bury(9)
    assert "name the letters" in run("replay", exits=2).stderr
    assert data("replay", "--reason", "too_many_models", "--limit", "2")["replayed"] == 2
    assert data("replay", "--reason", "too_many_models")["replayed"] == 3
    assert sorted(r.key for r in read_back(letters.settings, "inference-events")) == [b"key-%d" % i for i in range(5)]
    run("replay", "--reason", "no_such", exits=1)


def test_what_was_cut_or_came_from_elsewhere_is_not_replayed(letters: Letters) -> None:
    cut = letters.bury(1, value=b"x" * (2 << 20))
    foreign = letters.bury(2, topic="payments")
    nothing = letters.bury(3, value=None)
    why = {one["letter_id"]: one["why"] for one in data("replay", cut, foreign, nothing)["letters"]}
    assert "part" in why[cut]
    assert "no topic that a step reads" in why[foreign]
    assert why[nothing] == ""  # a tombstone has a key
    assert "Kept in part only: value" in run("show", cut).stdout


def test_attempts_that_a_record_brings_with_it_count() -> None:
    letter = DeadLetter(
        letter_id="a",
        topic="inference-events",
        partition=0,
        offset=0,
        stage="s",
        code="c",
        reason="r",
        attempt=3,
        key=b"",
        value=b"",
        headers=(),
        bytes=0,
    )
    assert not judge(Kept(letter, 0, 0, 1, (0,)), "", again=False, most=3).replay
    assert judge(Kept(letter, 0, 0, 1, (0,)), "", again=False, most=4).attempt == 4
