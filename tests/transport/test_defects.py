"""What stock Faust does with offsets, and what this transport does: every law is put to both, and stock has to break it.

=== ============================================================== ==========================
law what has to hold                                               defect of stock Faust
=== ============================================================== ==========================
A   an unfinished record at the head is never committed past       its record is lost
B   offsets without records do not hold commits up                 one gap closes per commit
C   an unfinished record behind a gap is never committed past      its record is lost
D   what is done is committed before its partition goes            all of it is done again
J   a reader goes on as soon as there is room                      it sleeps for a second
=== ============================================================== ==========================

Laws E, G, H and I are about processes: ``test_defects_live.py``, with D's other half.
"""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.transport.desk import KINDS, Kind, T, desk, lives_up

every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_a_an_unfinished_record_at_the_head_is_never_committed_past(kind: Kind) -> None:
    async def scenario() -> None:
        async with desk(kind, range(100, 103), committed=100) as work:
            await work.all_handed()
            work.done(101)
            work.done(102)
            await work.consumer.commit()
            assert lives_up(kind, work.log.committed <= 100)

    asyncio.run(scenario())


@every_kind
def test_b_one_commit_reaches_the_end_however_many_transactions_left_their_markers(kind: Kind) -> None:
    transactions = 50
    records = [11 * transaction + i for transaction in range(transactions) for i in range(10)]

    async def scenario() -> None:
        async with desk(kind, records, committed=0, longest_poll=100) as work:
            await work.all_handed()
            work.done(*records)
            await work.consumer.commit()
            assert lives_up(kind, work.log.committed == records[-1] + 1)
            for _ in range(transactions):
                await work.consumer.commit()
            # Stock gets there too, a marker a commit: a worker that never stops reading never does.
            assert work.log.committed == records[-1] + 1
            assert lives_up(kind, len(work.log.commits) == 1)

    asyncio.run(scenario())


@every_kind
def test_c_an_unfinished_record_behind_a_gap_is_never_committed_past(kind: Kind) -> None:
    async def scenario() -> None:
        async with desk(kind, [1, 2, 3, 4, 5, 8, 9], committed=1) as work:
            await work.all_handed()
            work.done(1, 2, 3, 4, 5, 9)
            for _ in range(3):
                await work.consumer.commit()
            assert lives_up(kind, work.log.committed <= 8)

    asyncio.run(scenario())


@every_kind
def test_d_what_is_done_is_committed_before_its_partition_goes(kind: Kind) -> None:
    async def scenario() -> None:
        async with desk(kind, range(500), committed=0, longest_poll=100) as work:
            await work.all_handed()
            work.done(*range(500))
            await work.consumer.on_partitions_revoked({T})
            assert lives_up(kind, work.log.committed == 500)

    asyncio.run(scenario())


@every_kind
def test_j_a_reader_goes_on_as_soon_as_there_is_room(kind: Kind) -> None:
    async def scenario() -> None:
        async with desk(kind, range(20), committed=0) as work:
            await work.all_handed()
            work.consumer.on_buffer_full(T)
            work.log.offsets = range(21)
            await asyncio.sleep(0.1)
            assert 20 not in work.handed
            room = time.monotonic()
            work.consumer.on_buffer_drop(T)
            await work.all_handed()
            assert lives_up(kind, time.monotonic() - room < 0.5)

    asyncio.run(scenario())
