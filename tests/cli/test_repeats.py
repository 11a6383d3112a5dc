from __future__ import annotations

import logging

from hypothesis import given
from hypothesis import strategies as st

from driftline.cli.repeats import EVERY_S, Sparing


def record(name: str, message: str, *values: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.WARNING, "", 0, message, values, None)


@given(st.lists(st.tuples(st.floats(0, 4), st.sampled_from(["Unable to reach %s", "Heartbeat of %s failed"])), max_size=60))
def test_what_was_left_out_is_counted_and_nothing_is_silent_for_longer_than_it_says(said: list[tuple[float, str]]) -> None:
    now = 0.0
    sparing = Sparing("driftline", clock=lambda: now)
    told: dict[str, list[float]] = {}
    counted: dict[str, int] = {}
    heard: dict[str, int] = {}
    for pause, message in said:
        now += pause
        heard[message] = heard.get(message, 0) + 1
        one = record("aiokafka", message, len(heard))
        if not sparing.filter(one):
            assert now - told[message][-1] < EVERY_S
            continue
        counted[message] = counted.get(message, 0) + 1 + getattr(one, "fields", {}).get("repeated", 0)
        # All that came before has been told or counted by now.
        assert counted[message] == heard[message]
        told.setdefault(message, []).append(now)


def test_ours_are_never_left_out() -> None:
    sparing = Sparing("driftline", clock=lambda: 0.0)
    assert all(sparing.filter(record("driftline.worker", "again")) for _ in range(3))


def test_kinds_are_told_apart_by_logger_and_message_not_by_values() -> None:
    sparing = Sparing("driftline", clock=lambda: 0.0)
    assert [sparing.filter(record("aiokafka", "node %s", i)) for i in range(3)] == [True, False, False]
    assert sparing.filter(record("kafka", "node %s", 1))
    assert sparing.filter(record("aiokafka", "group %s", 1))
