"""CloudEvents 1.0 over Kafka (the specification's Kafka protocol binding 1.0.2): read in both modes, written in binary mode.

Structured: the header ``content-type`` begins with ``application/cloudevents`` and the value is the envelope, with our event in ``data``. Binary: the
value is our event and the envelope's attributes are headers that begin with ``ce_``. In both, ``id`` and ``time`` stand in for an ``event_id`` and
``event_time`` that the event does not have itself.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence

import msgspec

from driftline.contracts.errors import DecodeError
from driftline.contracts.times import format_time

Headers = Sequence[tuple[str, bytes | None]]

#: Attribute of the envelope -> our field.
_DEFAULTS = {"id": "event_id", "time": "event_time"}
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)


def is_structured(headers: Headers) -> bool:
    """Say whether the value is an envelope.

    >>> is_structured([("content-type", b"application/cloudevents+json; charset=UTF-8")])
    True
    """
    return any(name.lower() == "content-type" and (value or b"").lower().startswith(b"application/cloudevents") for name, value in headers)


def structured_data(raw: bytes) -> bytes:
    """Return the JSON of the ``data`` of an envelope, its ``id`` and ``time`` as defaults. Raises DecodeError and what msgspec raises.

    >>> structured_data(b'{"specversion":"1.0","id":"a","data":{"model":"m"}}')
    b'{"model":"m","event_id":"a"}'
    """
    envelope = _object.decode(raw)
    if "data" in envelope:
        data = _object.decode(envelope["data"])
    elif "data_base64" in envelope:
        try:
            data = _object.decode(b64decode(_text.decode(envelope["data_base64"]), validate=True))
        except ValueError as error:  # msgspec's errors are ValueErrors too
            raise DecodeError("data_base64 holds no JSON object", raw, code="wrong_field") from error
    else:
        raise DecodeError("a structured CloudEvent without data", raw, code="wrong_field")
    for attribute, field in _DEFAULTS.items():
        if attribute in envelope:
            data.setdefault(field, envelope[attribute])
    return msgspec.json.encode(data)


def with_binary_defaults(raw: bytes, headers: Headers) -> bytes | None:
    """Return the JSON with the defaults that ``ce_`` headers give, or None where they add nothing. Raises what msgspec raises.

    >>> with_binary_defaults(b'{"model":"m"}', [("ce_specversion", b"1.0"), ("ce_id", b"a")])
    b'{"model":"m","event_id":"a"}'
    """
    given = {name.lower().removeprefix("ce_"): value for name, value in headers if name.lower().startswith("ce_") and value}
    if not given.keys() & _DEFAULTS.keys():
        return None
    data = _object.decode(raw)
    added = False
    for attribute, field in _DEFAULTS.items():
        if attribute in given and field not in data:
            data[field] = msgspec.Raw(msgspec.json.encode(given[attribute].decode()))
            added = True
    return msgspec.json.encode(data) if added else None


def cloud_event_headers(*, event_id: str, kind: str, model: str, time: int) -> list[tuple[str, bytes]]:
    """Return the headers of a message of ours in binary mode. ``kind`` is the name of its struct, ``time`` epoch milliseconds.

    >>> dict(cloud_event_headers(event_id="a", kind="Alert", model="credit-risk", time=1362114900000))["ce_type"]
    b'driftline.alert'
    """
    name = "".join(f"_{c.lower()}" if c.isupper() else c for c in kind).lstrip("_")
    attributes = {
        "specversion": "1.0",
        "id": event_id,
        "type": f"driftline.{name}",
        "source": "/driftline",
        "subject": model,
        "time": format_time(time, seconds=True),
    }
    return [("content-type", b"application/json"), *((f"ce_{key}", value.encode()) for key, value in attributes.items())]
