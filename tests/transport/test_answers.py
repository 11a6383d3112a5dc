"""A large value of an answer is the same bytes without a copy; everything else is read as aiokafka reads it."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from aiokafka import AIOKafkaClient, conn
from aiokafka.protocol.types import Bytes, Int32
from hypothesis import given
from hypothesis import strategies as st

from driftline.streams.transport import answers
from driftline.streams.transport.answers import LARGE, Answer

lengths = st.integers(-1, 40) | st.integers(LARGE - 2, LARGE + 2)


def read(decode: Any, data: io.BytesIO) -> tuple[object, int]:
    """What is read one value after the other, and where that ends."""
    found: list[object] = []
    try:
        while data.tell() < len(data.getvalue()):
            value = decode(data)
            found.append(value if value is None else bytes(value))
    except ValueError as error:
        found.append(str(error))
    return found, data.tell()


@given(st.lists(lengths, max_size=4), st.integers(0, 9), st.booleans())
def test_whatever_an_answer_holds_is_read_as_aiokafka_reads_it(sizes: list[int], cut: int, large: bool) -> None:
    content = b"".join(Int32.encode(n) + bytes(i % 251 for i in range(max(n, 0))) for n in sizes)
    content = content[: len(content) - cut]
    assert read(answers.decode, Answer(content) if large else io.BytesIO(content)) == read(answers._decode, io.BytesIO(content))


@pytest.mark.parametrize(("n", "viewed"), [(LARGE - 1, False), (LARGE, True)])
def test_only_what_is_large_is_not_copied(n: int, viewed: bool) -> None:
    content = Int32.encode(n) + bytes(n)
    value = answers.decode(Answer(content))
    assert isinstance(value, memoryview) == viewed
    assert not viewed or value.obj is content


def test_connections_read_so_once_it_is_installed(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conn, "io", io)
    monkeypatch.setattr(Bytes, "decode", answers._decode)
    made: list[int] = []

    class Noted(Answer):
        def __init__(self, content: bytes) -> None:
            made.append(len(content))
            super().__init__(content)

    monkeypatch.setattr(answers, "Answer", Noted)
    answers.install()

    async def ask() -> None:
        client = AIOKafkaClient(bootstrap_servers=bootstrap)
        await client.bootstrap()
        await client.close()

    asyncio.run(ask())
    assert made
    assert Bytes.decode is answers.decode
