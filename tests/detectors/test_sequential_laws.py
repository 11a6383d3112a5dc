"""What every sequential detector has to keep to, whatever its name."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from river import drift
from river.drift import binary

from driftline.contracts.sequential import SEQUENTIAL
from driftline.detectors.sequential.detector import NamedDetector

NAMES = tuple(SEQUENTIAL)
#: Flags in 10,000 stationary values (N(0, 1); errors of 10 and 30 %) that each is known for, doubled: EDDM and DDM are no quiet detectors.
KNOWN = {"adwin": 1, "page_hinkley": 14, "kswin": 4, "ddm": 6, "eddm": 60, "hddma": 2, "hddmw": 10, "fhddm": 6}


def stationary(name: str, n: int, seed: int, share: float = 0.1) -> list[float]:
    rng = np.random.default_rng(seed)
    drawn = rng.random(n) < share if SEQUENTIAL[name].reads == "errors" else rng.standard_normal(n)
    return [float(value) for value in drawn.tolist()]


def step(name: str, before: int, after: int, seed: int) -> list[float]:
    rng = np.random.default_rng([seed, 1])
    drawn = rng.random(after) < 0.7 if SEQUENTIAL[name].reads == "errors" else rng.normal(2.0, 1.0, after)
    return stationary(name, before, seed) + [float(value) for value in drawn.tolist()]


def flags(detector: NamedDetector, values: Sequence[object]) -> list[int]:
    raised = []
    for i, value in enumerate(values):
        detector.update(value)
        if detector.drift_detected:
            raised.append(i)
    return raised


@pytest.mark.parametrize("name", NAMES)
def test_it_starts_silent_and_stays_so_on_what_never_changes(name: str) -> None:
    detector = NamedDetector(name)
    assert not detector.drift_detected
    for value in (0.0, 1.0):
        assert flags(NamedDetector(name), [value] * 1_000) == []


@pytest.mark.parametrize("name", NAMES)
def test_it_is_as_quiet_on_stationary_values_as_it_is_known_to_be(name: str) -> None:
    shares = (0.1, 0.3) if SEQUENTIAL[name].reads == "errors" else (0.0,)
    n = 4_000 if name == "kswin" else 10_000  # its tests take milliseconds each
    raised = [len(flags(NamedDetector(name), stationary(name, n, seed, share))) for share in shares for seed in range(2)]
    assert max(raised) <= KNOWN[name]


@pytest.mark.parametrize("name", NAMES)
def test_it_fires_on_a_step(name: str) -> None:
    hits = [[i for i in flags(NamedDetector(name), step(name, 1_000, 1_000, seed)) if i >= 1_000] for seed in range(3)]
    assert all(hits)
    assert max(own[0] for own in hits) < 1_500


@pytest.mark.parametrize("name", NAMES)
def test_junk_never_reaches_it(name: str) -> None:
    values = step(name, 600, 600, 1)
    junk: list[object] = [float("nan"), float("inf"), -float("inf"), None, "1", [1], {}, 10**400]
    if SEQUENTIAL[name].reads == "errors":
        junk += [0.5, -1.0, 2]
    rng, places = np.random.default_rng(3), []
    mixed: list[object] = []
    for known in values:
        while rng.random() < 0.3:
            mixed.append(junk[int(rng.integers(len(junk)))])
        places.append(len(mixed))
        mixed.append(known)
    detector, raised = NamedDetector(name), []
    for i, value in enumerate(mixed):
        detector.update(value)
        if detector.drift_detected and i in places:
            raised.append(places.index(i))
    assert raised == flags(NamedDetector(name), values)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(2))
def test_a_state_that_was_stored_and_read_flags_what_it_would_have(name: str, seed: int) -> None:
    values = step(name, 700, 700, seed) + stationary(name, 300, seed + 9)
    whole = flags(NamedDetector(name), values)
    detector, raised = NamedDetector(name), []
    for first, last in pairwise([0, 1, 37, 300, 701, 702, 760, 1_000, len(values)]):
        raised += [first + i for i in flags(detector, values[first:last])]
        encoded = detector.encode()
        detector = NamedDetector.decode(encoded, name)
        assert detector.encode() == encoded
    assert raised == whole
    assert whole


@pytest.mark.parametrize("name", NAMES)
def test_a_state_read_right_after_a_flag_still_shows_it(name: str) -> None:
    values = step(name, 700, 700, 0)
    first = next(i for i in flags(NamedDetector(name), values) if i >= 700)
    detector = NamedDetector(name)
    for value in values[: first + 1]:
        detector.update(value)
    again = NamedDetector.decode(detector.encode(), name)
    assert again.drift_detected
    assert flags(again, values[first + 1 :]) == flags(detector, values[first + 1 :])


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_damaged_state_is_refused_and_crashes_nothing(name: str, place: int, bits: int) -> None:
    detector = NamedDetector(name)
    flags(detector, stationary(name, 200, 0))
    raw = bytearray(detector.encode())
    raw[place % len(raw)] ^= bits
    for damaged in (bytes(raw), bytes(raw[: place % len(raw)]), b""):
        with pytest.raises(ValueError, match="state of a sequential detector"):
            NamedDetector.decode(damaged, name)


@pytest.mark.parametrize("name", NAMES)
def test_the_state_of_another_detector_or_of_other_parameters_is_refused(name: str) -> None:
    other = NAMES[NAMES.index(name) - 1]
    number = next((key, value) for key, value in SEQUENTIAL[name].parameters.items() if value.kind in ("int", "float") and value.default is not None)
    with pytest.raises(ValueError, match="another detector"):
        NamedDetector.decode(NamedDetector(other).encode(), name)
    default = number[1].default
    assert isinstance(default, int | float)
    with pytest.raises(ValueError, match="other parameters"):
        NamedDetector.decode(NamedDetector(name, {number[0]: type(default)(default * 2)}).encode(), name)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_values_give_the_same_flags_and_the_same_bytes(name: str) -> None:
    values = step(name, 500, 500, 4)
    one, other = NamedDetector(name), NamedDetector(name)
    assert flags(one, values) == flags(other, values)
    assert one.encode() == other.encode()


@pytest.mark.parametrize("name", NAMES)
def test_the_state_has_an_end(name: str) -> None:
    detector = NamedDetector(name)
    flags(detector, stationary(name, 3_000 if name == "kswin" else 20_000, 5))
    assert len(detector.encode()) < 8_192


@pytest.mark.parametrize("name", [n for n in NAMES if SEQUENTIAL[n].reads == "values"])
def test_one_enormous_value_does_not_hide_what_follows(name: str) -> None:
    values = [1e300, *step(name, 500, 500, 6)]
    assert any(500 < i < 800 for i in flags(NamedDetector(name), values))


def test_flags_are_those_of_rivers_classes_on_the_same_values() -> None:
    classes: dict[str, Any] = {
        "adwin": drift.ADWIN(),  # type: ignore[no-untyped-call]
        "page_hinkley": drift.PageHinkley(),
        "kswin": drift.KSWIN(seed=0),
        "ddm": binary.DDM(),
        "eddm": binary.EDDM(),
        "hddma": binary.HDDMA(),  # type: ignore[no-untyped-call]
        "hddmw": binary.HDDMW(),  # type: ignore[no-untyped-call]
        "fhddm": binary.FHDDM(),
    }
    for name, theirs in classes.items():
        expected, values = [], step(name, 200, 150, 8)
        for i, value in enumerate(values):
            theirs.update((1 - int(value)) if name == "fhddm" else value)
            if theirs.drift_detected:
                expected.append(i)
        assert flags(NamedDetector(name, {"stride": 1} if name == "kswin" else {}), values) == expected, name


def test_a_stride_tests_less_often_and_sees_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    tests, real = [0], scipy.stats.ks_2samp

    def counted(*samples: Any, **how: Any) -> Any:
        tests[0] += 1
        return real(*samples, **how)

    monkeypatch.setattr(scipy.stats, "ks_2samp", counted)
    raised = flags(NamedDetector("kswin", {"stride": 10}), step("kswin", 500, 200, 9))
    assert any(500 <= i < 600 for i in raised)
    assert tests[0] <= 70
