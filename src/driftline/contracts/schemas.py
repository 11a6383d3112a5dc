"""JSON Schemas (draft 2020-12) of what people write by hand and of what travels on the public topics, made from the structs themselves."""

from __future__ import annotations

from typing import Any

import msgspec

from driftline.contracts.settings import Settings

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def settings_schema() -> dict[str, Any]:
    """Return the schema of ``driftline.yaml``, for editors and for ``driftline config check --schema``.

    >>> settings_schema()["$defs"]["KafkaSettings"]["properties"]["partitions"]
    {'type': 'integer', 'default': 4}
    """
    return {"$schema": _DIALECT, **msgspec.json.schema(Settings)}


def message_schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the schema of a message, such as ``Alert``. Later versions may add fields, so unknown ones are allowed."""
    return {"$schema": _DIALECT, **msgspec.json.schema(kind)}
