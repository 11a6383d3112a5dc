from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from driftline.streams.watchdog import Progress, Watch, away, look, verdict

SRC = str(Path(__file__).parents[2] / "src")
A, B = TP("a", 0), TP("b", 1)


def after(*sights: tuple[float, Mapping[TP, Progress] | None]) -> Watch:
    watch = Watch(0.0, {})
    for now, seen in sights:
        watch = look(watch, now, seen)
    return watch


def test_a_partition_that_moves_is_not_stuck_however_far_behind() -> None:
    watch = after(*((float(i), {A: Progress(i, 10_000)}) for i in range(100)))
    assert verdict(watch, 100.0, patience_s=2.0) is None


def test_a_partition_read_to_its_end_is_not_stuck() -> None:
    watch = after(*((float(i), {A: Progress(7, 7)}) for i in range(100)))
    assert verdict(watch, 100.0, patience_s=2.0) is None


def test_patience_counts_from_when_there_was_something_to_read() -> None:
    idle = [(float(i), {A: Progress(7, 7)}) for i in range(100)]
    watch = after(*idle, *((100.0 + i, {A: Progress(7, 8)}) for i in range(5)))
    assert verdict(watch, 104.0, patience_s=6.0) is None
    assert verdict(look(watch, 106.5, {A: Progress(7, 9)}), 106.5, patience_s=6.0) == ("a[0] has stood at offset 7 for 8 s with more to read")


def test_a_partition_that_was_lost_and_came_back_starts_with_fresh_patience() -> None:
    watch = after((0.0, {A: Progress(7, 9), B: Progress(1, 1)}), (5.0, {B: Progress(1, 1)}), (6.0, {A: Progress(7, 9)}))
    assert verdict(watch, 10.0, patience_s=5.0) is None


def test_no_answer_for_too_long_is_a_verdict_and_an_answer_resets_it() -> None:
    watch = after((1.0, {}), (2.0, None), (11.5, None))
    assert verdict(watch, 11.5, patience_s=10.0) == "no word from the event loop or the consumer group for 10 s, although the broker answers"
    assert verdict(look(watch, 11.6, {}), 12.0, patience_s=10.0) is None


def test_the_time_a_broker_was_away_counts_for_nothing() -> None:
    watch = after((0.0, {A: Progress(7, 9)}), (3.0, {A: Progress(7, 9)}))
    for now in range(4, 100):
        watch = away(watch, float(now))
        assert verdict(watch, float(now), patience_s=5.0) is None
    watch = look(watch, 101.0, {A: Progress(7, 9)})
    assert verdict(watch, 101.0, patience_s=5.0) is None
    assert verdict(look(watch, 103.0, {A: Progress(7, 9)}), 103.0, patience_s=5.0) == "a[0] has stood at offset 7 for 7 s with more to read"


Sight = tuple[int, int] | None
"""How far a partition is and how much is left to read; None: the broker is away."""


@given(st.lists(st.none() | st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_only_standing_still_with_work_for_the_whole_patience_is_a_verdict(sights: list[Sight]) -> None:
    watch, stood, before = Watch(0.0, {}), 0.0, None
    for now, sight in enumerate(sights):
        if sight is None:
            watch = away(watch, float(now))
            continue
        done, lag = sight
        # The second before this sight was one of standing still if the broker was there at both of its ends, or is back.
        stood = stood + (now > 0) if before == done and lag else 0.0
        before = done
        watch = look(watch, float(now), {A: Progress(done, done + lag)})
    assert (verdict(watch, len(sights) - 1.0, patience_s=4.0) is not None) == (stood > 4.0)


def run(ask: str, *, broker: str) -> subprocess.CompletedProcess[str]:
    """A process whose watchdog has eight tenths of a second of patience, for two and a half."""
    program = (
        "import asyncio, time\n"
        "from driftline.streams.watchdog import Watchdog\n"
        "async def main():\n"
        f"    async def ask(): {ask}\n"
        f"    Watchdog(ask, lambda timeout_s: {broker}, asyncio.get_running_loop(), patience_s=0.8).start()\n"
        "    await asyncio.sleep(2.5)\n"
        "    print('lived')\n"
        "asyncio.run(main())\n"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False, env={"PYTHONPATH": SRC})


def test_a_client_that_hangs_ends_the_process_where_the_broker_answers_others() -> None:
    done = run("await asyncio.sleep(60)", broker="True")
    assert done.returncode == 70
    assert "although the broker answers" in done.stderr


@pytest.mark.parametrize("ask", ["await asyncio.sleep(60)", "raise ConnectionError"])
def test_a_broker_that_is_away_ends_nothing(ask: str) -> None:
    done = run(ask, broker="False")
    assert (done.returncode, done.stdout) == (0, "lived\n")


def test_a_loop_that_hangs_ends_the_process_wherever_the_broker_is() -> None:
    done = run("time.sleep(60)", broker="False")
    assert done.returncode == 70


def test_an_idle_worker_is_left_alone() -> None:
    done = run("return {}", broker="1 / 0")
    assert (done.returncode, done.stdout) == (0, "lived\n")
