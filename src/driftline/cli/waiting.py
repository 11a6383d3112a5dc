"""Waiting for a broker and a database that are away: a step that is started again and again until they are back costs more, and resumes later."""

from __future__ import annotations

import logging
import time
from typing import Final

from driftline.cli.connection import check_listening
from driftline.contracts.errors import SetupError
from driftline.contracts.settings import Settings

log = logging.getLogger("driftline.worker")

_LOOK_S: Final = 0.25
_SAY_S: Final = 10.0


def wait_for_parts(settings: Settings) -> None:
    """Return as soon as the broker and the database take connections; say what is waited for at once and every ten seconds.

    For a step under a supervisor: what was there when ``driftline worker`` began will be there again. What never was, ``driftline worker`` itself has
    refused.
    """
    began = time.monotonic()
    said = -_SAY_S
    while (absent := absent_part(settings)) is not None:
        waited = time.monotonic() - began
        if waited - said >= _SAY_S:
            said = waited
            log.warning("Waiting: %s", absent, extra={"fields": {"event": "waiting", "waited_s": round(waited, 1)}})
        time.sleep(_LOOK_S)
    if said >= 0:
        log.info("All is there again", extra={"fields": {"event": "resuming", "waited_s": round(time.monotonic() - began, 1)}})


def absent_part(settings: Settings) -> str | None:
    """Say what takes no connections now; None when all does."""
    for look in (_broker, _database):
        absent = look(settings)
        if absent is not None:
            return absent
    return None


def _broker(settings: Settings) -> str | None:
    try:
        check_listening(settings.kafka)
    except SetupError as error:
        return str(error)
    return None


def _database(settings: Settings) -> str | None:
    from sqlalchemy.exc import OperationalError

    from driftline.store.database import open_database

    engine = open_database(settings.database)
    try:
        engine.connect().close()
    except OperationalError as error:
        return f"the database does not answer: {error.orig}"
    finally:
        engine.dispose()
    return None
