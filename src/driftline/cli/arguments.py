"""Arguments that several commands take."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from driftline.contracts.errors import DriftlineError, SettingsError
from driftline.contracts.times import LATEST_MS, format_time

if TYPE_CHECKING:
    from sqlalchemy import Engine

Since = Annotated[str | None, typer.Option("--since", help="Event time to begin at: 2013-06-01, or RFC 3339. Dates are in UTC.")]
Until = Annotated[str | None, typer.Option("--until", help="Event time to end before.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Most rows, the newest.")]
Model = Annotated[str | None, typer.Option("--model", "-m", help="Of this model only.")]


def moment(text: str | None, option: str = "--since") -> int:
    """Return epoch milliseconds of what a person wrote; 0 for nothing. Raises SettingsError.

    >>> moment("2013-06-01"), moment("2013-06-01T02:00:00+02:00")
    (1370044800000, 1370044800000)
    """
    if text is None:
        return 0
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(option, text, "a date such as 2013-06-01, or RFC 3339 such as 2013-06-01T12:00:00Z") from None
    return round((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)


def stretch(since: str | None, until: str | None) -> tuple[int, int]:
    """Return the event times (ms) from and before which something is wanted; without ``until`` the latest there is. Raises SettingsError."""
    begin, end = moment(since), moment(until, "--until") if until is not None else LATEST_MS
    if begin >= end:
        raise SettingsError("--until", until, f"a time after {format_time(begin)}")
    return begin, end


def known_models(engine: Engine) -> list[str]:
    """Return the models that anything is known of."""
    from driftline.store import detection, references, versions

    return sorted({c.model for c in versions.champions(engine)} | set(references.models(engine)) | detection.stored_states(engine).keys())


def check_model(engine: Engine, model: str) -> None:
    """Raise DriftlineError where nothing is known of a model, naming those that are."""
    known = known_models(engine)
    if not known:
        raise DriftlineError(
            f"nothing is known of any model yet, so not of {model!r}: one is known once a pane of its events has closed (`driftline status`), "
            "or with a reference (`driftline reference build`)"
        )
    if model not in known:
        raise unknown("model", model, known)


def unknown(what: str, name: str, known: Collection[str]) -> DriftlineError:
    """Return the error for a name nobody knows, with the likeliest first."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return DriftlineError(f"no {what} is called {name!r}; {hint}known are: {', '.join(known) or 'none yet'}")
