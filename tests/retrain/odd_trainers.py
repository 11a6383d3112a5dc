"""Trainers that a worker has to live with. The environment tells them where to leave a mark and how long to take."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from driftline.retrain.trainers import SklearnTrainer, TrainingSet


class Broken:
    def train(self, champion: Any, rows: TrainingSet) -> Any:
        return 1 / 0


class Deadly:
    """Takes its process with it, as an allocation too many does."""

    def train(self, champion: Any, rows: TrainingSet) -> Any:
        os.kill(os.getpid(), 9)


class Slow(SklearnTrainer):
    def train(self, champion: Any, rows: TrainingSet) -> Any:
        with Path(os.environ["DRIFTLINE_TEST_MARKS"]).open("a") as marks:
            marks.write(f"{os.getpid()}\n")
        time.sleep(float(os.environ["DRIFTLINE_TEST_SLEEP"]))
        return super().train(champion, rows)
