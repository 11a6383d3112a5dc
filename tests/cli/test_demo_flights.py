"""The demo's data are right: every time, label and day, checked against other columns of the same source."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from driftline.cli.demo.flights import CATEGORICAL, FEATURES, Cell, Flights, installed_folder, load
from driftline.cli.demo.model import champion
from driftline.contracts.errors import SetupError
from driftline.retrain.artifacts import load_model, save_model
from driftline.retrain.card import ModelCard
from driftline.retrain.matrix import Matrix, rows_to_matrix

NEW_YORK = ZoneInfo("America/New_York")
COLUMNS = {name: name in CATEGORICAL for name in FEATURES}


@pytest.fixture(scope="module")
def flights() -> Flights:
    return load()


@pytest.fixture(scope="module")
def source(flights: Flights) -> pd.DataFrame:
    """The rows as published, in the order of `flights`."""
    table = pd.read_csv(installed_folder() / "flights.csv.zip")
    number = table["carrier"] + "-" + table["flight"].astype(str) + "-" + table["origin"]
    day = [f"{y}-{m:02}-{d:02}" for y, m, d in zip(table["year"], table["month"], table["day"], strict=True)]
    ids = [f"{d}-{n}-{t:04}" for d, n, t in zip(day, number, table["sched_dep_time"], strict=True)]
    table.index = pd.Index(ids)
    return table.loc[list(flights.event_id)]


def _at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def test_every_flight_of_the_year_is_an_event_with_an_id_of_its_own_in_order_of_time(flights: Flights) -> None:
    assert len(flights) == len(set(flights.event_id)) == 336_776
    assert (np.diff(flights.event_ms) >= 0).all()
    assert int((flights.label < 0).sum()) == 9_430


def test_a_flight_worked_out_by_hand_departs_and_arrives_in_utc(flights: Flights) -> None:
    # UA 1545, January 1: scheduled 5:15 at Newark (-5) to 8:19 at Houston (-6), eleven minutes late.
    i = flights.event_id.index("2013-01-01-UA-1545-EWR-0515")
    assert _at(flights.event_ms[i]) == datetime(2013, 1, 1, 10, 15, tzinfo=UTC)
    assert _at(flights.label_ms[i]) == datetime(2013, 1, 1, 14, 30, tzinfo=UTC)
    assert flights.label[i] == 0


def test_the_scheduled_departure_lies_in_the_hour_that_the_source_gives_in_utc(flights: Flights, source: pd.DataFrame) -> None:
    hours = pd.to_datetime(source["time_hour"]).dt.tz_localize(None).to_numpy("datetime64[ms]").astype(np.int64)
    assert (flights.event_ms // 3_600_000 * 3_600_000 == hours).all()


def test_the_arrival_leaves_a_sane_time_for_taxiing_after_real_departure_and_air_time(flights: Flights, source: pd.DataFrame) -> None:
    landed = flights.label >= 0
    departed = flights.event_ms + source["dep_delay"].to_numpy() * 60_000
    taxiing = ((flights.label_ms - departed) / 60_000 - source["air_time"].to_numpy())[landed]
    assert taxiing.min() == 5
    assert taxiing.max() == 235


def test_the_clock_at_the_destination_shows_the_recorded_arrival_time(flights: Flights, source: pd.DataFrame) -> None:
    airports = pd.read_csv(installed_folder() / "airports.csv").dropna(subset=["tzone"])
    zones = dict(zip(airports["faa"], airports["tzone"], strict=True)) | dict.fromkeys(("SJU", "STT", "PSE", "BQN"), "America/Puerto_Rico")
    arrived = pd.Series(pd.to_datetime(flights.label_ms, unit="ms", utc=True), index=source.index)
    wrong: list[str] = []
    for zone, rows in source[flights.label >= 0].groupby(source["dest"].map(zones)):
        local = arrived[rows.index].dt.tz_convert(str(zone))
        wrong += rows.index[(local.dt.hour * 100 + local.dt.minute) != rows["arr_time"] % 2400].tolist()
    # The source has this one land at 2:03 in the night in which the clock went from 1:59 to 3:00.
    assert wrong == ["2013-03-09-B6-35-JFK-2145"]


def test_the_label_says_more_than_fifteen_minutes_late_and_is_missing_where_no_delay_was_recorded(flights: Flights, source: pd.DataFrame) -> None:
    delay = source["arr_delay"].to_numpy()
    assert ((flights.label == 1) == (delay > 15)).all()
    assert ((flights.label < 0) == np.isnan(delay)).all()
    assert (flights.label_ms[flights.label >= 0] > flights.event_ms[flights.label >= 0]).all()


def test_weather_is_that_of_the_airport_and_hour_of_departure_and_a_missing_value_is_none(flights: Flights) -> None:
    weather = pd.read_csv(installed_folder() / "weather.csv")
    known = {(o, t): (p, q) for o, t, p, q in zip(weather["origin"], weather["time_hour"], weather["temp"], weather["pressure"], strict=True)}
    for i in range(0, len(flights), 997):
        row = flights.rows([i])[0]
        hour = _at(flights.event_ms[i] // 3_600_000 * 3_600_000).strftime("%Y-%m-%dT%H:%M:%SZ")
        for name, value in zip(("temp", "pressure"), known.get((row["origin"], hour), (math.nan, math.nan)), strict=True):
            assert row[name] == (None if math.isnan(value) else value)
    assert all(cell is None or cell == cell for column in flights.columns.values() for cell in column)  # noqa: PLR0124


def test_features_know_nothing_of_what_happens_after_departure(flights: Flights) -> None:
    assert tuple(flights.columns) == FEATURES
    assert not {"dep_delay", "dep_time", "arr_time", "arr_delay", "air_time", "label"} & set(FEATURES)


def test_each_flight_from_march_on_departs_on_one_day_and_lands_on_its_own_day_at_most_once(flights: Flights) -> None:
    days = list(flights.days(3, 12))
    assert [day.date for day in days] == [date(2013, 3, 1) + timedelta(n) for n in range(306)]
    departures = np.concatenate([day.departures for day in days])
    assert (departures == flights.in_months(3, 12)).all()
    arrivals = np.concatenate([day.arrivals for day in days])
    assert len(set(arrivals.tolist())) == len(arrivals)
    assert (np.diff(flights.label_ms[arrivals]) >= 0).all()
    for day in days[::20]:
        for moments in (flights.event_ms[day.departures], flights.label_ms[day.arrivals]):
            assert {_at(m).astimezone(NEW_YORK).date() for m in moments} == {day.date}
    landed_later = flights.in_months(3, 12)[flights.label[flights.in_months(3, 12)] >= 0]
    beyond = set(landed_later.tolist()) - set(arrivals.tolist())
    assert {_at(flights.label_ms[i]).astimezone(NEW_YORK).date() for i in beyond} == {date(2014, 1, 1)}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"flights\.csv\.zip"):
        load(tmp_path)


def test_a_destination_without_a_time_zone_is_refused_by_name(tmp_path: Path) -> None:
    _small_year(tmp_path, zone="NA")
    with pytest.raises(SetupError, match="IAH"):
        load(tmp_path)


def test_an_hour_of_weather_given_twice_is_refused(tmp_path: Path) -> None:
    _small_year(tmp_path, weather_rows=2)
    with pytest.raises(SetupError, match="twice"):
        load(tmp_path)


def test_a_flight_over_the_night_when_summer_time_begins_lands_by_the_new_clock(tmp_path: Path) -> None:
    _small_year(tmp_path, when=(2013, 3, 9, 23, 59), arrives=345, dest="MIA", zone="America/New_York")
    flights = load(tmp_path)
    # 3:45 in Miami is already summer time (-4): 2 h 46 after 23:59 winter time (-5), not 3 h 46; then one minute late.
    assert flights.label_ms[0] - flights.event_ms[0] == (2 * 60 + 46 + 1) * 60_000


def _small_year(
    folder: Path,
    *,
    when: tuple[int, ...] = (2013, 1, 1, 5, 15),
    arrives: int = 819,
    dest: str = "IAH",
    zone: str = "America/Chicago",
    weather_rows: int = 1,
) -> None:
    year, month, day, hour, minute = when
    head = "year,month,day,hour,minute,sched_dep_time,sched_arr_time,arr_delay,carrier,flight,origin,dest,distance"
    flight = f"{year},{month},{day},{hour},{minute},{hour * 100 + minute},{arrives},1,UA,1,EWR,{dest},1400"
    pd.DataFrame([flight.split(",")], columns=head.split(",")).to_csv(folder / "flights.csv.zip", index=False)
    weather = "EWR,2013-01-01T10:00:00Z,39.02,28.04,64.43,260,12.7,0,NA,10\n" * weather_rows
    (folder / "weather.csv").write_text(f"origin,time_hour,temp,dewp,humid,wind_dir,wind_speed,precip,pressure,visib\n{weather}")
    (folder / "airports.csv").write_text(f"faa,tzone\n{dest},{zone}\n")


def _training(flights: Flights) -> tuple[Matrix, list[int]]:
    rows = flights.in_months(1, 2)
    rows = rows[flights.label[rows] >= 0]
    return rows_to_matrix(flights.rows(rows), COLUMNS), flights.label[rows].tolist()


def test_the_champion_loses_in_june_what_the_issue_foretold_and_its_twin_from_a_model_file_is_the_same(flights: Flights, tmp_path: Path) -> None:
    X, y = _training(flights)
    fitted = champion().fit(X, y)
    card = ModelCard(
        model="m", version="1", task="classification", columns=COLUMNS, classes=("0", "1"), rows=len(y), trained_from=0, trained_until=1, trainer="t"
    )
    artifact = save_model(tmp_path, fitted, card)
    loaded = load_model(tmp_path, artifact.name, artifact.sha256).estimator  # no type beyond the allow-list
    june = flights.in_months(6, 6)
    june = june[flights.label[june] >= 0]
    scores = fitted.predict_proba(rows_to_matrix(flights.rows(june), COLUMNS))[:, 1]
    assert roc_auc_score(flights.label[june], scores) == pytest.approx(0.70, abs=0.01)
    assert (loaded.predict_proba(X[:2000]) == fitted.predict_proba(X[:2000])).all()
    assert (clone(loaded).fit(X, y).predict_proba(X[:2000]) == fitted.predict_proba(X[:2000])).all()


def test_a_carrier_never_seen_and_missing_values_are_scored_like_any_other(flights: Flights) -> None:
    X, y = _training(flights)
    fitted = champion().fit(X[:5000], y[:5000])
    strange: list[dict[str, Cell]] = [dict.fromkeys(FEATURES), {**flights.rows([0])[0], "carrier": "ZZ", "dest": "XXX"}]
    scores = fitted.predict_proba(rows_to_matrix(strange, COLUMNS))[:, 1]
    assert ((scores > 0) & (scores < 1)).all()
