"""The decider's state: a few arrays for each kind of pane, and their bytes. O(1) in time: nothing grows with the
number of panes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
import numpy.typing as npt

from driftline.contracts.summaries import PaneKind
from driftline.detectors.extras import ExtraState, PackedExtra, pack_extras, unpack_extras
from driftline.detectors.moments import Floats


@dataclass(frozen=True, eq=False)
class KindState:
    """Evidence of one kind of pane. ``log_r``, ``cusum``, ``onset`` (ms) have the shape (terms, bets), ``rate``
    (events per hour, smoothed) (terms).

    ``onset`` is the start of the pane after which the bet's CUSUM has stayed above 0: the argmin of the cumulated log
    e. ``end`` is that of the last pane.
    """

    log_r: Floats
    cusum: Floats
    onset: npt.NDArray[np.int64]
    rate: Floats
    end: int | None

    @classmethod
    def fresh(cls, terms: int, bets: int) -> KindState:
        """Return the state before any pane."""
        shape = (terms, bets)
        return cls(np.full(shape, -np.inf), np.zeros(shape), np.zeros(shape, np.int64), np.zeros(terms), None)


class _Packed(msgspec.Struct, array_like=True):
    log_r: bytes
    cusum: bytes
    onset: bytes
    rate: bytes
    end: int | None


class _PackedState(msgspec.Struct, array_like=True):
    terms: str
    features: _Packed
    outcomes: _Packed
    extras: dict[str, PackedExtra] = {}


@dataclass(frozen=True, eq=False)
class DeciderState:
    """State of a ``Decider``; ``terms`` is the hash of the term table it belongs to, ``extras`` are the processes
    beside the tables by name.
    """

    terms: str
    features: KindState
    outcomes: KindState
    extras: Mapping[str, ExtraState] = field(default_factory=dict)

    def of(self, kind: PaneKind) -> KindState:
        """Return the part that panes of a kind move."""
        return self.features if kind == "features" else self.outcomes

    def with_extra(self, name: str, extra: ExtraState) -> DeciderState:
        """Return the state with other evidence of one process beside the tables."""
        return replace(self, extras={**self.extras, name: extra})

    def encode(self) -> bytes:
        """Return raw arrays in MessagePack; equal states give equal bytes."""
        return msgspec.msgpack.encode(_PackedState(self.terms, _pack(self.features), _pack(self.outcomes), pack_extras(self.extras)))

    @classmethod
    def unpack(cls, raw: bytes, fresh: DeciderState) -> DeciderState:
        """Return the state that ``encode`` packed, shaped like ``fresh``; ValueError if it is not one of that term
        table.
        """
        try:
            packed = msgspec.msgpack.decode(raw, type=_PackedState)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ValueError(f"not the state of a decider: {error}") from error
        if packed.terms != fresh.terms:
            raise ValueError("the state belongs to another reference, tolerance or budget")
        features, outcomes = _unpack(packed.features, fresh.features), _unpack(packed.outcomes, fresh.outcomes)
        return cls(packed.terms, features, outcomes, unpack_extras(packed.extras, fresh.extras))


def _pack(state: KindState) -> _Packed:
    if state.end is None and not (state.cusum.any() or state.rate.any()):  # before any pane: as large as any other, and it says nothing
        return _Packed(b"", b"", b"", b"", None)
    return _Packed(
        state.log_r.astype("<f8").tobytes(),
        state.cusum.astype("<f8").tobytes(),
        state.onset.astype("<i8").tobytes(),
        state.rate.astype("<f8").tobytes(),
        state.end,
    )


def _unpack(packed: _Packed, fresh: KindState) -> KindState:
    if packed.end is None and not packed.log_r:
        return fresh
    shape = fresh.log_r.shape
    log_r, cusum, rate = (np.frombuffer(raw, "<f8").astype(np.float64) for raw in (packed.log_r, packed.cusum, packed.rate))
    onset = np.frombuffer(packed.onset, "<i8").astype(np.int64)
    if not (log_r.size == cusum.size == onset.size == fresh.log_r.size and rate.size == fresh.rate.size):
        raise ValueError("the state's arrays do not fit the terms")
    # A NaN or +inf would never go away again and would either mute the model or alarm for ever.
    if not (np.all(log_r < np.inf) and np.all(np.isfinite(cusum)) and np.all(np.isfinite(rate)) and np.all(rate >= 0)):
        raise ValueError("the state holds numbers that no evidence can be")
    return KindState(log_r.reshape(shape), cusum.reshape(shape), onset.reshape(shape), rate, packed.end)
