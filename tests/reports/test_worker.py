"""The worker with a stand-in for Evidently; the real one has a process of its own in ``test_process.py``."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from tests.reports.world import HOUR, ONSET, migrated, opened, pane_rows, reference_of, samples, settings, stored

from driftline.contracts.errors import SchemaOutdated, SetupError
from driftline.contracts.ids import stable_id
from driftline.contracts.settings import Settings
from driftline.reports import sampling, worker
from driftline.reports.report import Rendered
from driftline.reports.rows import Table
from driftline.reports.worker import run_reports
from driftline.store import reports
from driftline.store.episodes import Episode
from driftline.store.tables import episodes
from driftline.store.transactions import writing

ONE = stable_id("episode", "one")
FEATURES: dict[str, list[object]] = {"x": [float(i % 50) for i in range(500)], "c": ["ab"[i % 2] for i in range(500)]}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr("os.nice", lambda _: 0)
    monkeypatch.setattr(worker, "require_evidently", lambda: None)
    return settings(tmp_path)


class Rendering:
    """What was asked of Evidently."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: BaseException | None = None) -> None:
        self.asked: list[tuple[Episode, Table, int, int]] = []
        self.error = error
        monkeypatch.setattr(worker, "render", self)

    def __call__(self, episode: Episode, table: Table, *, before: int, now: int) -> Rendered:
        self.asked.append((episode, table, before, now))
        if self.error is not None:
            raise self.error
        return Rendered("<html>page</html>", b"{}")


def _world(engine: Engine, *names: str, model: str = "m") -> None:
    reference = reference_of(model, FEATURES)
    # Rows every minute, from ten hours before the onset to ten after the opening.
    rows = samples({"x": [float(i) for i in range(44 * 60)]}, ONSET - 10 * HOUR, prefix="now")
    stored(engine, reference, samples(FEATURES, 0), list(pane_rows(reference, rows, HOUR)), [opened(reference, "x", name=name) for name in names])


def test_every_episode_gets_one_report_where_the_settings_say(made: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, rendering = migrated(made), Rendering(monkeypatch)
    _world(engine, "one", "two")
    assert run_reports(made, once=True) == 0
    assert run_reports(made, once=True) == 0
    assert [episode.episode_id for episode, *_ in rendering.asked] == sorted([ONE, stable_id("episode", "two")])
    report = reports.get(engine, ONE)
    assert report is not None
    assert report.status == "ready"
    assert report.html == str(Path(made.reports.folder).resolve() / "m" / f"{ONE}.html")
    assert Path(report.html).read_text(encoding="utf-8") == "<html>page</html>"
    assert Path(str(report.json)).read_bytes() == b"{}"
    assert sorted(path.suffix for path in Path(report.html).parent.iterdir()) == [".html", ".html", ".json", ".json"]
    engine.dispose()


def test_a_report_goes_with_its_episode_and_what_lies_elsewhere_stays(made: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine, _ = migrated(made), Rendering(monkeypatch)
    _world(engine, "one", "two")
    run_reports(made, once=True)
    kept, gone = reports.get(engine, stable_id("episode", "two")), reports.get(engine, ONE)
    assert kept is not None
    assert gone is not None
    elsewhere = tmp_path / "elsewhere.html"
    elsewhere.write_text("before the folder was moved")
    reports.put(engine, replace(gone, json=str(elsewhere)))
    with writing(engine) as conn:
        conn.execute(episodes.delete().where(episodes.c.episode_id == ONE))
    for _ in range(2):  # also where the row stayed and the files are gone
        run_reports(made, once=True)
        assert reports.get(engine, ONE) is None
        assert reports.get(engine, kept.episode_id) == kept
        assert not Path(str(gone.html)).exists()
        assert Path(str(kept.html)).exists()
        assert elsewhere.exists()
        reports.put(engine, gone)
    engine.dispose()


def test_the_current_rows_are_those_between_onset_and_opening(made: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, rendering = migrated(made), Rendering(monkeypatch)
    _world(engine, "one")
    run_reports(made, once=True)
    [(_, table, before, now)] = rendering.asked
    column = next(column for column in table.columns if column.name == "x")
    assert sorted(column.current) == [float(i) for i in range(600, 600 + 24 * 60)]
    assert (before, now) == (500, 24 * 60)
    engine.dispose()


def test_of_too_many_rows_those_of_least_place_are_compared(made: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, rendering = migrated(made), Rendering(monkeypatch)
    monkeypatch.setattr(sampling, "MOST_ROWS", 100)
    monkeypatch.setattr(sampling, "_CHUNK", 3)
    _world(engine, "one")
    run_reports(made, once=True)
    rows = samples({"x": [float(i) for i in range(44 * 60)]}, ONSET - 10 * HOUR, prefix="now")
    inside = [row for row in rows if ONSET <= row.event_time < ONSET + 24 * HOUR]
    least = sorted(inside, key=lambda row: row.place)[:100]
    column = next(column for column in rendering.asked[0][1].columns if column.name == "x")
    assert list(column.current) == [row.features["x"] for row in least]
    engine.dispose()


def test_of_a_long_stretch_the_last_panes_are_read(made: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, rendering = migrated(made), Rendering(monkeypatch)
    reference = reference_of("m", FEATURES)
    days = 100
    rows = samples({"x": [float(i) for i in range(days * 24)]}, ONSET // (24 * HOUR) * 24 * HOUR, step=HOUR, prefix="now")
    alert = opened(reference, "x", opened_at=ONSET + (days - 1) * 24 * HOUR)
    stored(engine, reference, samples(FEATURES, 0), list(pane_rows(reference, rows, HOUR)), [alert])
    run_reports(made, once=True)
    assert rendering.asked[0][3] == 2_000
    engine.dispose()


@pytest.mark.parametrize("missing", ["reference", "sample", "panes"])
def test_an_episode_of_which_nothing_is_kept_fails_with_the_reason(made: Settings, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, rendering = migrated(made), Rendering(monkeypatch)
    reference = reference_of("m", FEATURES)
    other = reference_of("other", FEATURES) if missing == "reference" else reference
    rows = samples({"x": [1.0] * 60}, ONSET, prefix="now")
    panes = [] if missing == "panes" else list(pane_rows(other, rows, HOUR))
    stored(engine, other, [] if missing == "sample" else samples(FEATURES, 0), panes, [opened(reference, "x")])
    run_reports(made, once=True)
    report = reports.get(engine, ONE)
    assert report is not None
    assert report.status == "failed"
    assert report.html is None
    assert {"reference": "not in the store", "sample": "of the reference", "panes": "since the onset"}[missing] in report.reason
    assert rendering.asked == []
    engine.dispose()


def test_a_report_that_fails_is_not_tried_again_and_holds_up_no_other(made: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, rendering = migrated(made), Rendering(monkeypatch, ValueError("odd numbers"))
    _world(engine, "one", "two")
    run_reports(made, once=True)
    run_reports(made, once=True)
    assert len(rendering.asked) == 2
    found = [reports.get(engine, stable_id("episode", name)) for name in ("one", "two")]
    assert [(r.status, r.reason) for r in found if r is not None] == [("failed", "ValueError: odd numbers")] * 2
    engine.dispose()


def test_an_episode_that_takes_the_process_with_it_is_given_up(made: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    class Death(BaseException):
        pass

    engine, rendering = migrated(made), Rendering(monkeypatch, Death())
    _world(engine, "one")
    for _ in range(3):
        with pytest.raises(Death):
            run_reports(made, once=True)
    run_reports(made, once=True)
    assert len(rendering.asked) == 3
    report = reports.get(engine, ONE)
    assert report is not None
    assert "ended 3 times" in report.reason
    assert list(Path(made.reports.folder, "m").iterdir()) == []
    engine.dispose()


def test_a_stop_in_the_middle_counts_as_no_attempt(made: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, rendering = migrated(made), Rendering(monkeypatch, worker._Stopped())
    _world(engine, "one")
    for _ in range(5):
        assert run_reports(made, once=True) == 0
    rendering.error = None
    run_reports(made, once=True)
    report = reports.get(engine, ONE)
    assert report is not None
    assert report.status == "ready"
    engine.dispose()


def test_a_database_that_does_not_answer_for_a_while_gives_no_episode_up(made: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, rendering = migrated(made), Rendering(monkeypatch, OperationalError("select", {}, Exception("locked")))
    _world(engine, "one")
    for _ in range(5):
        with pytest.raises(OperationalError):
            run_reports(made, once=True)
    assert [episode.episode_id for episode in reports.wanted(engine)] == [ONE]
    rendering.error = None
    run_reports(made, once=True)
    report = reports.get(engine, ONE)
    assert report is not None
    assert report.status == "ready"
    engine.dispose()


def test_a_hostile_model_name_stays_in_the_folder(made: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, _ = migrated(made), Rendering(monkeypatch)
    _world(engine, "one", model="../../../etc/passwd\n")
    run_reports(made, once=True)
    report = reports.get(engine, ONE)
    assert report is not None
    assert Path(str(report.html)).resolve().parent.parent == Path(made.reports.folder).resolve()
    engine.dispose()


def test_the_worker_goes_on_until_it_is_told_to_stop(made: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_POLL_S", 0.01)
    engine, rendering = migrated(made), Rendering(monkeypatch)
    stop = threading.Event()
    thread = threading.Thread(target=run_reports, args=(made,), kwargs={"stop": stop})
    thread.start()
    _world(engine, "one")
    for _ in range(1000):
        if reports.get(engine, ONE) is not None:
            break
        stop.wait(0.01)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert len(rendering.asked) == 1
    engine.dispose()


def test_switched_off_it_says_so_and_leaves(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert run_reports(settings(tmp_path, enabled=False)) == 0
    assert "switched off" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_without_evidently_it_says_how_to_install_it_and_the_episode_stays_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings(tmp_path)
    engine = migrated(made)
    _world(engine, "one")
    monkeypatch.setattr("driftline.reports.report.find_spec", lambda _: None)
    with pytest.raises(SetupError, match=r"pip install 'driftline\[reports\]'"):
        run_reports(made, once=True)
    assert [episode.episode_id for episode in reports.wanted(engine)] == [ONE]
    engine.dispose()


def test_an_empty_database_is_an_error_at_start(made: Settings) -> None:
    with pytest.raises(SchemaOutdated):
        run_reports(made, once=True)
