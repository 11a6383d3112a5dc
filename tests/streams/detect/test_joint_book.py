"""All columns together in detect: at which windows, on which rows, and the same whatever dies on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.streams.detect.test_relations import RECORDS, SHIFT, _sample, _settings, _told

MINUTE = 60_000
#: Nobody but the describers looks at relations.
EVERY: dict[str, Any] = {"multivariate": "windows", "weights": {"pairs": 0}}


def by_window(told: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """The findings by the place of their windows from the shift, those of late rows of before the stream's beginning left out."""
    return {(int(f["window_start"]) - SHIFT) // MINUTE: f for f in told["findings"].values() if f["n"] > 100}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return _told(tmp_path_factory.mktemp("joint"), "joint", RECORDS, _settings(**EVERY), _sample())


def test_a_relation_that_no_column_shows_stands_in_the_finding_of_its_windows_and_alarms_nobody(told: dict[str, Any]) -> None:
    found = by_window(told)
    before, after = ([f["multivariate"] for at, f in found.items() if (at >= 0) == moved] for moved in (False, True))
    assert len(before) == len(after) == 2
    assert all(m["auc"]["low"] < 0.5 < m["auc"]["high"] for m in before)
    assert all(m["auc"]["low"] > 0.5 and m["auc"]["value"] > m["auc"]["chance"] and m["columns"] == ("x", "score") for m in after)
    assert all(m["n"] > 200 and m["reference_n"] == 2_000 and m["reconstruction"] for m in (*before, *after))
    assert "All columns together: " in found[1]["sentence"]
    assert ", by x and score" in found[1]["sentence"]
    assert "together" not in found[-1]["sentence"]
    assert not told["alerts"]


def test_deaths_change_nothing(told: dict[str, Any], tmp_path: Path) -> None:
    assert _told(tmp_path, "again", RECORDS, _settings(**EVERY), _sample(), deaths=frozenset({3, 20, 31, 32, 45})) == told


def test_by_itself_it_looks_at_the_windows_of_an_episode_and_not_at_all_where_it_is_off(tmp_path: Path) -> None:
    told = _told(tmp_path, "episodes", RECORDS, _settings(), _sample())
    [opened] = [a for a in told["alerts"].values() if a["status"] == "opened"]
    found = by_window(told)
    assert {at for at, f in found.items() if f["multivariate"]} == {at for at in found if SHIFT + (at + 1) * MINUTE >= opened["opened_at"]} != set()
    without = _told(tmp_path, "off", RECORDS, _settings(multivariate="off"), _sample())
    assert not any(f["multivariate"] for f in without["findings"].values())
    assert without["alerts"].keys() == told["alerts"].keys()


def test_a_reference_without_rows_says_so(tmp_path: Path) -> None:
    told = by_window(_told(tmp_path, "rows", RECORDS[: len(RECORDS) // 2], _settings(**EVERY), []))
    assert {f["multivariate"]["reason"] for f in told.values()} == {"0 rows were stored with the reference; 200 are needed"}
