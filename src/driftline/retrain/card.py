"""What a model file says of the model in it."""

from __future__ import annotations

import msgspec

from driftline.contracts.reference import Task


class ModelCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stands inside the model file, so that file and hash cover it.

    ``columns`` maps each feature to whether it is a category, in the order of the matrix. ``classes`` are the model's
    classes as canonical text, the positive one last of two. ``trained_from`` and ``trained_until`` (exclusive) span the
    event times of its training rows: a trial compares on rows outside them.
    """

    schema_version: int = 1
    model: str
    version: str
    task: Task
    columns: dict[str, bool]
    classes: tuple[str, ...] = ()
    rows: int
    trained_from: int
    trained_until: int
    trainer: str
    #: Versions of the packages that made the file.
    packages: dict[str, str] = {}
