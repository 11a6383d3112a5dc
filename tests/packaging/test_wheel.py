from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
from tests.packaging.build import ROOT, build_wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as content:
        return {name for name in content.namelist() if not name.endswith("/")}


def test_a_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    inside = {name for name in names(wheel) if ".dist-info/" not in name}
    sources = {
        str(path.relative_to(ROOT / "src")) for path in (ROOT / "src/driftline").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside == sources | {"driftline/cli/pom.xml"}
    assert not {name for name in inside if Path(name).name.startswith(("test_", "conftest")) or name.endswith((".pyc", ".db", ".log"))}


def test_types_migrations_and_the_names_of_kafkas_jars_come_along(wheel: Path) -> None:
    inside = names(wheel)
    assert {"driftline/py.typed", "driftline/cli/pom.xml", "driftline/store/migrations/script.py.mako", "driftline/store/migrations/env.py"} <= inside
    versions = {name for name in inside if name.startswith("driftline/store/migrations/versions/0")}
    assert versions
    assert len(versions) == len(list((ROOT / "src/driftline/store/migrations/versions").glob("0*.py")))


def test_the_client_alone_is_what_is_required_and_every_extra_has_a_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        metadata = content.read(next(name for name in content.namelist() if name.endswith(".dist-info/METADATA"))).decode()
        entry_points = content.read(next(name for name in content.namelist() if name.endswith("entry_points.txt"))).decode()
    required = {
        re.split(r"[^A-Za-z0-9_.-]", line.removeprefix("Requires-Dist: "))[0]
        for line in metadata.splitlines()
        if line.startswith("Requires-Dist: ") and "extra ==" not in line
    }
    assert required == {"kafka-python", "msgspec", "crc32c"}
    extras = {line.removeprefix("Provides-Extra: ") for line in metadata.splitlines() if line.startswith("Provides-Extra: ")}
    assert {"codecs", "columnar", "worker", "compiled", "retrain", "reports", "all"} <= extras
    assert "License-Expression: Apache-2.0" in metadata
    assert "driftline = driftline.cli.main:app" in entry_points
    machine = re.compile(rf"{re.escape(str(Path.home()))}|/work/|localhost:\d")
    assert not machine.search(metadata)
