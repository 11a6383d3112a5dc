"""Where a report lies, written whole or not at all."""

from __future__ import annotations

import os
import re
from pathlib import Path

from driftline.contracts.ids import stable_id

_UNFIT = re.compile(r"[^A-Za-z0-9._-]")
_MOST_CHARS = 80


def path_part(name: str) -> str:
    """Return a name as one part of a path: different names stay different.

    >>> path_part("credit-risk"), path_part("../etc")
    ('credit-risk', '_.._etc-a4780d7b')
    """
    fit = _UNFIT.sub("_", name)[:_MOST_CHARS]
    if fit.startswith("."):
        fit = f"_{fit}"
    return fit if fit == name else f"{fit}-{stable_id(name)[:8]}"


def write(path: Path, content: bytes) -> None:
    """Write a file under its name only once all of it is on the disk."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
