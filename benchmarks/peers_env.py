"""The peers' environment, .bench/venv: made once for each state of ``peers/requirements.txt``. What can't be installed is named, and left out."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable

from benchmarks.running import PEERS_VENV, ROOT, VENV

_REQUIREMENTS = ROOT / "benchmarks" / "peers" / "requirements.txt"
_UV = VENV.with_name("uv")
_STAMP = ROOT / ".bench" / "stamp"


def ensure(progress: Callable[[str], None]) -> dict[str, str]:
    """Make the environment if it isn't there; return what could not be installed, and why."""
    content = _REQUIREMENTS.read_text()
    stamp = hashlib.sha256(content.encode()).hexdigest()
    if PEERS_VENV.exists() and _STAMP.is_file() and _STAMP.read_text() == stamp:
        return {}
    progress("installing the peers into .bench/venv ...")
    made = _run("venv", "--quiet", "--clear", "--python", str(VENV), str(PEERS_VENV.parents[1]))
    if made:
        return {".bench/venv": made}
    if not _install("-r", str(_REQUIREMENTS)):
        _STAMP.write_text(stamp)
        return {}
    # Not all of them together: then those that can be had, one by one.
    wanted = [line for line in content.splitlines() if line and not line.startswith("#")]
    refused = {requirement: said for requirement in wanted if (said := _install(requirement))}
    for requirement, said in refused.items():
        progress(f"{requirement} can't be installed: {said}")
    return refused


def _install(*what: str) -> str:
    return _run("pip", "install", "--quiet", "--compile-bytecode", "--python", str(PEERS_VENV), *what)


def _run(*arguments: str) -> str:
    """Return the empty string, or what went wrong."""
    done = subprocess.run([str(_UV), *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return (done.stderr.strip()[-500:] or f"exit {done.returncode}") if done.returncode else ""
