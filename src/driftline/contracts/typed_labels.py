"""Label events read many at a time. What does not fit is left for ``decode_label``, which reads whatever is read here alike, only more slowly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from driftline.contracts.events import MAX_ID_CHARS
from driftline.contracts.times import EARLIEST_MS, LATEST_MS
from driftline.contracts.typed_events import odd

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS)]
_Class = Annotated[str, msgspec.Meta(max_length=MAX_ID_CHARS)]


class TypedLabel(msgspec.Struct, kw_only=True, gc=False):
    """One label event as ``LabelEvent`` has it."""

    event_id: _Name
    model: _Name
    event_time: Annotated[int, msgspec.Meta(ge=EARLIEST_MS, lt=LATEST_MS)]
    label: float | _Class | bool | None


_decode = msgspec.json.Decoder(TypedLabel).decode


def decode_labels(raws: Sequence[bytes | None]) -> list[TypedLabel | None]:
    """Return each label that fits, None for each that has to be read the other way.

    >>> [label and label.label for label in decode_labels([b'{"event_id":"a","model":"m","event_time":1362114900000,"label":1}', None, b"?"])]
    [1.0, None, None]
    """
    left = iter(raws)
    labels: list[TypedLabel | None] = []
    while len(labels) < len(raws):
        # What went well before an error stays in the list, and the iterator stands after the one that failed.
        try:
            labels.extend(map(_decode, left))  # type: ignore[arg-type]  # None is an error like another
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError, OverflowError):
            labels.append(None)
    for i in odd(raws):
        labels[i] = None
    return labels
