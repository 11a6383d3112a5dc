"""Label events read many at a time. What does not fit is left for ``decode_label``, which reads whatever is read here alike, only more slowly."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from driftline.contracts.typed_events import Class, Name, Time, decode_each


class TypedLabel(msgspec.Struct, kw_only=True, gc=False):
    """One label event as ``LabelEvent`` has it."""

    event_id: Name
    model: Name
    event_time: Time
    label: float | Class | bool | None


_decode = msgspec.json.Decoder(TypedLabel).decode


def decode_labels(raws: Sequence[bytes | None]) -> list[TypedLabel | None]:
    """Return each label that fits, None for each that has to be read the other way.

    >>> [label and label.label for label in decode_labels([b'{"event_id":"a","model":"m","event_time":1362114900000,"label":1}', None, b"?"])]
    [1.0, None, None]
    """
    labels, unfit = decode_each(_decode, raws)
    for i in unfit:
        labels[i] = None
    return labels
