"""Every error a user of Driftline can meet.

::

    DriftlineError
    +-- SettingsError      a setting is wrong: names the field, the value and what is accepted
    +-- DecodeError        bytes from outside can't be used: keeps them, says why
    +-- TopicError         a topic is missing or has the wrong shape
    +-- StaleState         somebody else has written the state since we read it: we are a zombie
    +-- SchemaOutdated     the database is not at the revision this program needs
    +-- ArtifactRefused    a model file is not what the registry says, or holds types nobody allowed
    +-- SetupError         something outside Python is missing (Java, Maven, a broker)
"""

from __future__ import annotations


class DriftlineError(Exception):
    """The base of them all."""


class SettingsError(DriftlineError):
    """A setting is wrong."""

    def __init__(self, field: str, value: object, accepted: str) -> None:
        self.field = field
        self.value = value
        self.accepted = accepted
        super().__init__(f"{field}: {value!r} is not accepted; expected {accepted}")


class DecodeError(DriftlineError):
    """Bytes from outside can't be used; ``raw`` keeps them as they came. ``code`` names the kind of flaw for programs, see docs/dead-letters.md."""

    def __init__(self, reason: str, raw: bytes | None = None, *, code: str = "unreadable") -> None:
        self.reason = reason
        self.raw = raw
        self.code = code
        super().__init__(reason)


class TopicError(DriftlineError):
    """A topic is missing or has the wrong shape."""


class StaleState(DriftlineError):
    """The state in SQL is not the one we read: another owner has gone on."""


class SchemaOutdated(DriftlineError):
    """The database is not at the revision this program needs."""


class ArtifactRefused(DriftlineError):
    """A model file is not what the registry says, or holds types that nobody allowed."""


class SetupError(DriftlineError):
    """Something outside Python is missing."""
