"""One sequential detector behind our edge: what River's class is never asked to take, it never gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from driftline.contracts.ids import stable_id
from driftline.contracts.sequential import SEQUENTIAL, ParameterValue, parameters_of
from driftline.detectors.sequential.registry import READS_CORRECT, river_detector
from driftline.detectors.sequential.state import encode_state, restore
from driftline.detectors.values import finite_number

#: Values are clipped here. Bounds of ADWIN and Page-Hinkley are made for values of about unit size: one of 1e300 would swallow every later
#: difference. Ten standard deviations are as clear a change as any.
CLIP = 10.0


class SequentialDetector(Protocol):
    """One value after the other; the flag is up until the next one. ``encode`` has all that later flags depend on."""

    def update(self, value: object) -> None:
        """Take one value. What is no finite number (or no 0 or 1, of errors) changes nothing."""
        ...

    @property
    def drift_detected(self) -> bool:
        """Whether the last value that was taken showed a change."""
        ...

    def encode(self) -> bytes:
        """Return the state."""
        ...


class NamedDetector:
    """A detector by its name. ``parameters`` lie over the defaults; they must be ones that ``contracts.sequential`` accepts.

    Detectors of values take standardised ones and clip them to +-10; those of errors take 1 for an error, and where River's class wants 1 for
    *correct* (FHDDM) the value is turned round here. One NaN silences River's ADWIN, Page-Hinkley, DDM and HDDM for good: it never reaches them.
    KSWIN tests only every ``stride``-th value, for a test costs 200 us; its window takes them all.

    >>> detector = NamedDetector("adwin")
    >>> flags = []
    >>> for i in range(600):
    ...     detector.update(float("nan") if i % 7 == 0 else float(i >= 300))
    ...     flags.append(detector.drift_detected)
    >>> flags.index(True)
    335
    """

    def __init__(self, name: str, parameters: Mapping[str, ParameterValue] | None = None) -> None:
        self.name = name
        self._chosen = parameters_of(name, parameters or {})
        self._errors = SEQUENTIAL[name].reads == "errors"
        self._correct = name in READS_CORRECT
        self._stride = int(self._chosen.get("stride", 1))
        self._river = river_detector(name, self._chosen)
        self._since_test = 0
        self._flag = False

    @property
    def drift_detected(self) -> bool:
        """Whether the last value that was taken showed a change."""
        return self._flag

    def update(self, value: object) -> None:
        """Take one value."""
        number = finite_number(value)
        if number is None or (self._errors and number not in (0.0, 1.0)):
            return
        number = min(max(number, -CLIP), CLIP)
        if self._correct:
            number = 1.0 - number
        self._since_test += 1
        # After a change River's update empties the window: it has to be asked even where no test is due.
        if self._since_test < self._stride and not self._flag:
            self._river.window.append(number)
            return
        self._since_test = 0
        self._river.update(int(number) if self._errors else number)
        self._flag = bool(self._river.drift_detected)

    def encode(self) -> bytes:
        """Return the state; equal states have equal bytes."""
        return encode_state(self._river, self._owner(), {"since_test": self._since_test, "flag": self._flag})

    @classmethod
    def decode(cls, raw: bytes, name: str, parameters: Mapping[str, ParameterValue] | None = None) -> NamedDetector:
        """Return the detector that ``encode`` wrote; ValueError for bytes that are damaged, another detector's, or of another River."""
        detector = cls(name, parameters)
        own = restore(raw, detector._river, detector._owner())
        detector._since_test, detector._flag = int(own.get("since_test", 0)), bool(own.get("flag", False))
        return detector

    def _owner(self) -> str:
        return stable_id("sequential", self.name, repr(sorted(self._chosen.items())))
