"""The key under which personal features are hashed."""

from __future__ import annotations

from driftline.contracts.pii import read_key
from driftline.contracts.settings import Settings


def pii_secret(settings: Settings) -> bytes:
    """Return the key, empty where nothing is hashed (the settings' checks see to that); SettingsError where its file can't be read."""
    return b"" if settings.pii_key_file is None else read_key(settings.pii_key_file)
