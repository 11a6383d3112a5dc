"""What can be set about the transport."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TransportSettings:
    """How the transport waits. Faust's own settings (group, session, static membership, credentials) stay Faust's.

    The longest a fetch waits at the broker, ``fetch_max_wait_ms``, is the price of latency: an idle partition's wait
    holds up the busy ones of the same broker (Faust has 1,500 ms). Until ``fetch_min_bytes`` are there it does wait so
    long: a step pays for each batch (a transaction, a round of messages) more than for the records in it.
    ``poll_timeout_s`` bounds how long the reader waits before it looks round, ``revoke_deadline_s`` how long a
    rebalance waits for the batches at work and their commit, ``drain_deadline_s`` how long a stop does,
    ``request_timeout_s`` any single question to the broker. ``patience_s`` is the watchdog's.

    The records of ``packed_topics`` are read many at a time: none is made an object before somebody asks for it.
    """

    fetch_max_wait_ms: int = 50
    fetch_min_bytes: int = 32_768
    poll_timeout_s: float = 0.25
    revoke_deadline_s: float = 3.0
    drain_deadline_s: float = 3.0
    request_timeout_s: float = 30.0
    patience_s: float = 120.0
    packed_topics: frozenset[str] = frozenset()
