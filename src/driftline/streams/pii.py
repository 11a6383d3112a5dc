"""The key under which personal features are hashed."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from driftline.contracts.errors import SettingsError
from driftline.contracts.settings import Settings


def pii_secret(settings: Settings) -> bytes:
    """Return the key, empty where nothing is hashed (the settings' checks see to that); SettingsError where its file can't be read."""
    return b"" if settings.pii_key_file is None else _read(settings.pii_key_file)


@lru_cache(maxsize=8)
def _read(path: str) -> bytes:
    try:
        key = Path(path).read_bytes().strip()
    except OSError as error:
        raise SettingsError("pii_key_file", path, f"a file that can be read ({error.strerror})") from None
    if len(key) < 16:
        raise SettingsError("pii_key_file", path, "a file with a key of at least 16 bytes")
    return key
