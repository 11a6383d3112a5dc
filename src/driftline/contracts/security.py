"""What a client needs to reach a secured broker, the same for every Kafka library: TLS context and credentials, made from the settings."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from driftline.contracts.errors import SettingsError
from driftline.contracts.settings import SecuritySettings

PASSWORD_VARIABLE = "DRIFTLINE_KAFKA_PASSWORD"  # noqa: S105 - the name of a variable


class Secret(str):
    """A password that shows in no repr: clients write their settings into their debug logs.

    >>> {"sasl_plain_password": Secret("hunter2")}
    {'sasl_plain_password': '***'}
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


#: Where kafka-python tells, for debugging, each byte that it sends: a password by PLAIN among them.
_WIRE_LOGS = ("kafka.protocol.parser", "kafka.net.connection")


@dataclass(frozen=True)
class ClientSecurity:
    """Opened security settings. ``password`` shows in no repr."""

    protocol: str
    mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None


def open_security(settings: SecuritySettings, environment: Mapping[str, str]) -> ClientSecurity:
    """Read the files that the settings name and return what a client needs, or raise SettingsError.

    ``environment`` may hold the password under ``DRIFTLINE_KAFKA_PASSWORD`` where no ``password_file`` is named. TLS is 1.2 or newer,
    with the broker's name checked against its certificate.

    >>> open_security(SecuritySettings(), {})
    ClientSecurity(protocol='PLAINTEXT', mechanism=None, username=None, tls=None)
    """
    tls = _tls(settings) if settings.protocol.endswith("SSL") else None
    if not settings.protocol.startswith("SASL"):
        return ClientSecurity(settings.protocol, tls=tls)
    if settings.protocol == "SASL_PLAINTEXT" and not settings.allow_sasl_plaintext:
        raise SettingsError(
            "kafka.security.protocol", settings.protocol, "SASL_SSL; or set allow_sasl_plaintext to send credentials over an open line"
        )
    if not settings.username:
        raise SettingsError("kafka.security.username", settings.username, f"a user name, for the protocol is {settings.protocol}")
    password = _password(settings, environment)
    for name in _WIRE_LOGS:
        logging.getLogger(name).addFilter(_not_debug)
    return ClientSecurity(settings.protocol, settings.mechanism, settings.username, password, tls)


def _not_debug(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def _password(settings: SecuritySettings, environment: Mapping[str, str]) -> Secret:
    if settings.password_file:
        password = _opened("password_file", settings.password_file).decode().rstrip("\r\n")
    else:
        password = environment.get(PASSWORD_VARIABLE, "")
    if not password:
        raise SettingsError(
            "kafka.security.password_file", settings.password_file, f"a file with the password in it, or the variable {PASSWORD_VARIABLE}"
        )
    return Secret(password)


def _tls(settings: SecuritySettings) -> ssl.SSLContext:
    if settings.ca_file:
        _opened("ca_file", settings.ca_file)
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except ssl.SSLError as error:
        raise SettingsError("kafka.security.ca_file", settings.ca_file, f"certificates in PEM form ({error.reason})") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.cert_file:
        for name, path in (("cert_file", settings.cert_file), ("key_file", settings.key_file)):
            if path:
                _opened(name, path)
        try:
            # Asked for a pass phrase, OpenSSL would read it from the terminal; a service has none.
            context.load_cert_chain(settings.cert_file, settings.key_file, password="")
        except (ssl.SSLError, ValueError) as error:
            raise SettingsError(
                "kafka.security.cert_file", settings.cert_file, f"a certificate in PEM form whose key is in key_file, not encrypted ({error})"
            ) from None
    return context


def _opened(name: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"kafka.security.{name}", path, f"a file that can be read ({error.strerror})") from None
