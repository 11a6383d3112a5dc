"""A Faust app on the batch transport."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import faust
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth, server_list

from driftline.contracts.knock import broker_answers
from driftline.health.telemetry import Telemetry
from driftline.streams.failstop import die
from driftline.streams.transport.consumer import BatchConsumer
from driftline.streams.transport.positions import LoadOffset
from driftline.streams.transport.settings import TransportSettings
from driftline.streams.transport.transport import BatchTransport
from driftline.streams.transport.versions import check_versions
from driftline.streams.watchdog import Watchdog

_OPTIONS: Final = MappingProxyType(
    {
        "stream_wait_empty": True,  # our consumer's wait: bounded, and it commits
        "stream_buffer_maxsize": 8,  # batches, not records
        "topic_allow_declare": False,  # topics are made and checked before
        "topic_disable_leader": True,
        "agent_supervisor": "mode.supervisors.CrashingSupervisor",
        "store": "memory://",
        "web_enabled": False,
    }
)


class DriftApp(faust.App):
    """Faust gives the consumer group, the assignment and the agents; every topic of the app arrives as batches.

    ``positions`` says, by topic, who knows where to go on: for topics whose state is in SQL with its offsets. Other
    topics go on at the group's commit, or at the log's beginning. ``options`` are Faust's.
    """

    consumer: BatchConsumer
    #: Whether nobody will come back under this member's name once it was told to stop.
    leaves_for_good = False

    def __init__(
        self,
        id: str,  # noqa: A002  # Faust's name
        *,
        positions: Mapping[str, LoadOffset] = MappingProxyType({}),
        transport_settings: TransportSettings = TransportSettings(),  # noqa: B008  # frozen
        **options: Any,
    ) -> None:
        check_versions()
        self._transport_settings = transport_settings
        self._positions = positions
        self.telemetry = Telemetry()
        super().__init__(id, **{**_OPTIONS, **options})

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self, settings=self._transport_settings, positions=self._positions)

    def _new_producer_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_producer, self, settings=self._transport_settings, positions=self._positions)

    async def on_first_start(self) -> None:
        """Start the watchdog; make no folders, as Faust does: nothing is kept in files."""
        loop = asyncio.get_running_loop()
        Watchdog(self.consumer.progress, self._broker_answers, loop, self._transport_settings.patience_s).start()

    def _broker_answers(self, timeout_s: float) -> bool:
        servers = server_list(self.consumer.transport.url, BatchTransport.default_port)
        tls = credentials_to_aiokafka_auth(self.conf.broker_credentials).get("ssl_context")
        return broker_answers(servers, tls, timeout_s)

    async def _producer_flush(self, logger: Any) -> None:
        # What is unsent now is sent again by whoever reads on; a rebalance must not wait for a broker that is away.
        try:
            await asyncio.wait_for(super()._producer_flush(logger), self._transport_settings.revoke_deadline_s)
        except TimeoutError:
            self.log.warning("Unsent messages are left behind; they will be made again")

    def _crash(self, reason: BaseException) -> None:
        # Faust marks services as crashed and goes on with the rest, which neither reads nor ends.
        if self._stopped.is_set() and isinstance(reason, asyncio.CancelledError):
            super()._crash(reason)
        else:
            die("faust", reason)
