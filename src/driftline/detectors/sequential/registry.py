"""Names to River's classes. What a name reads and its parameters stand in ``contracts/sequential.py``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from river import drift
from river.drift import binary

from driftline.contracts.sequential import ParameterValue, parameters_of

_CLASSES: dict[str, Any] = {
    "adwin": drift.ADWIN,
    "page_hinkley": drift.PageHinkley,
    "kswin": drift.KSWIN,
    "ddm": binary.DDM,
    "eddm": binary.EDDM,
    "hddma": binary.HDDMA,
    "hddmw": binary.HDDMW,
    "fhddm": binary.FHDDM,
}
#: The parameters that are ours and that River's constructor does not know.
_OURS = {"stride"}

#: FHDDM takes 1 for correct, all others 1 for an error (river#688).
READS_CORRECT = frozenset({"fhddm"})


def river_detector(name: str, parameters: Mapping[str, ParameterValue]) -> Any:
    """Return a fresh detector of River's; ``parameters`` lie over the defaults. KeyError for an unknown name."""
    return _CLASSES[name](**{key: value for key, value in parameters_of(name, parameters).items() if key not in _OURS})
