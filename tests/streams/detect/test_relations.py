"""A change of the relation of two columns alone: an episode that names them, whatever dies on the way, and none where nothing changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.streams.detect.summaries import T0, Stream, built
from tests.streams.detect.test_partition import MODEL, concluded, run

from driftline.contracts.ids import sample_hash
from driftline.contracts.settings import Settings, build_settings
from driftline.contracts.summaries import SampleRow
from driftline.detectors.rows import Rows
from driftline.store import references
from driftline.store.database import migrate, open_database

REFERENCE = built()
SHIFT = T0 + 120_000
SECONDS = 260
#: Rows among which the values of x change places: a block and its first half are made of whole groups.
GROUP = 5


class Related(Stream):
    """From the shift on x goes with the score: within each group the largest x to the largest score. Both keep their own values."""

    @staticmethod
    def _rows(ids: list[str], times: np.ndarray, late: np.ndarray, x: list[Any], c: list[object], score: list[Any]) -> Rows:  # noqa: PLR0917
        if int(times.max()) >= SHIFT:
            x = list(x)
            for first in range(0, len(x), GROUP):
                own = slice(first, first + GROUP)
                order = np.argsort(score[own], kind="stable")
                ranked = sorted(x[own])
                x[own] = [ranked[int(np.flatnonzero(order == i)[0])] for i in range(GROUP)]
        return Stream._rows(ids, times, late, x, c, score)


RECORDS = Related(REFERENCE, seconds=SECONDS, shift_at=10**9).records()
QUIET = Stream(REFERENCE, seconds=SECONDS, shift_at=10**9).records()


def _sample() -> list[SampleRow]:
    rng = np.random.default_rng(8)
    rows = zip(rng.normal(size=2_000).tolist(), rng.choice(["a", "b"], 2_000).tolist(), rng.beta(2, 3, 2_000).tolist(), strict=True)
    spread = np.linspace(REFERENCE.span_start, REFERENCE.span_end, 2_000).astype(int).tolist()
    return [
        SampleRow(sample_hash(f"r{i}"), f"r{i}", at, "1", {"x": x, "c": c}, None, score)
        for i, (at, (x, c, score)) in enumerate(zip(spread, rows, strict=True))
    ]


def _settings(**more: Any) -> Settings:
    return build_settings({"defaults": {**MODEL, **more}, "worker": {"block_size": 16}})


def _told(folder: Path, name: str, records: Any, asked: Settings, sample: list[SampleRow], *, deaths: frozenset[int] = frozenset()) -> dict[str, Any]:
    engine = open_database(f"sqlite:///{folder / name}.db")
    try:
        migrate(engine)
        references.put(engine, REFERENCE, sample)
        run(engine, asked, [records[i : i + 20] for i in range(0, len(records), 20)], deaths)
        return concluded(engine)
    finally:
        engine.dispose()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return _told(tmp_path_factory.mktemp("related"), "related", RECORDS, _settings(), _sample())


def _opened(told: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted((a for a in told["alerts"].values() if a["status"] == "opened"), key=lambda a: a["opened_at"])


def test_an_episode_names_the_two_columns_and_how_far_their_correlation_moved(told: dict[str, Any]) -> None:
    [alert, *more] = _opened(told)
    assert not more
    assert SHIFT < alert["opened_at"] < SHIFT + 90_000
    cause = alert["causes"][0]
    assert (cause["column"], cause["term"], cause["direction"]) == ("x x score", "correlation", "up")
    assert cause["low"] < 0.67 < cause["high"] + 0.15  # (GROUP - 1) / (GROUP + 1)
    assert abs(alert["onset"] - SHIFT) <= 30_000
    assert "the correlation of x x score is higher by 0." in alert["sentence"]
    assert not alert["opened_by"]


def test_it_lasts_as_long_as_the_relation_does(told: dict[str, Any]) -> None:
    assert [a["status"] for a in told["alerts"].values() if a["status"] == "resolved"] == []


def test_deaths_change_nothing(told: dict[str, Any], tmp_path: Path) -> None:
    assert _told(tmp_path, "again", RECORDS, _settings(), _sample(), deaths=frozenset({3, 20, 31, 32, 45})) == told


def test_no_change_no_rows_of_the_reference_or_no_weight_mean_no_episode(tmp_path: Path) -> None:
    assert _opened(_told(tmp_path, "quiet", QUIET, _settings(), _sample())) == []
    assert _opened(_told(tmp_path, "rows", RECORDS, _settings(), [])) == []
    assert _opened(_told(tmp_path, "weight", RECORDS, _settings(weights={"pairs": 0}), _sample())) == []
