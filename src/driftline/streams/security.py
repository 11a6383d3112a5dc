"""The broker's security settings as Faust wants them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import faust

from driftline.contracts.security import open_security
from driftline.contracts.settings import SecuritySettings


def credentials(security: SecuritySettings, environment: Mapping[str, str]) -> Any:
    """Return Faust's credentials, None for a plain broker. SettingsError where a file or a password is missing."""
    opened = open_security(security, environment)
    if opened.protocol == "PLAINTEXT":
        return None
    if opened.protocol == "SSL":
        return faust.SSLCredentials(context=opened.tls)
    # Without a context Faust speaks SASL over an open line and says nothing; open_security has refused that unless it was asked for.
    return faust.SASLCredentials(username=opened.username, password=opened.password, mechanism=opened.mechanism, ssl_context=opened.tls)
