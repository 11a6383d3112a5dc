"""The consumer: one message per partition and poll, commits up to an offset that the agent names.

Only the reader seeks. A seek beside a fetch under way could hand out records of the old place as if they were of the
new one, and Faust's read loop, which remembers the last offset it gave out, would drop what is read again. So whoever
wants the reader elsewhere (a rebalance, an agent's rewind, an offset that is gone) starts a new epoch, and the reader
seeks every assigned partition before it fetches for that epoch.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import KafkaError
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP
from faust.types.tuples import Message, ack_lock

from driftline.streams.failstop import die, or_die
from driftline.streams.received import Records
from driftline.streams.transport.batch import Batch
from driftline.streams.transport.positions import PositionBeyondEnd, StartPosition, start_position
from driftline.streams.transport.thread import BatchConsumerThread
from driftline.streams.transport.tracker import Tracker
from driftline.streams.watchdog import Progress

if TYPE_CHECKING:
    from driftline.streams.transport.transport import BatchTransport

_LOOK_ROUND_S: Final = 0.01
"""How long the reader waits for the running partitions while the buffers of others are full and may empty any time."""


@dataclass(frozen=True)
class Ends:
    """The next offset of each partition, asked of the broker after ``asked_at`` (epoch ms): none was less by then."""

    asked_at: int
    offsets: Mapping[TP, int]


class BatchConsumer(Consumer):
    """Faust's Kafka consumer with our reading, tracking and committing."""

    _thread: BatchConsumerThread

    def __init__(self, transport: BatchTransport, *args: Any, **kwargs: Any) -> None:
        self._settings = transport.settings
        self._positions = transport.positions
        self._tracker = Tracker()
        self._room = asyncio.Event()
        self._handing_over = False
        super().__init__(transport, *args, **kwargs)

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, self._settings, loop=self.loop, beacon=self.beacon)

    # ------------------------------------------------------------------------------------------------ for the agents

    @property
    def epoch(self) -> int:
        """Grows with every rebalance and rewind; what an agent remembers of an older one is void."""
        return self._tracker.epoch

    def start_of(self, tp: TP) -> StartPosition:
        """Where ``tp`` was sought in the current epoch, and the metadata of its commit; KeyError between epochs."""
        return self._tracker.start_of(tp)

    def commit_to(self, tp: TP, offset: int, epoch: int, metadata: str = "", resume_at: int | None = None) -> bool:
        """Name what may be committed, see :meth:`Tracker.commit_to`. It is written by a timer, a rebalance, a stop."""
        return self._tracker.commit_to(tp, offset, epoch, metadata, resume_at)

    def position_after(self, tp: TP, offset: int) -> int:
        """Return ``offset``, or the offset up to which the log holds no records after it; KeyError between epochs.

        A transaction's marker takes an offset at the log's end that no batch will ever reach: an agent that is done
        below ``offset`` has read everything if this is not less than :meth:`end_offsets` says.
        """
        return self._tracker.position_after(tp, offset)

    async def end_offsets(self, *tps: TP) -> Ends:
        """Ask the broker where partitions end. The clock is read first: what came later is not in the answer's time.

        Raises KafkaError or TimeoutError where there is no answer now; whoever asks by a timer asks again.
        """
        asked_at = time.time_ns() // 1_000_000
        return Ends(asked_at, await self._thread.end_offsets(tps))

    def rewind(self, why: str) -> None:
        """Drop everything under way and read every assigned partition again from where its state stands.

        At once a new epoch begins, so that an agent leaves what is still queued for it alone.
        """
        self.log.info("Rewinding: %s", why)
        self._tracker.forget()

    async def progress(self) -> Mapping[TP, Progress] | None:
        """How far each partition of this epoch is; None while a rebalance or a seek is under way."""
        tps = self._tracker.partitions
        if self.app.rebalancing or not self._tracker.begun:
            return None
        epoch, ends = self.epoch, (await self.end_offsets(*tps)).offsets if tps else {}
        return {tp: Progress(self._tracker.progress_of(tp), ends[tp]) for tp in tps} if self.epoch == epoch else None

    # ------------------------------------------------------------------------------------------------------- reading

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109
        """Yield a batch of each partition that one poll brought records of."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]  # mode's Event is asyncio's
        if self.should_stop:
            return
        if self._handing_over:
            # The reader was cancelled with records in its hands: nobody will get them.
            self._tracker.forget()
        self._handing_over = True
        if self._tracker.begun or await self._seek_all():
            epoch, generation = self.epoch, self.app.consumer_generation_id
            for tp, records in (await self._poll(timeout)).items():
                if not self.flow_active or self.epoch != epoch or self.app.consumer_generation_id != generation:
                    return  # with records in hand: a rebalance or a rewind has begun
                follows = self._tracker.deliver(tp, records.bare[-1].offset + 1)
                yield tp, Batch(tp, records, epoch, follows, generation)
        self._handing_over = False

    async def _poll(self, timeout_s: float) -> Mapping[TP, Records]:
        # A partition that a rebalance has just brought is running already, and not yet sought.
        active = self._get_active_partitions() & self._tracker.partitions
        if not active:
            await self._wait_for_room()
            return {}
        # aiokafka notices a partition that was resumed only when the wait is over.
        longest = _LOOK_ROUND_S if self._buffered_partitions else self._settings.poll_timeout_s
        try:
            poll = await self._thread.poll(active, min(timeout_s, longest))
        except KafkaError as error:
            # The place is lost: an offset that retention took, or records that could not be read (CRC, codec).
            self.log.warning("Reading again from the last state, after %r", error)
            self._tracker.forget()
            await self.sleep(self._settings.poll_timeout_s)
            return {}
        for tp, position in poll.positions.items():
            if tp not in poll.records and tp in self._tracker.partitions:  # none in an epoch that is over
                self._tracker.read_to(tp, position)
        return poll.records

    async def _wait_for_room(self) -> None:
        self._room.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._room.wait(), self._settings.poll_timeout_s)

    def on_buffer_drop(self, tp: TP) -> None:
        """Call when an agent has room again."""
        super().on_buffer_drop(tp)
        self._room.set()

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Do nothing: the tracker knows offsets, not messages."""

    # ------------------------------------------------------------------------------------------------------- seeking

    async def perform_seek(self) -> None:
        """Have the reader seek. Faust calls this after a rebalance, before it lets the reader go on."""
        self._tracker.forget()

    async def _seek_all(self) -> bool:
        await self._commit_under_way()  # so that the answer has it
        epoch, tps = self.epoch, self.assignment()
        try:
            hooks = {tp: self._positions[tp.topic] for tp in tps if tp.topic in self._positions}
            held = {tp: await or_die(hook(tp), "position") for tp, hook in hooks.items()}
            bounds = await self._thread.log_bounds(tps) if tps else {}
            starts = {tp: start_position(tp, bounds[tp], held.get(tp)) for tp in tps}
            await self._thread.seek_all({tp: start.offset for tp, start in starts.items()})
        except PositionBeyondEnd as error:
            die("seek", error)
        except (KafkaError, TimeoutError) as error:
            # A rebalance came in between (IllegalStateError), or the broker is not to be had just now.
            self.log.warning("Could not seek, trying again: %r", error)
            await self.sleep(self._settings.poll_timeout_s)
            return False
        if self.epoch != epoch:
            return False
        for tp, start in starts.items():
            if start.lost:
                self.log.warning("%s: %d offsets before %d are gone from the log, unread", tp, start.lost, start.offset)
            self._read_offset[tp] = None
        self._tracker.begin(starts)
        return True

    # ------------------------------------------------------------------------------------------- acks and commits

    def ack(self, message: Message) -> bool:
        """Note that an agent is done with a message. Commits nothing; a second time is nothing new."""
        with ack_lock:
            if message.acked:
                return False
            message.acked = True
            self._unacked_messages.discard(message)
        if isinstance(message, Batch):
            self._tracker.ack(message.tp, message.next, message.epoch)
        return True

    async def force_commit(self, topics: object = None, start_new_transaction: bool = True) -> bool:  # noqa: FBT001, FBT002
        """Write what the agents named and Kafka doesn't hold yet; what could not be written stays due."""
        epoch, due = self.epoch, self._tracker.due()
        if not due or not await self._thread.write(due):
            return False
        self._tracker.written(due, epoch)
        return True

    async def _commit_under_way(self) -> None:
        # Faust's own way of waiting takes no cancellation, and so no deadline.
        while self._commit_fut is not None:
            await asyncio.wait([self._commit_fut])

    async def wait_empty(self) -> None:
        """Wait for the batches at work, then commit, within the deadline. Faust calls this before partitions go."""
        loop = asyncio.get_running_loop()
        # Others wait for a rebalance; nobody waits for one who leaves.
        patience_s = self._settings.drain_deadline_s if self.app.should_stop else self._settings.revoke_deadline_s
        deadline = loop.time() + patience_s
        try:
            # The last third belongs to the commit.
            async with asyncio.timeout_at(deadline - patience_s / 3):
                while any(not message.acked for message in self.unacked):  # noqa: ASYNC110  # seldom, and not for long
                    await asyncio.sleep(_LOOK_ROUND_S)
        except TimeoutError:
            self.log.warning("Not waiting longer for %d batches; they will be read again", len(self.unacked))
        try:
            async with asyncio.timeout_at(deadline):
                await self._commit_under_way()  # begun before the last offsets were named
                await self.commit()
        except TimeoutError:
            self.log.warning("No commit within the deadline; what was named will be read again")

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """End the epoch. Faust stops the flow, empties the agents' queues and calls :meth:`wait_empty` on the way."""
        await super().on_partitions_revoked(revoked)
        self._tracker.forget()
        self._buffered_partitions.clear()

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Say nothing: Faust's livelock alarms watch its own acks. Our watchdog acts."""
