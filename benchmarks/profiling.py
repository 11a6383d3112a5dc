"""Where the time goes: py-spy beside a running process, and what it saw as two tables.

Only threads that hold the interpreter's lock are counted, for one that waits can't always be told from one that computes. What C code does without
the lock (librdkafka's fetching, compression) is not in these tables, though its processor time is in the figures.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.running import PEERS_VENV, ROOT, BenchError, Process, System
from benchmarks.scene import Progress

_results = ROOT / "benchmarks" / "results"
_SECONDS = 5
_RATE = 200
_LINES = 25
_PROBE = "Probe._watch"
#: Below everything: says nothing of what it calls.
_PLUMBING = ("runpy", "(threading.py)", "(asyncio/", "(mode/", "<module>")


def profile_into(folder: Path) -> None:
    """Say where profiles are written."""
    global _results  # noqa: PLW0603
    _results = folder


def profile(system: System, name: str, progress: Progress, seconds: int = _SECONDS) -> None:
    """Write ``results/profile-<name>.txt`` for each process of a system, once it has begun to read. What can't be profiled says why in the file."""
    tool = PEERS_VENV.with_name("py-spy")
    system.wait(lambda: all((s := p.last()) is not None and s.taken > 0 for p in system.processes), 60)
    progress(f"profile of {name}, {seconds} s")
    pending = []
    for process in system.processes:
        folded = Path(tempfile.mkstemp(suffix=".folded")[1])
        command = [str(tool), "record", "--pid", str(process.handle.pid), "--duration", str(seconds), "--rate", str(_RATE), "--format", "raw",
                   "--gil", "--output", str(folded)]  # fmt: skip
        if tool.exists():
            pending.append((process, folded, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)))
    for process, folded, running in pending:
        try:
            said, _ = running.communicate(timeout=seconds + 30)
        except subprocess.TimeoutExpired:
            running.kill()
            said, _ = running.communicate()
        target = _results / f"profile-{name}{'' if len(system.processes) == 1 else '-' + process.name}.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        text = folded.read_text() if folded.is_file() else ""
        target.write_text(_tables(text, process, seconds) if text.strip() else f"py-spy saw nothing of {process.name}: {said[-500:]}\n")
        folded.unlink(missing_ok=True)
    if not pending:
        raise BenchError("no profile: py-spy is not installed in .bench/venv")


def _tables(folded: str, process: Process, seconds: int) -> str:
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    total = 0
    for line in folded.splitlines():
        stack, _, times = line.rpartition(" ")
        if _PROBE in stack:
            continue
        n, frames = int(times), [_short(frame) for frame in stack.split(";") if frame.strip()]
        if not frames:
            continue
        total += n
        own[frames[-1]] += n
        for frame in set(frames):
            whole[frame] += 0 if any(place in frame for place in _PLUMBING) else n
    head = f"{process.name}: py-spy, {seconds} s at {_RATE} Hz, {total} samples of the thread that held the interpreter\n"
    return "\n".join([head, *_table("itself", own, total), "", *_table("with what it calls", whole, total), ""])


def _table(title: str, counts: Counter[str], total: int) -> list[str]:
    return [f"share {title}", *(f"{100 * n / total:5.1f} %  {frame}" for frame, n in counts.most_common(_LINES))]


def _short(frame: str) -> str:
    """Return function and file without the machine's path and without the line."""
    function, _, place = frame.partition(" (")
    file = place.rstrip(")").rpartition(":")[0] or place.rstrip(")")
    for root in ("site-packages/", "src/", "lib/python3"):
        if root in file:
            file = file.rpartition(root)[2]
    return f"{function} ({file.removeprefix(str(ROOT) + '/')})"
