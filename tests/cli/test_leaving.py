from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import logging, logging.handlers, sys, tempfile, threading, time
from driftline.cli.step import leave

class Slow:
    def __del__(self): time.sleep(60)

kept = Slow()
threading.Thread(target=time.sleep, args=(60,)).start()
folder = tempfile.TemporaryDirectory()
print(folder.name)
held = logging.handlers.MemoryHandler(99, logging.CRITICAL, logging.StreamHandler(sys.stdout))
logging.getLogger().addHandler(held)
logging.warning("last words")
END
"""


def ended(how: str, within_s: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROGRAM.replace("END", how)], capture_output=True, text=True, timeout=within_s, check=False)


def test_a_step_leaves_with_its_last_words_and_no_files_but_does_not_take_the_interpreter_apart() -> None:
    began = time.monotonic()
    done = ended("leave(3)", 40)
    assert time.monotonic() - began < 40
    assert (done.returncode, done.stderr) == (3, "")
    folder, words = done.stdout.splitlines()
    assert words == "last words"
    assert not Path(folder).exists()


def test_the_usual_way_out_would_wait() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        ended("sys.exit(3)", 8)
