"""Evidence from outside the tables: named e-processes with a share of the budget of their own.

What no slot counts (how many events there are, how two columns go together) comes in as e-values: numbers with
expectation at most 1, given the past, while nothing is wrong. An ``Extra`` names such a process and its bets; the
decider gives it a share of its start mass, sums its evidence with that of all terms, and names it as a carrier like
any other. There are two: the traffic (``volume``) and the pairs of columns (``multivariate.pairs``). The classifier and
the principal components of a window describe and are none: on autocorrelated rows no budget can be kept with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from driftline.contracts.summaries import PaneKind
from driftline.contracts.times import HOUR_MS
from driftline.detectors.moments import Floats

# exp of more is no finite float.
_MAX_LOG = 700.0


@dataclass(frozen=True)
class Extra:
    """One process: what its alarms name, its weight beside a column's (1), and the sign of what each bet is on."""

    kind: PaneKind
    column: str
    term: str
    weight: float = 1.0
    signs: tuple[float, ...] = (1.0,)

    @property
    def name(self) -> str:
        """What the state keeps its evidence under.

        >>> Extra("features", "rows", "multivariate").name
        'features/rows/multivariate'
        """
        return f"{self.kind}/{self.column}/{self.term}"


@dataclass(frozen=True, eq=False)
class ExtraState:
    """Evidence of one process; the arrays have the shape (bets). ``end`` (ms) is that of the last step."""

    log_r: Floats
    cusum: Floats
    onset: npt.NDArray[np.int64]
    end: int | None

    @classmethod
    def fresh(cls, bets: int) -> ExtraState:
        """Return the state before any step."""
        return cls(np.full(bets, -np.inf), np.zeros(bets), np.zeros(bets, np.int64), None)

    def stepped(self, log_e: Floats, mass: Floats, end: int, hours: float) -> ExtraState:
        """Return the state after e-values of the ``hours`` up to ``end``: the decider's recursion, for one process."""
        log_e = np.minimum(np.asarray(log_e, np.float64), _MAX_LOG)
        if log_e.shape != self.log_r.shape or np.isnan(log_e).any():
            raise ValueError(f"e-values of shape {log_e.shape}, expected {self.log_r.shape}, none of them NaN")
        with np.errstate(divide="ignore"):
            log_r = np.logaddexp(self.log_r, np.log(mass * hours)) + log_e
        return self._after(log_r, log_e, end, hours)

    def grown(self, rate: Floats, mass: Floats, end: int, hours: float) -> ExtraState:
        """Return the state after ``hours`` in which log e went on by ``rate`` an hour, without a step between: the
        limit of ever finer panes, however long nothing came.
        """
        total = np.clip(np.asarray(rate, np.float64) * hours, -_MAX_LOG, _MAX_LOG)
        with np.errstate(divide="ignore", invalid="ignore"):
            # mass (e^(r t) - 1) / r, of r = 0 mass t
            put_in = np.log(mass * hours) + np.where(np.abs(total) > 1e-9, np.log(np.expm1(total) / total), 0.0)
        return self._after(np.logaddexp(self.log_r + total, put_in), total, end, hours)

    def _after(self, log_r: Floats, log_e: Floats, end: int, hours: float) -> ExtraState:
        onset = np.where(self.cusum > 0, self.onset, end - round(hours * HOUR_MS))
        return ExtraState(log_r, np.maximum(np.maximum(self.cusum, 0) + log_e, -_MAX_LOG), onset, end)


class PackedExtra(msgspec.Struct, array_like=True):
    """The bytes of one process's evidence."""

    log_r: bytes
    cusum: bytes
    onset: bytes
    end: int | None


def pack_extras(states: Mapping[str, ExtraState]) -> dict[str, PackedExtra]:
    """Return what the store keeps: of processes that took a step, in the order of their names."""
    return {
        name: PackedExtra(state.log_r.astype("<f8").tobytes(), state.cusum.astype("<f8").tobytes(), state.onset.astype("<i8").tobytes(), state.end)
        for name, state in sorted(states.items())
        if state.end is not None
    }


def unpack_extras(packed: Mapping[str, PackedExtra], fresh: Mapping[str, ExtraState]) -> dict[str, ExtraState]:
    """Return the states; those that were not packed (of an older version, say) are fresh, those nobody knows any more
    are let go.
    """
    return {name: _unpacked(packed[name], start) if name in packed else start for name, start in fresh.items()}


def _unpacked(packed: PackedExtra, fresh: ExtraState) -> ExtraState:
    log_r, cusum = (np.frombuffer(raw, "<f8").astype(np.float64) for raw in (packed.log_r, packed.cusum))
    onset = np.frombuffer(packed.onset, "<i8").astype(np.int64)
    if not log_r.shape == cusum.shape == onset.shape == fresh.log_r.shape:
        raise ValueError("the state's arrays do not fit the bets")
    if not (np.all(log_r < np.inf) and np.all(np.isfinite(cusum))):
        raise ValueError("the state holds numbers that no evidence can be")
    return ExtraState(log_r, cusum, onset, packed.end)
