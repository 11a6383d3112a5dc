"""Records against a template: from their bytes to columns, with no object for a record or a number."""

from __future__ import annotations

from collections.abc import Callable
from secrets import randbits
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.contracts.alike_events import AlikeEvents, Column
from driftline.contracts.joined_values import Joined
from driftline.contracts.template_scan import code, gather, scan
from driftline.contracts.templates import Kind, Template

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_NO_NUMBERS: Final[Floats] = np.empty(0)
#: Of this process, and odd.
_SEED: Final = np.uint64(randbits(63) << 1 | 1)


class Scanner:
    """Reads what has the bytes of one template."""

    def __init__(self, template: Template) -> None:
        self.template = template
        padded = [literal + bytes(-len(literal) % 8) for literal in template.literals]
        self._literals = np.frombuffer(b"".join(padded), "<u8").copy()
        covered = [b"\xff" * len(literal) + bytes(-len(literal) % 8) for literal in template.literals]
        self._masks = np.frombuffer(b"".join(covered), "<u8").copy()
        self._lengths = np.array([len(literal) for literal in template.literals], np.int64)
        self._kinds = np.array([slot.kind for slot in template.slots], np.uint8)
        self._numbers, self._tokens = template.of(Kind.NUMBER), template.of(Kind.TOKEN)
        self._decoders = [msgspec.json.Decoder(slot.type).decode for slot in self._tokens]

    def read(self, records: Joined, at: Ints) -> AlikeEvents | None:
        """Return the events among those ``at`` the given places that have the template; None where none has."""
        raw, words, n = records.raw, records.words, len(at)
        numbers, nulls = np.empty((len(self._numbers), n)), np.empty((len(self._numbers), n), np.uint8)
        times, ids, tokens, fit = (
            np.empty(n, np.int64),
            np.zeros((n, 2), np.int64),
            np.empty((len(self._tokens), n, 2), np.int64),
            np.empty(n, np.bool_),
        )
        total = scan(
            raw, words, records.starts[at], records.ends[at], self._literals, self._masks, self._lengths, self._kinds,
            numbers, nulls, times, ids, tokens, fit,
        )  # fmt: skip
        if not fit.all():
            if not fit.any():
                return None
            rows = np.flatnonzero(fit)
            at, numbers, nulls, times, ids = at[rows], numbers[:, rows], nulls[:, rows], times[rows], ids[rows]
            tokens = np.ascontiguousarray(tokens[:, rows])  # code was compiled for such
        columns: dict[tuple[str, ...], Column] = {}
        bad = np.zeros(len(at), np.bool_)
        for slot, decode, spans in zip(self._tokens, self._decoders, tokens, strict=True):
            columns[slot.path], wrong = _coded(raw, spans, decode)
            bad |= wrong
        if bad.any():
            return self.read(records, at[~bad]) if not bad.all() else None
        for slot, values, null in zip(self._numbers, numbers, nulls, strict=True):
            columns[slot.path] = Column(values, null.astype(np.bool_) if null.any() else None)
        content, offsets = np.empty(total, np.uint8), np.empty(len(at) + 1, np.int64)
        gather(raw, ids, content, offsets)
        return self._events(at, content, offsets, times, columns)

    def _events(self, at: Ints, ids: NDArray[np.uint8], offsets: Ints, times: Ints, columns: dict[tuple[str, ...], Column]) -> AlikeEvents:
        shape = self.template.shape
        names = () if shape is None else (*shape.numeric, *shape.categorical)
        version = columns.get(("version",))
        return AlikeEvents(
            model=self.template.model,
            shape=shape,
            at=at,
            ids=ids,
            id_offsets=offsets,
            times=times,
            versions=("1",) if version is None else tuple(map(str, version.values)),
            version_codes=np.zeros(len(at), np.int64) if version is None or version.codes is None else version.codes,
            prediction=columns.get(("prediction",)),
            score=columns.get(("score",)),
            features={name: columns["features", name] for name in names},
        )


def _coded(raw: NDArray[np.uint8], spans: Ints, decode: Callable[[bytes], object]) -> tuple[Column, Bools]:
    """Return the different values of a slot and which each record has; and which records have one that must not stand there."""
    n = len(spans)
    table, codes, firsts = np.full(1 << (2 * n).bit_length(), -1, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    found = firsts[: code(raw, spans, _SEED, table, codes, firsts, np.empty(n, np.uint64))]
    values: list[object] = []
    wrong = np.zeros(len(found), np.bool_)
    for i, (start, end) in enumerate(spans[found].tolist()):
        try:
            values.append(decode(raw[start:end].tobytes()))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            values.append(None)
            wrong[i] = True
    return Column(_NO_NUMBERS, None, tuple(values), codes), wrong[codes]
