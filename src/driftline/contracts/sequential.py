"""The sequential detectors that a configuration may name: what each reads, its parameters with their ranges, and how a name is asked for.

Data only. ``detectors/sequential`` puts River's classes beside the names.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Literal, NamedTuple

import msgspec

from driftline.contracts.errors import SettingsError

ParameterValue = int | float | bool | str
#: ``values``: any finite number; ``errors``: 1 for an error, 0 for none.
Reads = Literal["values", "errors"]
#: What of a numeric column is read: the means of panes, the means of squares, each sampled row, each row's square. Errors have one series.
Series = Literal["means", "squares", "rows", "row_squares"]

#: Stands for every numeric feature, and the score; and for the errors of the outcomes.
FEATURES, ERRORS = "features", "errors"


class Parameter(NamedTuple):
    """One parameter: the type it has, its default (None: not set), the range or the choices it comes from."""

    kind: Literal["int", "float", "bool", "choice"]
    default: ParameterValue | None
    least: float = 0.0
    greatest: float = 0.0
    choices: tuple[str, ...] = ()

    @property
    def accepted(self) -> str:
        """Return in words what it accepts."""
        if self.kind == "bool":
            return "true or false"
        if self.kind == "choice":
            return " or ".join(self.choices)
        return f"{'a whole number' if self.kind == 'int' else 'a number'} from {self.least:g} to {self.greatest:g}"

    def accepts(self, value: object) -> bool:
        """Say whether a value is one that the parameter may have."""
        if self.kind == "bool":
            return isinstance(value, bool)
        if self.kind == "choice":
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, int if self.kind == "int" else (int, float)):
            return False
        return self.least <= value <= self.greatest and isfinite(value)


class Kind(NamedTuple):
    """What a detector reads, its parameters, and what has to hold between two of them: the first is at most ``factor`` times the second."""

    reads: Reads
    parameters: Mapping[str, Parameter]
    ordered: tuple[tuple[str, float, str], ...] = ()


_WARM = Parameter("int", 30, 1, 1_000_000)
_HOEFFDING = {
    "drift_confidence": Parameter("float", 0.001, 1e-300, 0.5),
    "warning_confidence": Parameter("float", 0.005, 1e-300, 0.5),
    "two_sided_test": Parameter("bool", default=False),
}

#: Name -> kind; the defaults are River's (KSWIN's ``stride`` and ``seed`` are ours: a test costs 200 us, and it draws).
SEQUENTIAL: dict[str, Kind] = {
    "adwin": Kind(
        "values",
        {
            "delta": Parameter("float", 0.002, 1e-300, 1.0),
            "clock": Parameter("int", 32, 1, 1_000_000),
            "max_buckets": Parameter("int", 5, 2, 100),
            "min_window_length": Parameter("int", 5, 1, 1_000_000),
            "grace_period": Parameter("int", 10, 1, 1_000_000),
        },
    ),
    "page_hinkley": Kind(
        "values",
        {
            "min_instances": _WARM,
            "delta": Parameter("float", 0.005, 0.0, 10.0),
            "threshold": Parameter("float", 50.0, 1e-9, 1e12),
            "alpha": Parameter("float", 1 - 0.0001, 0.0, 1.0),
            "mode": Parameter("choice", "both", choices=("up", "down", "both")),
        },
    ),
    "kswin": Kind(
        "values",
        {
            "alpha": Parameter("float", 0.005, 1e-300, 1.0),
            "window_size": Parameter("int", 100, 10, 10_000),
            "stat_size": Parameter("int", 30, 5, 5_000),
            "stride": Parameter("int", 10, 1, 10_000),
            "seed": Parameter("int", 0, 0, 1 << 32),
        },
        (("stat_size", 0.5, "window_size"),),
    ),
    "ddm": Kind(
        "errors",
        {
            "warm_start": _WARM,
            "warning_threshold": Parameter("float", 2.0, 1e-9, 1e6),
            "drift_threshold": Parameter("float", 3.0, 1e-9, 1e6),
        },
        (("warning_threshold", 1.0, "drift_threshold"),),
    ),
    "eddm": Kind(
        "errors",
        {"warm_start": _WARM, "alpha": Parameter("float", 0.95, 1e-9, 1.0), "beta": Parameter("float", 0.9, 1e-9, 1.0)},
        (("beta", 1.0, "alpha"),),
    ),
    "hddma": Kind("errors", _HOEFFDING, (("drift_confidence", 1.0, "warning_confidence"),)),
    "hddmw": Kind("errors", {**_HOEFFDING, "lambda_val": Parameter("float", 0.05, 1e-9, 1.0)}, (("drift_confidence", 1.0, "warning_confidence"),)),
    "fhddm": Kind(
        "errors",
        {
            "sliding_window_size": Parameter("int", 100, 2, 100_000),
            "confidence_level": Parameter("float", 1e-6, 1e-300, 0.5),
            "short_window_size": Parameter("int", None, 1, 100_000),
        },
        (("short_window_size", 1.0, "sliding_window_size"),),
    ),
}


class DetectorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sequential detector by its name, over one or more series.

    ``reads``: ``features`` (every numeric feature and the score), ``errors`` (of the outcomes), or names of columns; ``on`` would be a truth value
    in YAML. A detector of errors reads errors only. ``describe``: its changes stand in findings; ``decide``: it opens episodes by itself, outside the
    alarm budget.
    """

    name: str
    reads: tuple[str, ...] = ()
    series: Series = "means"
    role: Literal["describe", "decide"] = "describe"
    parameters: dict[str, bool | int | float | str] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """Return what is read: as named, else errors for a detector of errors, features for the others."""
        return self.reads or (ERRORS if SEQUENTIAL[self.name].reads == "errors" else FEATURES,)


def check_detector(place: str, asked: DetectorSettings) -> None:
    """Raise SettingsError, naming the field, where a detector is unknown or a parameter is none of its own or out of its range.

    >>> check_detector("m.detectors.0", DetectorSettings(name="page_hinkley", parameters={"threshold": 0}))
    Traceback (most recent call last):
    driftline.contracts.errors.SettingsError: m.detectors.0.parameters.threshold: 0 is not accepted; expected a number from 1e-09 to 1e+12
    """
    kind = SEQUENTIAL.get(asked.name)
    if kind is None:
        raise SettingsError(f"{place}.name", asked.name, "one of " + ", ".join(SEQUENTIAL))
    for name, value in asked.parameters.items():
        parameter = kind.parameters.get(name)
        if parameter is None:
            raise SettingsError(f"{place}.parameters.{name}", value, f"a parameter of {asked.name}: " + ", ".join(kind.parameters))
        if not parameter.accepts(value):
            raise SettingsError(f"{place}.parameters.{name}", value, parameter.accepted)
    chosen = parameters_of(asked.name, asked.parameters)
    for less, factor, more in kind.ordered:
        low, high = chosen.get(less), chosen.get(more)
        if isinstance(low, int | float) and isinstance(high, int | float) and low > factor * high:
            raise SettingsError(f"{place}.parameters.{less}", low, f"at most {'' if factor == 1 else 'half of '}{more} ({high:g})")
    if kind.reads == "errors":
        wrong = next((column for column in asked.reads if column != ERRORS), None)
        if wrong is not None:
            raise SettingsError(f"{place}.reads", wrong, f"{ERRORS}: {asked.name} reads errors only")
    if len(set(asked.reads)) < len(asked.reads):
        raise SettingsError(f"{place}.reads", list(asked.reads), "each column once")


def parameters_of(name: str, given: Mapping[str, ParameterValue]) -> dict[str, ParameterValue]:
    """Return a detector's parameters: the defaults with those given laid over them, each of its own type; what has no value is left out."""
    chosen = {key: given.get(key, parameter.default) for key, parameter in SEQUENTIAL[name].parameters.items()}
    floats = {key for key, parameter in SEQUENTIAL[name].parameters.items() if parameter.kind == "float"}
    return {key: float(value) if key in floats else value for key, value in chosen.items() if value is not None}
