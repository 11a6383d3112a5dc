from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from driftline.contracts.ids import sample_hash
from driftline.detectors.places import places_in, places_of

_id = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(["event-1", "event-12", "event-123", "é" * 200])
ids = st.lists(_id, max_size=12)


@given(ids)
@example([])
@example([""])
@example(["", "a"])
@example(["a\x00", "a"])
@example(["x" * 1000, "y"])
def test_many_places_at_once_are_those_of_each_id_alone(found: list[str]) -> None:
    assert places_of(found).tolist() == [sample_hash(one) for one in found]


@given(ids, st.integers(0, 5))
def test_ids_in_a_buffer_are_placed_wherever_they_begin(found: list[str], before: int) -> None:
    parts = [one.encode() for one in found]
    content = np.frombuffer(b"z" * before + b"".join(parts) + b"zz", np.uint8)
    offsets = before + np.concatenate(([0], np.cumsum([len(part) for part in parts]))).astype(np.int64)
    assert places_in(content, offsets).tolist() == [sample_hash(one) for one in found]


FORMS: dict[str, Callable[[int], str]] = {
    "a number": str,
    "hexadecimal": lambda i: f"{i:032x}",
    "like a UUID": lambda i: f"{i * 2654435761 % 2**32:08x}-0000-4000-8000-{i:012x}",
    "differing at the ends of words": lambda i: f"user{i % 300:03d}A-shop{i // 300:03d}B",
    "padded": lambda i: f"{i}".rjust(64, "0"),
    "not ASCII": lambda i: chr(0x4E00 + i % 20_000) + str(i),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_places_of_ids_that_differ_little_are_uniform_and_none_is_taken_twice(form: Callable[[int], str]) -> None:
    places = places_of([form(i) for i in range(100_000)])
    assert len(np.unique(places)) == 100_000
    assert places.min() >= 0
    for bits in (0, 11, 31, 55):
        assert chisquare(np.bincount(places >> bits & 255, minlength=256)).pvalue > 1e-6
    assert kstest(places / 2.0**63, "uniform").pvalue > 1e-6


def test_neighbours_in_the_log_are_kept_independently() -> None:
    kept = places_of([f"event-{i}" for i in range(200_000)]) < 2**63 // 10
    assert abs(kept.mean() - 0.1) < 0.004
    assert abs((kept[1:] & kept[:-1]).mean() - 0.01) < 0.0015
