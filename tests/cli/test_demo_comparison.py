"""What others would have said, on a made year of few flights in which one thing changes."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path

import msgspec
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from driftline.cli.demo.comparing import show_comparison
from driftline.cli.demo.comparison import Comparison, compare
from driftline.cli.demo.flights import CATEGORICAL, FEATURES, Cell, Flights
from driftline.cli.demo.page import COMMAND, page_of
from driftline.cli.demo.stage import model_settings
from driftline.cli.main import app
from driftline.contracts.times import DAY_MS

_START = 1_356_998_400_000  # 2013-01-01
_DAYS, _A_DAY = 150, 48


def _flights(change_day: int) -> Flights:
    """Five months of flights; from ``change_day`` on it is warmer by two standard deviations."""
    rng = np.random.default_rng(1)
    n = _DAYS * _A_DAY
    day = (np.arange(n) // _A_DAY).astype(np.int32)
    columns: dict[str, list[Cell]] = {
        name: rng.choice(["a", "b", "c"], n).tolist() if name in CATEGORICAL else rng.standard_normal(n).tolist() for name in FEATURES
    }
    columns["temp"] = (rng.standard_normal(n) + 2 * (day >= change_day)).tolist()
    columns["wind_speed"] = [None if i % 50 == 0 else value for i, value in enumerate(columns["wind_speed"])]
    month = (np.datetime64("2013-01-01") + day).astype("datetime64[M]").astype(int) % 12 + 1
    label = rng.integers(0, 2, n).astype(np.int8)
    label[::40] = -1
    event_ms = _START + np.arange(n, dtype=np.int64) * (DAY_MS // _A_DAY)
    return Flights([str(i) for i in range(n)], event_ms, label, event_ms, day, month.astype(np.int8), columns)


@pytest.fixture(scope="module")
def told() -> Comparison:
    return compare(_flights(90), model_settings())


def test_what_changes_is_found_by_all_and_ours_names_nothing_else(told: Comparison) -> None:
    temp = told.by_feature["temp"]
    assert all(said.after >= 1 for said in temp.values())
    assert temp["evidently"].after >= _DAYS - 90
    ours = {name: ways["driftline"] for name, ways in told.by_feature.items()}
    assert [name for name, said in ours.items() if said.after] == ["temp"]
    assert ours["temp"].after == len(ours["temp"].dates) == 1
    # Day 90 is the first of April.
    assert "2013-04-01" <= ours["temp"].dates[0] <= "2013-04-04"
    assert ours["temp"].causes[0].startswith("temp is higher by")
    assert not any(said.inside for said in ours.values())
    assert "temp is higher" in told.alerts[0]


def test_days_of_few_flights_alarm_evidently_s_rule_inside_the_reference_too(told: Comparison) -> None:
    assert told.by_feature["pressure"]["evidently"].inside > 30
    assert told.totals["evidently"].after > 10 * told.totals["driftline"].after


def test_categories_have_no_adwin_and_missing_values_silence_none(told: Comparison) -> None:
    assert set(told.by_feature) == {*FEATURES, "late"}
    assert all("adwin" not in told.by_feature[name] for name in CATEGORICAL)
    assert told.totals["adwin"].after == sum(ways["adwin"].after for ways in told.by_feature.values() if "adwin" in ways)
    assert told.allowed == pytest.approx((_DAYS - 59) / 30, rel=0.02)


def test_the_page_is_what_the_results_say(told: Comparison) -> None:
    cells: dict[str, list[str]] = {}
    for line in page_of(told, "driftline 1, commit abc").splitlines():
        if line.startswith("| "):
            name, *rest = (cell.strip() for cell in line.strip("|").split(" | "))
            cells.setdefault(name, rest)
    assert set(cells) == {"feature", "---", *told.by_feature, "all"}
    for name, ways in (*told.by_feature.items(), ("all", told.totals)):
        for way, cell in zip(("adwin", "evidently", "nannyml", "driftline"), cells[name], strict=True):
            if way not in ways:
                assert cell == ""
                continue
            said = ways[way]
            assert [int(n.replace(",", "")) for n in cell.partition(" (")[0].split(" → ")] == [said.inside, said.after]
            assert re.findall(r"\d\d-\d\d", cell) == [day[5:] for day in dict.fromkeys((*said.dates[:1], *said.dates[-1:]))]
            # Whoever said something said it on a day.
            assert bool(said.dates) == bool(said.after)


def test_the_page_has_causes_sentences_and_the_command_that_makes_it(told: Comparison) -> None:
    page = page_of(told, "driftline 1, commit abc")
    ours = told.by_feature["temp"]["driftline"]
    assert f"| temp | {ours.dates[0][5:]} {ours.causes[0]} |" in page
    assert all(f"\n- {alert}\n" in page for alert in told.alerts)
    assert f"*Made by `{COMMAND}` (driftline 1, commit abc)." in page
    assert f"{told.watched_pairs} pairs" in page
    assert told.watched_pairs == 55  # of eleven numbers; late is an outcome here


def test_the_page_that_is_kept_was_made_by_that_command() -> None:
    kept = (Path(__file__).parents[2] / "docs" / "flights.md").read_text(encoding="utf-8")
    assert f"*Made by `{COMMAND}` (driftline " in kept
    assert {line.split(" | ")[0].removeprefix("| ") for line in kept.splitlines() if line.startswith("| ")} >= {*FEATURES, "late", "all"}


def test_a_page_goes_with_compare_and_into_a_folder_that_is_there() -> None:
    for arguments, says in ((["--page", "x.md"], "goes with --compare"), (["--compare", "--page", "nowhere/x.md"], "nowhere is no folder")):
        result = CliRunner().invoke(app, ["demo", *arguments])
        assert result.exit_code == 2
        assert says in result.stderr


def test_it_is_shown_and_told_as_json(told: Comparison) -> None:
    out = StringIO()
    show_comparison(told, Console(file=out, width=170))
    assert "temp is higher by" in out.getvalue()
    assert json.loads(msgspec.json.encode(told))["by_feature"]["temp"]["driftline"]["after"] == 1
