"""Which broker the demo uses: the one that is named, wherever it is named."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from driftline.cli.demo.command import _named
from driftline.cli.state import State


def _context(config: Path | None) -> Any:
    return SimpleNamespace(find_object=lambda _: State(config))


def test_the_settings_file_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert _named(_context(None)) is None
    Path("driftline.yaml").write_text("kafka: {partitions: 8}\n")
    assert _named(_context(None)) is None
    Path("driftline.yaml").write_text("kafka: {bootstrap_servers: 'kafka:9092'}\n")
    assert _named(_context(None)) == "kafka:9092"
    Path("other.yaml").write_text("kafka: {bootstrap_servers: 'other:9092'}\n")
    assert _named(_context(Path("other.yaml"))) == "other:9092"
