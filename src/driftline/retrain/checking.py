"""Whether the trainers that settings name can be loaded: ``python -m driftline.retrain.checking``, in a process of its own as every run is, so that
what is found here is found there (the current folder is on the path of both), and what an import does harms nobody.
"""

from __future__ import annotations

import os
import subprocess
import sys

from driftline.contracts.errors import SettingsError
from driftline.contracts.settings import ModelSettings, Settings
from driftline.retrain.trainers import ACCEPTED, load_trainer

_LONGEST_S = 60


def check_trainers(settings: Settings) -> None:
    """Load every trainer once, and raise SettingsError for the first that can't be. Driftline's own needs no trial."""
    fields: dict[str, str] = {}
    for place, model in settings.by_place().items():
        fields.setdefault(model.trainer, f"{place}.trainer")
    fields.pop(ModelSettings().trainer, None)
    for path, field in fields.items():
        flaw = _flaw(path)
        if flaw:
            raise SettingsError(field, path, flaw)


def _flaw(path: str) -> str:
    """Return what is expected instead, empty where the trainer loads."""
    command = [sys.executable, "-m", "driftline.retrain.checking"]
    try:
        child = subprocess.run(command, input=path.encode(), capture_output=True, check=False, timeout=_LONGEST_S)
    except subprocess.TimeoutExpired:
        return f"{ACCEPTED} (its import took longer than {_LONGEST_S} s)"
    if child.returncode == 0:
        return " ".join(child.stdout.decode().split())
    return f"{ACCEPTED} (its import ended the process with exit code {child.returncode})"


def main() -> None:
    """Load the trainer whose path stands in standard input; what is wrong with it goes to standard output."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a module prints when it is imported is no answer
    try:
        load_trainer(sys.stdin.buffer.read().decode())
    except SettingsError as error:
        answer.write(error.accepted.encode())
    answer.close()


if __name__ == "__main__":
    main()
