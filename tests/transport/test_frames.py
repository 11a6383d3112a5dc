"""The reader of whole frames is asyncio's: the same bytes, errors and pauses however the bytes come; and nothing inside asyncio is leant on."""

from __future__ import annotations

import asyncio
import inspect
import re
import struct
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from aiokafka import conn
from hypothesis import example, given, settings
from hypothesis import strategies as st

from driftline.streams.transport import frames
from driftline.streams.transport.frames import FrameReader

LIMIT = 4
LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop, uvloop.new_event_loop]

#: What befalls a reader: so many bytes come, so many are asked for, the read that waits is cancelled, the stream ends, the connection breaks.
Event = tuple[str, int]
events = st.one_of(
    st.tuples(st.just("feed"), st.integers(1, 5 * LIMIT)),
    st.tuples(st.just("read"), st.integers(-1, 7 * LIMIT)),
    st.tuples(st.sampled_from(["cancel", "end", "break"]), st.just(0)),
)
#: A frame in pieces; a read cancelled in the middle and asked for anew; the end inside a frame; more than anybody reads.
SCRIPTS: list[list[Event]] = [
    [("read", 4), ("feed", 3), ("feed", 9), ("read", 20), *[("feed", 3)] * 5, ("read", 3), ("end", 0), ("read", 1)],
    [("read", 12), ("feed", 5), ("feed", 5), ("cancel", 0), ("read", 2), ("read", 9), ("feed", 20), ("read", 19), ("end", 0)],
    [("feed", 5), ("read", 2), ("read", 5), ("end", 0), ("read", 1)],
    [*[("feed", 3)] * 5, ("read", 5), ("read", 6), ("feed", 9), ("break", 0), ("read", 1)],
]


class Source:
    """A transport that can be paused, or can't."""

    def __init__(self, pausable: bool) -> None:
        self.pausable = pausable
        self.paused = False

    def pause_reading(self) -> None:
        if not self.pausable:
            raise NotImplementedError
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False


async def told(script: list[Event], kind: Any, pausable: bool) -> list[Any]:
    """Return what every event of a script made of a reader: what it says of itself, whether the transport is paused, what was read so far."""
    reader, source = kind(limit=LIMIT, loop=asyncio.get_running_loop()), Source(pausable)
    reader.set_transport(source)
    reads: list[asyncio.Task[bytes]] = []
    come, ended, seen = 0, False, []
    for what, size in script:
        if what == "feed" and not ended:
            reader.feed_data(bytes((come + i) % 251 for i in range(size)))
            come += size
        elif what == "read":
            reads.append(asyncio.create_task(reader.readexactly(size)))
        elif what == "cancel":
            for read in reads:
                read.cancel()
        elif what == "end":
            reader.feed_eof()
            ended = True
        elif what == "break":
            reader.set_exception(ConnectionResetError("gone"))
            ended = True
        for _ in range(5):
            await asyncio.sleep(0)
        seen.append((what, source.paused, reader.at_eof(), repr(reader.exception()), [outcome(read) for read in reads]))
    for read in reads:
        read.cancel()
    await asyncio.gather(*reads, return_exceptions=True)
    return seen


def outcome(read: asyncio.Task[bytes]) -> Any:
    if not read.done():
        return "waits"
    if read.cancelled():
        return "cancelled"
    error = read.exception()
    return (type(error), str(error), getattr(error, "partial", b"")) if error else (type(read.result()), read.result())


def run(found: Coroutine[Any, Any, Any], loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop) -> Any:
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(found)


def assert_like_asyncio_s(script: list[Event], pausable: bool, kind: Any = FrameReader) -> None:
    assert run(told(script, kind, pausable)) == run(told(script, asyncio.StreamReader, pausable))


@settings(max_examples=400)
@example(SCRIPTS[0], True)
@example(SCRIPTS[1], True)
@example(SCRIPTS[2], True)
@example(SCRIPTS[3], True)
@given(st.lists(events, max_size=25), st.booleans())
def test_whatever_befalls_it_the_reader_does_what_asyncio_s_does(script: list[Event], pausable: bool) -> None:
    assert_like_asyncio_s(script, pausable)


class LosesTheRest(FrameReader):
    def _take(self, n: int) -> bytes:
        taken = super()._take(n)
        self._pieces.clear()
        return taken


class TakesBeforeItReads(FrameReader):
    async def _until_held(self, n: int) -> None:
        self._take(min(self._held, 1))
        await super()._until_held(n)


class NeverGoesOn(FrameReader):
    def _go_on(self) -> None:
        pass


class NeverEnds(FrameReader):
    def feed_eof(self) -> None:
        self._ended = True


@pytest.mark.parametrize(("kind", "script"), list(zip([LosesTheRest, TakesBeforeItReads, NeverEnds, NeverGoesOn], SCRIPTS, strict=True)))
def test_the_law_finds_a_reader_that_does_not(kind: Any, script: list[Event]) -> None:
    with pytest.raises(AssertionError):
        assert_like_asyncio_s(script, True, kind)


def test_a_frame_wakes_its_reader_once_and_a_piece_that_is_one_is_not_copied() -> None:
    class Counted(FrameReader):
        waits = 0

        async def _until_held(self, n: int) -> None:
            self.waits += 1
            await super()._until_held(n)

    async def read() -> None:
        reader = Counted(LIMIT, asyncio.get_running_loop())
        frame = asyncio.create_task(reader.readexactly(100))
        for _ in range(100):
            await asyncio.sleep(0)
            reader.feed_data(b"x")
        assert await frame == b"x" * 100
        assert reader.waits == 1
        whole = bytes(70)
        reader.feed_data(whole)
        assert await reader.readexactly(70) is whole

    run(read())


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
def test_frames_of_all_sizes_come_through_a_socket_and_the_last_is_told_to_be_cut(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    sizes = [0, 1, 4, 100, 70_000, 3 << 20, 5, 300_000]
    bodies = [bytes([i + 1]) * size for i, size in enumerate(sizes)]

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(struct.pack(">i", len(body)) + body for body in bodies) + b"\0\0")
        await writer.drain()
        writer.close()

    async def read() -> None:
        here = asyncio.get_running_loop()
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        reader = FrameReader(conn.READER_LIMIT, here)
        closed = here.create_future()
        protocol = conn.AIOKafkaProtocol(closed, reader, loop=here)
        transport, _ = await here.create_connection(lambda: protocol, host, port)
        for body in bodies:
            (size,) = struct.unpack(">i", await reader.readexactly(4))
            assert await reader.readexactly(size) == body
        with pytest.raises(asyncio.IncompleteReadError) as cut:
            await reader.readexactly(4)
        assert (cut.value.partial, cut.value.expected) == (b"\0\0", 4)
        assert reader.at_eof()
        transport.close()
        await closed
        server.close()

    run(read(), loop)


def test_aiokafka_s_connections_read_this_way_once_it_is_installed(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def kind() -> Any:
        host, port = bootstrap.split(":")
        opened = await conn.create_conn(host, int(port))
        found = type(opened._reader)
        await opened.close()
        return found

    monkeypatch.setattr(conn, "asyncio", asyncio)
    assert run(kind()) is asyncio.StreamReader
    frames.install()
    assert run(kind()) is FrameReader


# -- what asyncio may change: the reader leans on none of its state, so long as nobody asks for more than it replaces


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_every_public_method_of_asyncio_s_reader_is_replaced() -> None:
    assert public(asyncio.StreamReader) == public(FrameReader), "a method of asyncio's StreamReader is new or gone: replace or refuse it in frames.py"


def test_what_asyncio_asks_of_a_reader_is_what_is_replaced() -> None:
    source = inspect.getsource(asyncio.StreamReaderProtocol) + inspect.getsource(asyncio.StreamWriter)
    asked = set(re.findall(r"\b_?(?:stream_)?reader\.(\w+)", source))
    assert asked >= {"feed_data", "feed_eof", "set_exception", "set_transport", "exception"}, "the pattern finds them no longer"
    # The traceback of who made it, which the base notes and nobody else writes.
    assert asked - public(FrameReader) <= {"_source_traceback"}, "asyncio asks for more of a reader than frames.py replaces"


def test_all_that_aiokafka_s_connection_takes_of_asyncio_is_there_and_it_reads_by_readexactly_alone() -> None:
    source = inspect.getsource(conn)
    assert set(re.findall(r"\basyncio\.(\w+)", source)) == {"StreamReader", "StreamReaderProtocol", "StreamWriter"}
    assert set(re.findall(r"\b_?reader\.(\w+)", source)) == {"readexactly", "at_eof"}


def test_what_does_not_come_in_frames_is_refused() -> None:
    async def read(name: str) -> None:
        await getattr(FrameReader(LIMIT, asyncio.get_running_loop()), name)()

    for name in ("read", "readline", "readuntil", "__anext__"):
        with pytest.raises(NotImplementedError, match="readexactly"):
            run(read(name))
