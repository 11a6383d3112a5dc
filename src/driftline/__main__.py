"""``python -m driftline``: the same commands as ``driftline``."""

from __future__ import annotations

from driftline.cli.main import app

if __name__ == "__main__":
    app(prog_name="driftline")
