"""Security settings in kafka-python's words."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from driftline.contracts.security import open_security
from driftline.contracts.settings import SecuritySettings


def security_options(settings: SecuritySettings | None, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the keywords that any of kafka-python's clients takes, or raise SettingsError.

    >>> security_options(SecuritySettings())
    {'security_protocol': 'PLAINTEXT'}
    """
    opened = open_security(settings or SecuritySettings(), environment)
    options: dict[str, Any] = {"security_protocol": opened.protocol}
    if opened.tls is not None:
        options["ssl_context"] = opened.tls
    if opened.mechanism is not None:
        options |= {
            "sasl_mechanism": opened.mechanism,
            "sasl_plain_username": opened.username,
            "sasl_plain_password": opened.password,
        }
    return options
