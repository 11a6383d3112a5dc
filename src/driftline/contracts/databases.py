"""Which addresses of a database are accepted, told before a database is asked; and an address without its password."""

from __future__ import annotations

import re

from driftline.contracts.errors import SettingsError

ACCEPTED = "sqlite:///file or postgresql+psycopg://user@host/name"

_SQLITE = re.compile(r"sqlite(\+pysqlite)?:///(?!:memory:(\?|$))[^?]+(\?.*)?")
#: A user with a password, if need be, at a host (IPv6 in brackets) with a port: each may be left out.
_POSTGRESQL = re.compile(
    r"(postgres|postgresql|postgresql\+psycopg)://([^:/@?]*(:[^@]*)?@)?(\[[0-9A-Fa-f:.%]+\]|[^\[\]:/?@]*)(:[0-9]{1,5})?(/[^?]*)?(\?[^@]*)?"
)


def check_database(field: str, url: str) -> None:
    """Raise SettingsError for what is no address of a database that Driftline can use; ``field`` is where it stands.

    >>> check_database("database", "postgresql+psycopg://ann:secret@db:5432/drift?sslmode=require")
    >>> check_database("database", "banana")
    Traceback (most recent call last):
    driftline.contracts.errors.SettingsError: database: 'banana' is not accepted; expected sqlite:///file or postgresql+psycopg://user@host/name
    """
    if not (_SQLITE.fullmatch(url) or _POSTGRESQL.fullmatch(url)) or not url.isprintable():
        raise SettingsError(field, redacted_url(url), ACCEPTED)


def redacted_url(url: str) -> str:
    """Return a database's URL without its password.

    >>> redacted_url("postgresql+psycopg://ann:se@cret@db/drift?password=x&sslmode=require")
    'postgresql+psycopg://ann:***@db/drift?password=***&sslmode=require'
    """
    scheme, sep, rest = url.partition("://")
    if not sep:  # no URL, and may hold a password all the same
        return re.sub(r":[^@]*@", ":***@", url)
    place, mark, query = rest.partition("?")
    login, at, host = place.rpartition("@")
    user, colon, _ = login.partition(":")
    hidden = (user + (":***" if colon else "") + at) + host
    parts = [f"{name}={'***' if 'password' in name.lower() else value}" for name, _, value in (p.partition("=") for p in query.split("&") if p)]
    return scheme + sep + hidden + mark + "&".join(parts)
