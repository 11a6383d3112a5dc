"""Inference events of known models read at once into structs made from the model's columns. What does not fit is left for ``decode_inference``.

Both ways give the same meaning: whatever is read here, ``decode_inference`` and ``FeatureDecoder`` read alike, only more slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar

import msgspec

from driftline.contracts.errors import DecodeError
from driftline.contracts.events import MAX_CLASSES, MAX_EVENT_BYTES, MAX_ID_CHARS, MAX_SLICES
from driftline.contracts.json_values import GREATEST_INT, LEAST_INT
from driftline.contracts.times import EARLIEST_MS, LATEST_MS, parse_time

#: Models whose structs are kept ready; of more, the others go the slow way.
MOST_MODELS = 256

_BACKSLASH = b"\\"
_OBJECT = ord("{")

T = TypeVar("T")
#: What the fields of an event may be.
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS)]
Class = Annotated[str, msgspec.Meta(max_length=MAX_ID_CHARS)]
Time = Annotated[int, msgspec.Meta(ge=EARLIEST_MS, lt=LATEST_MS)]
_Integer = Annotated[int, msgspec.Meta(ge=LEAST_INT, le=GREATEST_INT)]
#: What a prediction and the value of a categorical feature may be.
PREDICTION: Any = float | Class | bool | None
CATEGORY: Any = str | _Integer | float | bool | None


class Shape(NamedTuple):
    """The features that a model's events are expected to have, all of them and no others."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]


class TypedEvent(msgspec.Struct, kw_only=True, gc=False):
    """One event as ``InferenceEvent`` has it, but for its features: a struct whose values stand in the order of the shape, numbers as floats."""

    #: The shape that ``features`` was read as; None: they are raw JSON.
    shape: ClassVar[Shape | None] = None

    event_id: Name
    event_time: int
    features: Any
    version: Name = "1"
    prediction: PREDICTION = None
    score: float | None = None
    probabilities: Annotated[dict[Class, float], msgspec.Meta(max_length=MAX_CLASSES)] | None = None
    slice: Annotated[dict[Class, Class], msgspec.Meta(max_length=MAX_SLICES)] | None = None

    @property
    def model(self) -> str:
        """The model's name: the tag by which the struct was chosen."""
        return str(type(self).__struct_config__.tag)


class TypedDecoder:
    """Decodes the events of the models whose shapes it was told.

    >>> decoder = TypedDecoder()
    >>> decoder.expect("m", Shape(("amount",), ("country",)))
    >>> raws = [b'{"event_id":"a","model":"m","event_time":1362114900000,"features":{"amount":7,"country":"FR"}}', b'{"model":"m"}', b"?"]
    >>> [event and msgspec.structs.astuple(event.features) for event in decoder.decode(raws)[0]]
    [(7.0, 'FR'), None, None]
    """

    def __init__(self) -> None:
        self._decoder: msgspec.json.Decoder[Any] | None = None
        self._kinds: dict[str, type[TypedEvent]] = {}

    def expect(self, model: str, shape: Shape | None) -> None:
        """Read the events of a model as ``shape`` says; with None, leave their features as raw JSON. The model told first makes room for others."""
        known = self._kinds.get(model)
        if known is not None and known.shape == shape:
            return
        if known is None and len(self._kinds) >= MOST_MODELS:
            del self._kinds[next(iter(self._kinds))]
        self._kinds[model] = _struct(model, shape)
        self._decoder = None

    def decode(self, raws: Sequence[bytes | None]) -> tuple[list[TypedEvent | None], list[int]]:
        """Return each event that fits, None for each that has to be read the other way, and the places of those."""
        if not self._kinds or not raws:
            return [None] * len(raws), list(range(len(raws)))
        if self._decoder is None:
            self._decoder = msgspec.json.Decoder(_union([*self._kinds.values(), _NOBODY]))
        events, unfit = decode_each(self._decoder.decode, raws)
        kinds: set[type] = {type(event.event_time) for event in events if event is not None}
        if str in kinds:
            unfit |= _tell_times(events)
        if any(kind.shape is None for kind in self._kinds.values()):
            unfit |= {i for i, event in enumerate(events) if event is not None and event.shape is None and not _is_object(event.features)}
        for i in unfit:
            events[i] = None
        return events, sorted(unfit)


def decode_each(decode: Callable[[Any], T], raws: Sequence[bytes | None]) -> tuple[list[T | None], set[int]]:
    """Return what ``decode`` makes of each, None where it fails, and the places that have to be read the other way: where it failed, and the odd."""
    left = iter(raws)
    found: list[T | None] = []
    unfit: set[int] = set()
    while len(found) < len(raws):
        # What went well before an error stays in the list, and the iterator stands after the one that failed.
        try:
            found.extend(map(decode, left))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError, OverflowError):
            unfit.add(len(found))
            found.append(None)
    return found, unfit | _odd(raws)


def _is_object(raw: msgspec.Raw) -> bool:
    return memoryview(raw)[0] == _OBJECT


def _odd(raws: Sequence[bytes | None]) -> set[int]:
    """Return the events that are too large, or may hold a NUL, which no name may have: rare, and the other way knows what to do.

    A NUL in a JSON text is written with a backslash, and to look for one byte is ten times as fast as to look for six.
    """
    escaped = [i for i, raw in enumerate(raws) if raw is not None and (_BACKSLASH in raw or len(raw) > MAX_EVENT_BYTES)]
    return {i for i in escaped if b"\\u0000" in (raw := raws[i] or b"") or len(raw) > MAX_EVENT_BYTES}


def _tell_times(events: list[TypedEvent | None]) -> set[int]:
    """Put milliseconds for texts; return the events whose times are none."""
    wrong = set()
    for i, event in enumerate(events):
        time: object = event.event_time if event is not None else None
        if event is not None and isinstance(time, str):
            try:
                event.event_time = parse_time(time)
            except DecodeError:
                wrong.add(i)
    return wrong


def _struct(model: str, shape: Shape | None) -> type[TypedEvent]:
    if shape is None:
        features: Any = msgspec.Raw
    else:
        # Feature names need not be identifiers: the struct's own names are f0, f1, ...
        names = (*shape.numeric, *shape.categorical)
        kinds: list[Any] = [float | None] * len(shape.numeric) + [CATEGORY] * len(shape.categorical)
        fields = [f"f{i}" for i in range(len(names))]
        features = msgspec.defstruct(
            "FeatureRow", list(zip(fields, kinds, strict=True)), rename=dict(zip(fields, names, strict=True)), forbid_unknown_fields=True, gc=False
        )
    # Texts are read too, and replaced by milliseconds at once.
    made: type[TypedEvent] = msgspec.defstruct(
        "ModelEvent",
        [("event_time", Time | str), ("features", features)],
        bases=(TypedEvent,),
        namespace={"shape": shape},
        tag_field="model",
        tag=model,
        kw_only=True,
        gc=False,
    )  # type: ignore[assignment]  # mypy sees a Struct
    return made


#: A struct that is alone need not be tagged, and an event without a model would be the one model's: so there is always a second one. No name has NUL.
_NOBODY = _struct("\x00", None)


def _union(kinds: list[Any]) -> Any:
    union = kinds[0]
    for kind in kinds[1:]:
        union |= kind
    return union
