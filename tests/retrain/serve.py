"""A retrain worker as a process of its own: ``python -m tests.retrain.serve SETTINGS.json``."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import msgspec

from driftline.contracts.settings import Settings
from driftline.retrain.worker import run_worker

if __name__ == "__main__":
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.getLogger("driftline.retrain").addHandler(handler)
    logging.getLogger("driftline.retrain").setLevel(logging.INFO)
    sys.exit(run_worker(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Settings)))
