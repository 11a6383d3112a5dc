"""The wheel as it would be published, and an empty environment to install it into."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Next to this environment's Python, like it installed from the lock.
UV = Path(sysconfig.get_path("scripts")) / "uv"


def build_wheel(folder: Path) -> Path:
    """Build the wheel with the build backend of this environment: nothing is fetched for it."""
    hatchling = "import os, sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", hatchling, str(folder)], cwd=ROOT, check=True, capture_output=True, text=True, timeout=100)
    return folder / done.stdout.strip().splitlines()[-1]


def empty_environment(folder: Path) -> Path:
    """Make an environment with nothing in it and return its Python."""
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder], check=True, timeout=100)
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def install(python: Path, wheel: str, *, constraints: Path) -> str | None:
    """Install a wheel and what it requires, in the versions of the lock; from what is at hand where that will do. Return why it can't be done."""
    command: list[str | Path] = [UV, "pip", "install", "--quiet", "--python", python, "--constraint", constraints, wheel]
    failure = ""
    for where in ("--offline", "--no-progress"):
        done = subprocess.run([*command, where], capture_output=True, text=True, timeout=200, check=False)
        if done.returncode == 0:
            return None
        failure = done.stderr.strip()
    return failure


def locked_versions(target: Path) -> Path:
    """Write the lock's versions, without their hashes, to a file of constraints."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    target.write_text("\n".join(line.removesuffix("\\").rstrip() for line in lines if line and line[0].isalnum()) + "\n")
    return target
