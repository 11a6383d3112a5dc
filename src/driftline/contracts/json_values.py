"""Raw ``features`` objects of many events turned into columns of plain JSON values, fast where they are as expected.

Each event is tried against a struct made from the model's columns; only one that does not fit is read as a dict. No value is judged here: junk
comes out as it is (a text in a numeric column, an infinity), for the binning to count. What can't be read at all is named by its index.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any, Final

import msgspec

from driftline.contracts.errors import DecodeError

#: Stands where an event did not have the feature, which is not the same as null.
MISSING: Final = msgspec.UNSET

#: Of an integer with more digits than this only the size matters: it is infinite to a float.
_MOST_DIGITS = 320
#: Beyond these an integer fits neither MessagePack nor a database: it becomes a float.
LEAST_INT, GREATEST_INT = -(1 << 63), (1 << 63) - 1
_Integer = Annotated[int, msgspec.Meta(ge=LEAST_INT, le=GREATEST_INT)]
_objects = msgspec.json.Decoder(dict[str, Any])
#: Values of which nothing need be asked (the strict decoder knows no infinity), and others that may be plain.
_AS_THEY_ARE = {float, bool, type(None)}
_PLAIN = {*_AS_THEY_ARE, int, str}


@dataclass(frozen=True)
class FeatureBatch:
    """Columns of the decodable events in their order; ``bad`` are the indices (into what was given) of those that are not in the columns.

    Values are float, int, str, bool, None, list, dict or ``MISSING``; numbers of a numeric column are floats (infinite where they are too
    large for one). ``missing`` counts the values that are ``MISSING`` and ``extra`` the fields beyond the columns, by row of the columns, where
    there are any.
    """

    columns: dict[str, list[object]]
    missing: dict[int, int]
    extra: dict[int, int]
    bad: list[int]


class FeatureDecoder:
    """Decodes the features of one model.

    >>> decoder = FeatureDecoder(["amount"], ["country"])
    >>> decoder.decode([b'{"amount": 1400, "country": "FR"}', b'{"amount": "much", "shop": 7}', b'['])
    FeatureBatch(columns={'amount': [1400.0, 'much'], 'country': ['FR', UNSET]}, missing={1: 1}, extra={1: 1}, bad=[2])
    """

    def __init__(self, names_numeric: Sequence[str], names_categorical: Sequence[str]) -> None:
        self._names = (*names_numeric, *names_categorical)
        self._numeric = len(names_numeric)
        if len(set(self._names)) != len(self._names):
            raise ValueError("a feature is named twice")
        # Feature names need not be identifiers: the struct's own names are f0, f1, ... Every field is required, so that a decoded event has them all.
        # The scalar types alone: msgspec refuses whatever else stands there, and the event goes the slow way.
        kinds: list[Any] = [float | None] * self._numeric + [str | _Integer | float | bool | None] * len(names_categorical)
        fields = [f"f{i}" for i in range(len(self._names))]
        row = msgspec.defstruct("FeatureRow", list(zip(fields, kinds, strict=True)), rename=dict(zip(fields, self._names, strict=True)), gc=False)
        self._decoder = msgspec.json.Decoder(row)
        self._values = attrgetter(*fields) if len(fields) > 1 else _single(fields)

    def decode(self, raws: Sequence[msgspec.Raw | bytes]) -> FeatureBatch:
        """Return the columns of all events that can be read."""
        rows: list[Sequence[object]] = []
        bad: list[int] = []
        missing: dict[int, int] = {}
        extra: dict[int, int] = {}
        width = len(self._names)
        decode, values = self._decoder.decode, self._values
        for i, raw in enumerate(raws):
            text = bytes(raw)
            try:
                rows.append(values(decode(text)))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                try:
                    fields = decode_features(text)
                except DecodeError:
                    bad.append(i)
                    continue
                row = [fields.get(name, MISSING) for name in self._names]
                for j, value in enumerate(row[: self._numeric]):
                    if type(value) is int:
                        row[j] = as_float(value)
                absent = row.count(MISSING)
                _note(missing, len(rows), absent)
                _note(extra, len(rows), len(fields) - (width - absent))
                rows.append(row)
            else:
                # As a rule every key is followed by `":`, and nothing else is: where the count is right, there is nothing beyond the columns.
                if text.count(b'":') != width:
                    _note(extra, len(rows) - 1, max(0, _count_fields(text) - width))
        columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in self._names]
        return FeatureBatch(dict(zip(self._names, columns, strict=True)), missing, extra, bad)


def _note(counts: dict[int, int], row: int, n: int) -> None:
    if n:
        counts[row] = n


def decode_features(raw: msgspec.Raw | bytes) -> dict[str, object]:
    """Return one features object, or raise DecodeError. Python's NaN and Infinity are let pass, and integers of more than 64 bits are floats
    (infinite where they are too large for one).

    >>> decode_features(b'{"x": NaN, "y": -1e999}')
    {'x': nan, 'y': -inf}
    """
    text = bytes(raw)
    try:
        fields = _objects.decode(text)
    except RecursionError as error:
        raise DecodeError("features are nested too deeply", text, code="too_deep") from error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        fields = loose_json(text)
        if not isinstance(fields, dict):
            raise DecodeError("features is not an object", text, code="wrong_field") from None
    for name, value in fields.items():
        if type(value) is int and not LEAST_INT <= value <= GREATEST_INT:
            fields[name] = as_float(value)
    return fields


def decode_plain(raw: msgspec.Raw | bytes, longest: int) -> dict[str, float | int | str | bool | None] | None:
    """Return one features object as ``decode_features`` does, if it holds plain values only: finite numbers (integers of at most 64 bits), texts
    of at most ``longest`` characters, truth values and nulls; else None. At a third of the cost.

    >>> decode_plain(b'{"x": 1.5, "c": "FR"}', 2), decode_plain(b'{"x": {"y": 1}}', 2), decode_plain(b'{"x": "long"}', 2)
    ({'x': 1.5, 'c': 'FR'}, None, None)
    """
    try:
        fields = _objects.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    kinds = set(map(type, fields.values()))
    if kinds <= _AS_THEY_ARE:
        return fields
    if not kinds <= _PLAIN:
        return None
    odd = any(len(v) > longest if type(v) is str else type(v) is int and not LEAST_INT <= v <= GREATEST_INT for v in fields.values())
    return None if odd else fields


def loose_json(raw: bytes) -> Any:
    """Return what ``json.dumps`` of Python wrote, NaN and Infinity included, or raise DecodeError."""
    try:
        content = json.loads(raw.decode(), parse_int=_integer)
        json.dumps(content, ensure_ascii=False).encode()  # half a surrogate pair is no text: it could not be written anywhere later
    except RecursionError as error:
        raise DecodeError("nested too deeply", raw, code="too_deep") from error
    except ValueError as error:
        raise DecodeError(f"not JSON: {type(error).__name__}", raw, code="not_json") from error
    return content


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def as_float(value: int) -> float:
    """Return the float that the fast way makes of an integer."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _single(fields: Sequence[str]) -> Any:
    """Return what ``attrgetter`` is for two names and more: a function from a row to the tuple of its values."""
    if not fields:
        return lambda _: ()
    one = attrgetter(*fields)
    return lambda row: (one(row),)


_raw_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _count_fields(text: bytes) -> int:
    try:
        return len(_raw_objects.decode(text))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # the name of a field beyond the columns is no text
        return text.count(b'":')
