"""How kafka-python's producer is set up here: acknowledged by all replicas, without duplicates by retries, and never for longer than one says."""

from __future__ import annotations

from typing import Any

from driftline.contracts.errors import SettingsError
from driftline.contracts.settings import SecuritySettings
from driftline.producers.security import security_options

LINGER_MS = 5
_LONGEST_LINGER_MS = 10_000


def producer_options(
    *,
    bootstrap_servers: str,
    compression: str | None,
    max_block_ms: int,
    delivery_timeout_s: float,
    security: SecuritySettings | None,
    linger_ms: int = LINGER_MS,
) -> dict[str, Any]:
    """Return the keywords of a KafkaProducer, or raise SettingsError for a compression whose package is missing, or a
    ``linger_ms`` out of range.
    """
    # Loaded here, when a publisher is made, and not with the module or the first event: 0.1 s that no request has to wait for.
    from kafka.codec import has_lz4, has_snappy, has_zstd

    codecs = {"gzip": lambda: True, "snappy": has_snappy, "lz4": has_lz4, "zstd": has_zstd}
    if compression is not None and not codecs.get(compression, lambda: False)():
        raise SettingsError("compression", compression, "gzip, snappy, lz4 or zstd, with its package (driftline[codecs]) installed")
    if type(linger_ms) is not int or not 0 <= linger_ms <= _LONGEST_LINGER_MS:
        raise SettingsError("linger_ms", linger_ms, f"a whole number from 0 to {_LONGEST_LINGER_MS:,}")
    delivery_ms = max(2 * linger_ms + 100, int(delivery_timeout_s * 1000))
    return {
        "bootstrap_servers": [server.strip() for server in bootstrap_servers.split(",")],
        "acks": "all",
        "enable_idempotence": True,
        "compression_type": compression,
        "linger_ms": linger_ms,
        "batch_size": 1 << 17,
        "max_block_ms": max_block_ms,
        "bootstrap_timeout_ms": max(max_block_ms, 2_000),
        "delivery_timeout_ms": delivery_ms,
        "request_timeout_ms": min(30_000, delivery_ms - linger_ms),
        "reconnect_backoff_max_ms": 2_000,
        "metrics_enabled": False,
        # A misspelt topic shall be an error, not a new topic.
        "allow_auto_create_topics": False,
        **security_options(security),
    }
