"""Detection indices that River publishes, in the docstrings of its detectors and in its tests, on the same generated arrays.

River 0.26 (docstrings) and its repository (``river/drift/test_drift_detectors.py``, ``test_adwin_regression.py``; BSD-3): numbers only. MOA's
repository has no test of a change detector by itself (``moa/src/test``: classifiers that use one), so there are no indices of MOA's to meet.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

from driftline.contracts.sequential import ParameterValue
from driftline.detectors.sequential.detector import NamedDetector

Values = list[float]


def _listed(array: object) -> Values:
    return [float(value) for value in np.asarray(array).tolist()]


def _docstring(kind: str) -> Values:
    """The streams of River's docstrings: 1,000 draws of 0 and 1, then another law."""
    rng = random.Random(12345 if kind == "values" else 42)
    first = 250 if kind == "fhddm" else 1000
    drawn = rng.choices([0, 1], k=first)
    if kind == "values":
        drawn += rng.choices(range(4, 8), k=1000)
    elif kind == "errors":
        drawn += rng.choices([0, 1], k=1000, weights=[0.3, 0.7])
    elif kind == "fhddm":
        drawn += rng.choices([0, 1], k=250, weights=[0.9, 0.1])
    else:
        for _ in range(3 if kind == "long" else 0):
            drawn += rng.choices(range(4, 8), k=1000) if len(drawn) % 2000 else rng.choices([0, 1], k=1000)
    return _listed(drawn)


def _numpy(which: int) -> Values:
    """The three streams of River's tests."""
    np.random.seed(12345)  # noqa: NPY002 - the very arrays that the indices belong to
    if which == 1:
        return _listed(np.concatenate((np.random.randint(2, size=1000), np.random.randint(8, size=1000))))  # noqa: NPY002
    if which == 2:
        return _listed([np.random.binomial(1, p) for p in (0.2, 0.8) for _ in range(1000)])  # noqa: NPY002
    parts = [np.random.normal(mean, 0.1, 500) > 0 for mean in (0.0, 0.25, 0.0, 0.25)]  # noqa: NPY002
    return _listed(np.concatenate(parts).astype(int))


def _found(name: str, values: Values, **parameters: ParameterValue) -> list[int]:
    detector, raised = NamedDetector(name, parameters), []
    for i, value in enumerate(values):
        detector.update(value)
        if detector.drift_detected:
            raised.append(i)
    return raised


@pytest.mark.parametrize(
    ("name", "parameters", "stream", "indices"),
    [
        ("adwin", {}, "values", [1023]),
        ("page_hinkley", {}, "values", [1006]),
        ("kswin", {"alpha": 0.0001, "seed": 42, "stride": 1}, "values", [1016]),
        ("ddm", {}, "errors", [1334]),
        ("eddm", {"alpha": 0.8, "beta": 0.75}, "errors", [1278]),
        ("hddma", {}, "errors", [1206]),
        ("hddmw", {}, "errors", [1077]),
        ("adwin", {}, "long", [1023, 2015, 3007]),
    ],
)
def test_the_indices_of_rivers_docstrings(name: str, parameters: dict[str, ParameterValue], stream: str, indices: list[int]) -> None:
    assert _found(name, _docstring(stream), **parameters) == indices


@pytest.mark.parametrize(("parameters", "indices"), [({}, [315]), ({"short_window_size": 20}, [279])])
def test_fhddm_takes_errors_here_and_finds_what_river_finds_in_correct(parameters: dict[str, ParameterValue], indices: list[int]) -> None:
    errors = [1.0 - correct for correct in _docstring("fhddm")]
    assert _found("fhddm", errors, **parameters) == indices


@pytest.mark.parametrize(
    ("name", "parameters", "stream", "indices"),
    [
        ("adwin", {}, 1, [1023]),
        ("page_hinkley", {"mode": "up"}, 3, [588, 1681]),
        ("page_hinkley", {"mode": "down"}, 3, [1172]),
        ("page_hinkley", {"mode": "both"}, 3, [588, 1097, 1585]),
        ("kswin", {"alpha": 0.0001, "window_size": 200, "stat_size": 100, "seed": 42, "stride": 1}, 1, [1042]),
        ("ddm", {}, 2, [1049]),
        ("eddm", {"alpha": 0.9, "beta": 0.8}, 2, [1059]),
        ("hddma", {}, 2, [1047]),
        ("hddmw", {}, 2, [1018]),
        ("hddma", {"two_sided_test": True}, 3, [531, 1015, 1545]),
        ("hddmw", {"two_sided_test": True}, 3, [507, 1032, 1508]),
    ],
)
def test_the_indices_of_rivers_tests(name: str, parameters: dict[str, ParameterValue], stream: int, indices: list[int]) -> None:
    assert _found(name, _numpy(stream), **parameters) == indices
