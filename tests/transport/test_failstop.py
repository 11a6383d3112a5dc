from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from driftline.streams.failstop import or_die

SRC = str(Path(__file__).parents[2] / "src")


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"PYTHONPATH": SRC},
    )


def test_a_step_that_raises_leaves_one_line_of_json_the_logs_and_code_70() -> None:
    done = run(
        "import asyncio, logging, logging.handlers, sys\n"
        "from driftline.streams.failstop import or_die\n"
        "logs = logging.handlers.MemoryHandler(99, logging.CRITICAL, logging.StreamHandler(sys.stdout))\n"
        "logging.getLogger().addHandler(logs)\n"
        "async def step(): raise RuntimeError('x' * 9999)\n"
        "async def main():\n"
        "    logging.warning('before')\n"
        "    try: await or_die(step(), 'flush')\n"
        "    finally: print('went on')\n"
        "asyncio.run(main())\n"
    )
    assert done.returncode == 70
    assert done.stdout == "before\n"
    said = json.loads(done.stderr)
    assert said["step"] == "flush"
    assert said["error"] == "RuntimeError"
    assert said["message"] == "x" * 500
    assert said["trace"][-1].endswith("step")


def test_a_process_ends_even_if_its_logs_can_t_be_flushed() -> None:
    done = run(
        "import logging, threading\n"
        "from driftline.streams.failstop import die\n"
        "handler = logging.StreamHandler(); logging.getLogger().addHandler(handler)\n"
        "held = threading.Event()\n"
        "def hang(): handler.acquire(); held.set(); threading.Event().wait()\n"
        "threading.Thread(target=hang, daemon=True).start(); held.wait()\n"
        "die('flush', RuntimeError('stuck'))\n"
    )
    assert done.returncode == 70
    assert "stuck" in done.stderr


async def given() -> int:
    return 5


async def cancelled() -> int:
    raise asyncio.CancelledError


def test_a_step_s_result_and_its_cancellation_pass_through() -> None:
    assert asyncio.run(or_die(given(), "step")) == 5
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(or_die(cancelled(), "step"))
