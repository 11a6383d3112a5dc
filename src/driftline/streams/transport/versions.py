"""Which Faust and which aiokafka this transport was written for: it replaces parts of both that they promise nothing about."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from types import MappingProxyType
from typing import Final

from driftline.contracts.errors import SetupError

WRITTEN_FOR: Final = MappingProxyType({"faust-streaming": "0.15", "aiokafka": "0.14"})
"""Major and minor version of each; tests/transport/test_upstream.py has the hashes of what is replaced."""


def check_versions(version_of: Callable[[str], str] = version) -> None:
    """Raise SetupError where another version is installed: records could be lost, and nobody would see it.

    >>> check_versions({"faust-streaming": "0.15.9", "aiokafka": "0.14.0"}.__getitem__)
    """
    for package, known in WRITTEN_FOR.items():
        found = version_of(package)
        if found.split(".")[:2] != known.split("."):
            raise SetupError(
                f"{package} {found} is installed, and Driftline's transport was written for {known}.*: pip install '{package}=={known}.*'"
            )
