"""``driftline calibrate``: from a file before any model runs, from a stored reference, with its rows and without."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from scipy.optimize import brentq
from scipy.stats import poisson
from tests.detectors.made import autoregressive
from tests.store import builders
from typer.testing import CliRunner, Result

from driftline.cli.calibrating import rate_of
from driftline.cli.main import app
from driftline.contracts.errors import SettingsError
from driftline.contracts.summaries import PaneKind, SampleRow
from driftline.contracts.times import DAY_MS, HOUR_MS
from driftline.detectors.layout import layout_of
from driftline.detectors.pane import Pane
from driftline.detectors.reference import build_reference
from driftline.store import detection, references
from driftline.store.database import migrate, open_database

T0 = 1_700_000_000_000 // DAY_MS * DAY_MS
N = 4_000
EACH = 20 * DAY_MS // N
#: A stored pane or window: kind, width and start (ms), events, and whether it has closed.
Counted = tuple[PaneKind, int, int, int, bool]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRIFTLINE_CONFIG", raising=False)
    (tmp_path / "driftline.yaml").write_text("models: {m: {task: regression, pane: 1h, window: 1d, alarm_budget: 1 per 7d}}\n")


def run(*arguments: str, exits: int = 0) -> Result:
    result = CliRunner().invoke(app, ["calibrate", *arguments])
    assert result.exit_code == exits, (result.stdout, result.stderr, result.exception)
    return result


def told(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def columns() -> dict[str, list[Any]]:
    rng = np.random.default_rng(0)
    return {
        "event_time": [T0 + i * EACH for i in range(N)],
        "x": rng.standard_normal(N).round(3).tolist(),
        "slow": autoregressive(N, 1, 0.9995, rng)[:, 0].round(3).tolist(),
        "kind": rng.choice(["a", "b"], N).tolist(),
        "label": rng.standard_normal(N).round(3).tolist(),
        "said": rng.standard_normal(N).round(3).tolist(),
    }


def files() -> tuple[str, str]:
    made = columns()
    parquet.write_table(pa.table(made), "rows.parquet")
    lines = [",".join(made), *(",".join(str(v) for v in row) for row in zip(*made.values(), strict=True))]
    Path("rows.csv").write_text("\n".join(lines) + "\n")
    return "rows.csv", "rows.parquet"


def _as_many(count: int) -> Callable[[float], float]:
    """Of a mean, how far from one in forty the chance is that so many or more are seen."""
    return lambda mean: float(poisson.sf(count - 1, mean)) - 0.025 if count else -mean


def _as_few(count: int) -> Callable[[float], float]:
    return lambda mean: float(poisson.cdf(count, mean)) - 0.025


def stored(sample: int, pii: str = "", windows: Sequence[Counted] = ()) -> None:
    made = columns()
    said, labels = made.pop("said"), made.pop("label")
    times = made.pop("event_time")
    reference = build_reference(
        model="m", version="1", task="regression", effective_from=T0, origin="built", times=times, features=made,
        predictions=said if windows else None, labels=labels if windows else None,
    )  # fmt: skip
    rows = [
        SampleRow(place=i, event_id=str(i), event_time=times[i], version="1", features={name: made[name][i] for name in made if name != pii})
        for i in range(0, N, N // sample if sample else N)
    ]
    engine = open_database("sqlite:///.driftline/driftline.db")
    migrate(engine)
    references.put(engine, reference, rows[:sample])
    panes = []
    for kind, width, start, n, closed in windows:
        pane = Pane(layout_of(reference, kind))
        pane.n = n
        key: dict[str, Any] = {"reference_id": reference.reference_id, "kind": kind, "width": width, "closed": closed, "payload": pane.encode()}
        panes.append(builders.pane(start, **key))
    if panes:
        detection.commit(engine, builders.change(None, 1, panes=panes))
    engine.dispose()


def test_a_file_is_enough_and_parquet_is_the_same_as_csv() -> None:
    csv, parquet_file = files()
    options = ("--label-column", "label", "--prediction-column", "said", "--budgets", "2")
    first, second = (told("m", "--file", file, *options) for file in (csv, parquet_file))

    assert first["reference_id"] == second["reference_id"]
    assert first["realised"] == second["realised"]
    assert (first["budget_hours"], first["alarm_budget"], first["tolerance"]) == (168.0, "1 per 7d", 0.2)
    assert first["rates"]["features"] == pytest.approx(N / 480, rel=0.01) == first["rates"]["outcomes"]
    assert sum(t["weight"] for t in first["terms"]) + first["pairs"]["weight"] == pytest.approx(1)
    # x, slow, kind and said: slow is uncalibrated, and so are its pairs.
    assert (first["pairs"]["watched"], first["pairs"]["blind"]) == (3, 3)
    assert first["replayed"] == ["the terms of features", "those of outcomes", "the pairs of columns"]
    assert first["left_out"] == ["silence"]
    level = next(t for t in first["terms"] if (t["column"], t["term"]) == ("x", "location"))
    assert level["visible"]["week"]["up"] > 0.2
    slow = next(t for t in first["terms"] if (t["column"], t["term"]) == ("slow", "location"))
    assert not slow["calibrated"]
    assert {"features", "outcomes"} == {t["kind"] for t in first["terms"]}
    run_ = first["realised"]
    assert (run_["hours"], run_["allowed"]) == (336.0, 2.0)
    assert run_["interval"] == pytest.approx([brentq(_as_many(run_["false_episodes"]), 0, 50), brentq(_as_few(run_["false_episodes"]), 0, 50)])
    assert run_["kept"]


def test_another_budget_tolerance_and_rate_are_tried_and_said_in_words() -> None:
    csv, _ = files()
    shown = run("m", "--file", csv, "--budget", "1 per 30d", "--tolerance", "0.5", "--rate", "2/s", "--budgets", "0", "--terms").stdout

    assert "alarm_budget 1 per 30d: an alarm wants evidence of 720 h" in shown
    assert "Tolerance 0.5 sd" in shown
    assert "Rate: 7,200.0 events an hour (as asked)." in shown
    assert "Blind to slow (level)" in shown
    assert "it wanders by itself" in shown
    assert "False episodes: nothing was drawn." in shown
    assert shown.count("\nx ") == 5
    # label and said are features here.
    assert "columns and 6 pairs whose weights sum to 1" in shown
    assert re.search(r"\n6 pairs +correlation ", shown)
    assert re.search(r"4 more are uncalibrated, or have a column of weight 0\. The row above is of the middle one, \w+ x \w+, in sd", shown)


def test_a_stored_reference_is_drawn_from_its_own_rows_and_what_pii_took_out_is_no_missing_value() -> None:
    Path("driftline.yaml").write_text("models: {m: {task: regression, pane: 1h, window: 1d, alarm_budget: 1 per 7d, pii: {x: drop}}}\n")
    stored(1_000, pii="x")
    found = told("m", "--budgets", "4")

    assert found["drawn_from"].startswith("1,000 of the reference's 4,000 rows in blocks of time")
    assert found["pairs"] is None  # slow is uncalibrated, x was taken out: kind alone is no pair
    assert found["no_pairs"].startswith("the columns' relations are uncalibrated")
    assert found["replayed"] == ["the terms of features"]
    assert found["realised"]["rows"] == pytest.approx(1_000, abs=60)
    assert found["realised"]["kept"]
    assert found["rate_from"] == "the reference's own"


def test_the_rate_is_that_of_the_last_seven_days_where_windows_have_closed() -> None:
    def day(kind: PaneKind, i: int, n: int, *, closed: bool = True) -> Counted:
        return kind, DAY_MS, T0 + (20 + i) * DAY_MS, n, closed

    features = [day("features", i, 9_999 if i < 3 else 240 + i) for i in range(10)]  # the first three are older than that
    labelled = [day("outcomes", i, 120) for i in range(9)]
    panes: list[Counted] = [("features", HOUR_MS, T0 + 30 * DAY_MS, 777, True)]
    stored(0, windows=[*features, day("features", 10, 5_000, closed=False), *labelled, *panes])
    found = told("m", "--budgets", "0")

    assert found["rate_from"] == "of the last seven days"
    assert found["rates"] == {"features": pytest.approx((7 * 240 + sum(range(3, 10))) / 168), "outcomes": pytest.approx(120 / 24)}
    assert "(of the last seven days)" in run("m", "--budgets", "0").stdout
    assert told("m", "--budgets", "0", "--rate", "50/h")["rate_from"] == "as asked"


def test_before_a_window_has_closed_it_is_that_of_the_panes() -> None:
    hours: list[Counted] = [("features", HOUR_MS, T0 + 20 * DAY_MS + i * HOUR_MS, 30 + i, i < 5) for i in range(6)]
    stored(0, windows=[*hours, ("features", DAY_MS, T0 + 20 * DAY_MS, 185, False)])
    found = told("m", "--budgets", "0")

    assert found["rate_from"] == "of the last seven days"
    assert found["rates"] == {"features": pytest.approx(32), "outcomes": 0.0}


def test_a_reference_without_rows_is_drawn_from_its_counts_and_says_so() -> None:
    stored(0)
    found = told("m", "--budgets", "4", "--rate", "50/h")

    assert "as if its rows were independent" in found["drawn_from"]
    assert found["pairs"] is None
    assert found["no_pairs"] == "0 of the reference's rows are stored; 500 are needed"
    assert found["realised"]["rate"] == pytest.approx(50, rel=0.1)
    assert found["realised"]["kept"]
    assert "False episodes: " in run("m", "--budgets", "1").stdout


def test_pairs_are_drawn_with_the_rows_unless_they_are_muted_and_what_is_left_out_is_said() -> None:
    stored(1_000)
    found = told("m", "--budgets", "1")
    assert found["pairs"]["pair"] == "x x kind"
    assert found["replayed"] == ["the terms of features", "the pairs of columns"]
    Path("driftline.yaml").write_text(
        "models: {m: {task: regression, pane: 1h, window: 1d, alarm_budget: 1 per 7d, weights: {pairs: 0}, deciders: [adwin]}}\n"
    )
    muted = told("m", "--budgets", "1")
    assert (muted["pairs"], muted["no_pairs"]) == (None, "pairs has weight 0 in the settings")
    assert sum(t["weight"] for t in muted["terms"]) == pytest.approx(1) == sum(t["weight"] for t in found["terms"]) + found["pairs"]["weight"]
    shown = run("m", "--budgets", "1").stdout
    assert "Pairs of columns are not watched: pairs has weight 0 in the settings." in shown
    assert "Replayed: the terms of features. Left out: silence, adwin (outside the budget)." in shown


def test_what_is_wrong_is_one_plain_line() -> None:
    csv, _ = files()
    Path("not.parquet").write_text("no")
    for arguments, says in (
        (("m", "--file", "gone.parquet"), "gone.parquet can't be read"),
        (("m", "--file", "not.parquet"), "is no Parquet file"),
        (("m", "--file", csv, "--time-column", "when"), "has no column when"),
        (("m", "--file", csv, "--budget", "often"), "a rate such as '1 per 30d'"),
        (("m", "--file", csv, "--rate", "lots"), "such as 500/h"),
        (("other", "--file", csv, "--label-column", "label"), "name it with --task"),
        (("m",), "there is no database yet"),
    ):
        assert says in run(*arguments, exits=2).stderr


@pytest.mark.parametrize("text", ["", "5", "5/", "0/h", "5/fortnight", "-1/h", "5 / h / d"])
def test_a_rate_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        rate_of(text)


def test_rates_are_of_any_unit() -> None:
    assert [rate_of(text) for text in ("1/h", "24/d", "1/min", "0.5/s")] == pytest.approx([1, 1, 60, 1800])


def test_slices_are_drawn_with_the_rest() -> None:
    Path("driftline.yaml").write_text("models: {m: {task: regression, pane: 1h, window: 1d, alarm_budget: 1 per 7d, slices: {kind: 2}}}\n")
    _, parquet_file = files()
    found = told("m", "--file", parquet_file, "--label-column", "label", "--prediction-column", "said", "--budgets", "2")

    sliced = [t for t in found["terms"] if "kind" in t["column"] and t["column"] != "kind"]
    assert sliced
    assert found["realised"]["kept"]
