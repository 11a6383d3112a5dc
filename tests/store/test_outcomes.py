from __future__ import annotations

import random

import numpy as np
import pytest
from sqlalchemy import Engine, text
from tests.store.builders import T0, label, prediction

from driftline.store import join, outcomes
from driftline.store.join import JoinChange
from driftline.store.transactions import reading


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """A hundred labelled events of ``m``, labels after 1,000 to 1,099 ms; ten of ``m`` and one of ``n`` lack one
    half.
    """
    order = list(range(100))
    random.Random(1).shuffle(order)
    predictions = [prediction(f"e{i:02d}", event_time=T0 + 10 * (i // 2)) for i in order]
    labels = [label(f"e{i:02d}", label_time=T0 + 10 * (i // 2) + 1_000 + i) for i in order]
    predictions += [prediction(f"unlabelled{i}", event_time=T0 + 10 * i) for i in range(5)]
    labels += [label(f"unpredicted{i}", label_time=T0 + 10 * i) for i in range(5)]
    labels += [label("lost", model="n", label_time=T0)]
    read = JoinChange(source="s", partition=0, expected_next=None, next_offset=1, predictions=predictions, labels=labels)
    join.apply(engine, read, lambda _: [])
    return engine


def test_ripe_rows_are_labelled_in_time_and_ordered_by_event_time_then_id(filled: Engine) -> None:
    window = {"since": T0 + 100, "until": T0 + 200, "known_by": T0 + 1_150}
    rows = outcomes.ripe_rows(filled, "m", **window)
    expected = [f"e{i:02d}" for i in range(100) if 100 <= 10 * (i // 2) < 200 and 10 * (i // 2) + 1_000 + i <= 1_150]
    assert 0 < len(expected) < 20
    assert [row.event_id for row in rows] == expected
    assert outcomes.count_ripe(filled, "m", **window) == len(expected)


def test_the_label_delay_is_numpys_nearest_rank(filled: Engine) -> None:
    delays = [1_000 + i for i in range(100)]
    for quantile in (0.001, 0.5, 0.95, 0.951, 1.0):
        expected = np.quantile(delays, quantile, method="inverted_cdf")
        assert outcomes.label_delay(filled, "m", quantile) == expected
    assert outcomes.label_delay(filled, "n") is None
    with pytest.raises(ValueError, match="quantile"):
        outcomes.label_delay(filled, "m", 0.0)


def test_purging_deletes_what_is_older_and_halves_too(filled: Engine) -> None:
    before = T0 + 30
    gone = sum(10 * (i // 2) < 30 for i in range(100)) + 3 + 3 + 1
    assert outcomes.purge(filled, before) == gone
    with reading(filled) as conn:
        assert conn.scalar(text("SELECT min(time) FROM outcomes")) == before
        assert conn.scalar(text("SELECT count(*) FROM outcomes")) == 111 - gone
    assert outcomes.purge(filled, before) == 0


def test_purging_goes_on_until_nothing_old_is_left(filled: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "_PURGE_ROWS", 7)
    assert outcomes.purge(filled, T0 + 10_000) == 111
