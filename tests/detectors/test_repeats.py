from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline.detectors.repeats import Repeats

rows = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 5), st.integers(0, 3)), max_size=20)


def _counted(found: list[tuple[str, int, int]], cuts: list[int], most: int = 1 << 17) -> Counter[tuple[str, int]]:
    repeats = Repeats(most)
    bounds = [0, *sorted(cuts), len(found)]
    for start, stop in pairwise(bounds):
        for name in ("b", "a"):  # rows come by reference, whatever their order in the log
            own = [(place, code) for n, place, code in found[start:stop] if n == name]
            repeats.note(name, np.array([p for p, _ in own], np.int64), np.array([c for _, c in own], np.int64))
    return repeats.counts()


@settings(deadline=None)
@given(rows, st.data())
def test_all_rows_of_an_id_but_one_came_again_whatever_their_order(found: list[tuple[str, int, int]], data: st.DataObject) -> None:
    expected = Counter[tuple[str, int]]()
    for place in {p for _, p, _ in found}:
        expected.update([(name, code) for code, name in sorted((code, name) for name, p, code in found if p == place)[1:]])
    shuffled = data.draw(st.permutations(found))
    cuts = data.draw(st.lists(st.integers(0, len(found)), max_size=3))
    assert _counted(shuffled, cuts) == _counted(found, []) == expected


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(300, 3_000))
def test_of_more_rows_than_are_remembered_a_part_tells_of_the_whole_whatever_their_order(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    places = rng.integers(0, 1 << 62, n) * 2
    places = np.concatenate([places, rng.choice(places, n // 2, replace=False)])
    rng.shuffle(places)
    found = [("a", int(place), 0) for place in places]
    one, other = _counted(found, [], 256), _counted(found[::-1], [n // 3, n // 2], 256)
    assert one == other
    exact = len(places) - len(set(places.tolist()))
    assert abs(one.total() - exact) <= max(4 * np.sqrt(exact * len(places) / 128), 3)


def test_one_id_that_never_stops_coming_is_bounded_too() -> None:
    repeats = Repeats(64)
    for _ in range(10):
        repeats.note("a", np.full(50, 7, np.int64), np.zeros(50, np.int64))
    assert sum(len(places) for places, _, _ in repeats._noted) <= 64
