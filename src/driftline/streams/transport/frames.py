"""The bytes of an answer, put together once. asyncio's reader adds every piece to a buffer that grows, wakes who reads, and copies the answer out.

An answer to a fetch is some MiB, and comes in pieces of up to 256 KiB. Here they are kept as they come and joined when all of it is here: about half
of the processor's time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import SimpleNamespace
from typing import Any, NoReturn

from aiokafka import conn


class FrameReader(asyncio.StreamReader):
    """asyncio's ``StreamReader`` for who knows how much is to come: ``readexactly`` alone reads.

    Nothing of the base's state is used, whatever it becomes: each public method is replaced. It is the base because ``StreamWriter`` wants one.
    """

    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit, loop)
        self._most_held = limit
        self._pieces: deque[bytes | memoryview] = deque()
        #: How many bytes the pieces have, and how many of these are waited for.
        self._held = 0
        self._wanted = 0
        self._arrived: asyncio.Future[None] | None = None
        self._ended = False
        self._error: Exception | None = None
        self._source: Any = None
        self._stopped = False

    def set_transport(self, transport: asyncio.BaseTransport) -> None:
        """Say what is paused while more is here than is read."""
        self._source = transport

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]  # the base takes any numbers; transports give bytes
        """Take what came. Wakes the reader when all that it waits for is here; until then nothing is paused, or it would never be."""
        self._pieces.append(data)
        self._held += len(data)
        if self._held < self._wanted:
            return
        self._wake()
        if self._source is not None and not self._stopped and self._held > 2 * self._most_held:
            try:
                self._source.pause_reading()
            except NotImplementedError:
                self._source = None  # all of it has to be kept, then
            else:
                self._stopped = True

    def feed_eof(self) -> None:
        """Say that no more will come."""
        self._ended = True
        self._wake()

    def at_eof(self) -> bool:
        """Say whether all was read that there will ever be."""
        return self._ended and not self._held

    def exception(self) -> Exception | None:
        """Return the error that the connection ended with, if it did."""
        return self._error

    def set_exception(self, exc: Exception) -> None:
        """End every read with ``exc``, the one that waits now too."""
        self._error = exc
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_exception(exc)

    async def readexactly(self, n: int) -> bytes:
        """Return the next ``n`` bytes. Raises IncompleteReadError, with what there was, where the stream ends before.

        Raises what ``set_exception`` said, and RuntimeError where another one waits already. A read that is cancelled has taken nothing.
        """
        if n < 0:
            raise ValueError("readexactly size can not be less than zero")
        if self._error is not None:
            raise self._error
        if n == 0:
            return b""
        while self._held < n:
            if self._ended:
                raise asyncio.IncompleteReadError(self._take(self._held), n)
            await self._until_held(n)
        taken = self._take(n)
        if self._held <= self._most_held:
            self._go_on()
        return taken

    async def _until_held(self, n: int) -> None:
        if self._arrived is not None:
            raise RuntimeError("readexactly() called while another coroutine is already waiting for incoming data")
        self._go_on()
        self._wanted, self._arrived = n, asyncio.get_running_loop().create_future()
        try:
            await self._arrived
        finally:
            self._wanted, self._arrived = 0, None

    def _take(self, n: int) -> bytes:
        taken, missing = [], n
        while missing:
            piece = self._pieces.popleft()
            if len(piece) > missing:
                whole = memoryview(piece)
                piece = whole[:missing]
                self._pieces.appendleft(whole[missing:])
            taken.append(piece)
            missing -= len(piece)
        self._held -= n
        return b"".join(taken)  # which does not copy a piece that is all of it

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    def _go_on(self) -> None:
        if self._stopped:
            self._stopped = False
            self._source.resume_reading()

    async def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise NotImplementedError("what comes in frames is read by readexactly")

    read = readline = readuntil = _refuse


def install() -> None:
    """Have aiokafka's connections read this way, those that this process opens from now on."""
    # `AIOKafkaConnection.connect` makes its reader by this name, in the middle of forty lines.
    conn.asyncio = SimpleNamespace(**{**vars(asyncio), "StreamReader": FrameReader})
