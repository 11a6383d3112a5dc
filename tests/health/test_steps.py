"""Health, logs and drain of the real thing: one worker of three steps, a real broker, events with poison among them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition
from tests.health.live import CANARY, POISON, POISONED_LABELS, START, STEPS, Live, event, label, tree

from driftline.contracts.summaries import Progress, decode_summary
from driftline.store import detection, join, references
from driftline.store.database import open_database
from driftline.streams.app import Step, group_id

pytestmark = pytest.mark.timeout(400)

N = 2400
DRAIN_S = 30


@pytest.fixture
def live(bootstrap: str, topic_prefix: str, tmp_path: Path) -> Iterator[Live]:
    # Detect would commit every ten minutes, or when it has something to say.
    settings = tree(bootstrap, topic_prefix, tmp_path, drain_timeout=f"{DRAIN_S}s", checkpoint_interval="10m")
    running = Live(tmp_path, settings, "worker", "--setup", "--log-level", "debug", *STEPS)
    try:
        running.wait_for(lambda: all(running.ask(step, "/readyz")[0] == 200 for step in STEPS))
        running.send("inference-events", [event(i) for i in range(N // 2)])
        learned = open_database(running.settings.database)
        running.wait_for(lambda: references.for_model(learned, "m"))
        learned.dispose()
        running.send("inference-events", [event(i) for i in range(N // 2, N)])
        running.send("inference-events", [*POISON, event(10, event_id="late")])
        running.send("label-events", [*(label(i, 1.0) for i in range(N)), label(0, 2.0), label(1, None), *POISONED_LABELS])
        running.wait_for(lambda: running.metrics("detect").get("driftline_effect_sds"))
        running.wait_for(lambda: caught_up(running))
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


def test_a_worker_tells_how_it_is_without_a_value_of_an_event_and_drains_when_it_is_told_to_stop(live: Live) -> None:
    summarise_counts_events_late_events_and_dead_letters(live)
    the_join_counts_rows_and_what_became_of_outcomes(live)
    detect_shows_states_effects_and_evidence(live)
    the_health_command_exits_0_when_all_say_yes_and_1_when_one_does_not(live)
    no_metric_has_a_value_of_an_event(live)
    told_to_stop_it_drains_in_time_commits_what_it_did_and_no_log_line_has_a_value_of_an_event(live)


def summarise_counts_events_late_events_and_dead_letters(live: Live) -> None:
    found = live.metrics("summarise")
    assert found["driftline_records_read_total"]["inference-events",] == N + len(POISON) + 1
    assert found["driftline_events_total"]["m",] == N + 1
    assert found["driftline_events_late_total"]["m",] >= 1
    assert sum(found["driftline_dead_letters_total"].values()) == len(POISON)
    assert set(found["driftline_lag_records"]) == {("inference-events", "0"), ("inference-events", "1")}
    assert found["driftline_watermark_age_seconds"]["inference-events",] > 1e6
    assert found["driftline_step_duration_seconds_count"]["flush",] > 0
    assert found["process_resident_memory_bytes"][()] > 1e7


def the_join_counts_rows_and_what_became_of_outcomes(live: Live) -> None:
    live.wait_for(lambda: live.metrics("join")["driftline_join_rows_total"] == {("prediction",): N + 1, ("label",): N + 2})
    found = live.metrics("join")
    outcomes = found["driftline_join_outcomes_total"]
    assert (outcomes["completed",] - outcomes.get(("withdrawn",), 0)) in (N - 1, N)  # e1's label may be withdrawn before it was counted
    assert found["driftline_outcome_sample_ratio"]["m",] == 1
    live.wait_for(lambda: live.metrics("join")["driftline_database_up"][()] == 1)


def detect_shows_states_effects_and_evidence(live: Live) -> None:
    found = live.metrics("detect")
    assert found["driftline_summaries_total"]["applied",] > 0
    assert sum(found["driftline_model_state"].values()) == 1
    assert found["driftline_open_episodes"].keys() == {("m", "features"), ("m", "outcomes")}
    assert ("m", "amount") in found["driftline_effect_sds"]
    assert ("m", "amount", "psi") in found["driftline_distance"]
    assert found["driftline_evidence_ratio"]["m", "features"] >= 0
    assert found["driftline_tolerance_sds"]["m",] == 0.2


def the_health_command_exits_0_when_all_say_yes_and_1_when_one_does_not(live: Live) -> None:
    well = subprocess.run(live.command("health", "--ready", "--json"), capture_output=True, text=True, timeout=60, check=False)
    assert well.returncode == 0, well.stderr
    assert [a["ok"] for a in json.loads(well.stdout)] == [True, True, True]
    absent = subprocess.run(live.command("health", "detect", "retrain"), capture_output=True, text=True, timeout=60, check=False)
    assert absent.returncode == 1
    assert "retrain  no" in absent.stdout


def no_metric_has_a_value_of_an_event(live: Live) -> None:
    for step in STEPS:
        assert leaks(live.ask(step, "/metrics")[1]) == []


def told_to_stop_it_drains_in_time_commits_what_it_did_and_no_log_line_has_a_value_of_an_event(live: Live) -> None:
    live.wait_for(lambda: caught_up(live))
    # Blocks are open, and nobody takes a group that has read everything for one that is behind.
    live.wait_for(lambda: committed_of(live, "summarise", "inference-events") == ends_of(live, "inference-events"))
    dealt_with = ends_of(live, "summaries")
    live.wait_for(lambda: caught_up(live))
    # All of the same moment: no pane closes, and without a word to say detect would not commit for ten minutes.
    live.send("inference-events", [event(N + i, event_time=START + N * 20_000) for i in range(3000)])
    live.send("label-events", [label(N + i, 1.0) for i in range(3000)])
    seconds = live.stop()  # with batches in hand
    assert live.process.returncode == 0, live.log.read_text()[-3000:]
    assert seconds < DRAIN_S
    committed = {step: committed_of(live, step, topic) for step, topic in READS}
    assert all(committed["detect"][q] >= dealt_with[q] for q in dealt_with)
    engine = open_database(live.settings.database)
    assert committed["detect"] == {p.q: p.next_offset for p in detection.positions(engine)}
    for topic in ("inference-events", "label-events"):
        joined = {p: join.cursor(engine, topic, p) for p in range(2)}
        assert committed_of(live, "join", topic) == joined
    engine.dispose()
    told = summarised(live)
    assert told == committed["summarise"]
    lines = live.lines()
    assert {line["step"] for line in lines} == {"worker", *STEPS}
    assert not [line for line in lines if line.get("event") in ("undrained", "killed", "fail-stop", "failed")]
    assert leaks(live.log.read_text()) == []


READS: tuple[tuple[Step, str], ...] = (("summarise", "inference-events"), ("detect", "summaries"))


def leaks(text: str) -> list[str]:
    """Return the lines that hold a value of an event."""
    return [line for line in text.splitlines() if CANARY in line or re.search(r"\b867[5-9]\d{3}\.25", line)]


def caught_up(live: Live) -> bool:
    return not any(sum(live.metrics(step)["driftline_lag_records"].values()) for step in STEPS)


def ends_of(live: Live, topic: str) -> dict[int, int]:
    kafka = live.settings.kafka
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, enable_auto_commit=False)
    try:
        ends = consumer.end_offsets([TopicPartition(kafka.topic_prefix + topic, p) for p in range(2)])
        return {tp.partition: end for tp, end in ends.items()}
    finally:
        consumer.close()


def committed_of(live: Live, step: Step, topic: str) -> dict[int, int]:
    kafka = live.settings.kafka
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, group_id=group_id(kafka, step), enable_auto_commit=False)
    try:
        return {p: consumer.committed(TopicPartition(kafka.topic_prefix + topic, p)) or 0 for p in range(2)}
    finally:
        consumer.close()


def summarised(live: Live) -> dict[int, int]:
    """Return how far each partition was told to be summarised, everything before it acknowledged."""
    kafka = live.settings.kafka
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        tps = [TopicPartition(kafka.topic_prefix + "summaries", p) for p in range(2)]
        consumer.assign(tps)
        ends, told = consumer.end_offsets(tps), {0: 0, 1: 0}
        consumer.seek_to_beginning(*tps)
        while any(consumer.position(tp) < ends[tp] for tp in tps):
            for records in consumer.poll(timeout_ms=1000).values():
                for message in (decode_summary(r.value) for r in records):
                    if isinstance(message, Progress) and message.source == "summarise":
                        told[message.partition] = max(told[message.partition], message.position)
        return told
    finally:
        consumer.close()
