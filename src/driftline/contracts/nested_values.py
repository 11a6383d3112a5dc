"""``FeatureDecoder`` for features that lie in objects, as those with a dot in their names do as a rule (contracts/paths.py says which is which)."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from driftline.contracts.errors import DecodeError
from driftline.contracts.json_values import GREATEST_INT, LEAST_INT, MISSING, FeatureBatch, as_float, decode_features
from driftline.contracts.paths import MAX_DEPTH, is_null, parents_of, walked

_NUMBER: Any = float | None
_OTHER: Any = str | Annotated[int, msgspec.Meta(ge=LEAST_INT, le=GREATEST_INT)] | float | bool | None


class NestedDecoder:
    """Decodes the features of one model.

    >>> decoder = NestedDecoder(["user.age"], ["shop"])
    >>> decoder.decode([b'{"user": {"age": 41}, "shop": "a"}', b'{"user": null, "shop": "b"}', b'{"user.age": 3, "user": {"age": 4}}'])
    FeatureBatch(columns={'user.age': [41.0, None, 3.0], 'shop': ['a', 'b', UNSET]}, missing={2: 1}, extra={2: 1}, bad=[])
    """

    def __init__(self, names_numeric: Sequence[str], names_categorical: Sequence[str]) -> None:
        self._names = (*names_numeric, *names_categorical)
        self._numeric = len(names_numeric)
        self._wanted, self._inner = frozenset(self._names), parents_of(self._names)
        kinds = {name: _NUMBER if i < self._numeric else _OTHER for i, name in enumerate(self._names)}
        #: As a rule an event has just the features that are wanted, each in its object: then it is read at once.
        self._fast: tuple[msgspec.json.Decoder[Any], Any] | None = None
        if not self._inner & self._wanted and max(name.count(".") for name in self._names) <= MAX_DEPTH:
            kind, places = _tree([(name.split("."), kinds[name]) for name in self._names])
            # attrgetter of one name gives no tuple.
            self._fast = msgspec.json.Decoder(kind), attrgetter(*places) if len(places) > 1 else lambda row: (attrgetter(places[0])(row),)

    def decode(self, raws: Sequence[msgspec.Raw | bytes]) -> FeatureBatch:
        """Return the columns of all events that can be read."""
        rows: list[Sequence[object]] = []
        batch = FeatureBatch({}, {}, {}, [])
        for i, raw in enumerate(raws):
            text = bytes(raw)
            row = self._read(text)
            if row is None:
                try:
                    row, absent, extra = self._walk(decode_features(text))
                except DecodeError:
                    batch.bad.append(i)
                    continue
                if absent:
                    batch.missing[len(rows)] = absent
                if extra:
                    batch.extra[len(rows)] = extra
            rows.append(row)
        columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in self._names]
        batch.columns.update(zip(self._names, columns, strict=True))
        return batch

    def _read(self, text: bytes) -> Sequence[object] | None:
        if self._fast is None:
            return None
        decoder, values = self._fast
        try:
            row: Sequence[object] = values(decoder.decode(text))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return row

    def _walk(self, fields: dict[str, object]) -> tuple[list[object], int, int]:
        """Return the row of an event, and how many of its features are missing and how many fields nobody asked for."""
        found, nulls, extra = walked(fields, self._wanted, self._inner)
        row = [found[name] if name in found else None if is_null(name, nulls) else MISSING for name in self._names]
        for j, value in enumerate(row[: self._numeric]):
            if type(value) is int:
                row[j] = as_float(value)
        return row, row.count(MISSING), extra


def _tree(entries: Sequence[tuple[list[str], Any]]) -> tuple[type, list[str]]:
    """Return a struct of structs for entries by the steps of their paths, and where in it each of them is."""
    groups: dict[str, list[int]] = {}
    for i, (steps, _) in enumerate(entries):
        groups.setdefault(steps[0], []).append(i)
    fields: list[tuple[str, Any]] = []
    places = [""] * len(entries)
    for number, members in enumerate(groups.values()):
        own = f"f{number}"
        steps, kind = entries[members[0]]
        if len(steps) > 1:
            kind, inner = _tree([(entries[i][0][1:], entries[i][1]) for i in members])
            for i, place in zip(members, inner, strict=True):
                places[i] = f"{own}.{place}"
        else:
            places[members[0]] = own
        fields.append((own, kind))
    rename = dict(zip((name for name, _ in fields), groups, strict=True))
    return msgspec.defstruct("FeatureObject", fields, rename=rename, forbid_unknown_fields=True, gc=False), places
