"""Findings, episodes, decisions, closings, reports: what is kept of what Driftline said."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import Engine
from tests.store.builders import T0, alert, cause, closing, decision, finding

from driftline.store import bulk, closings, decisions, episodes, findings, reports
from driftline.store.reports import Report


def the_greatest_revision_is_kept(engine: Engine) -> None:
    findings.record(engine, [finding(revision=2, sentence="two")])
    findings.record(engine, [finding(revision=1, sentence="one")])
    assert [f.sentence for f in findings.history(engine)] == ["two"]
    findings.record(engine, [finding(revision=3, sentence="three \x00 é")])
    assert [f.sentence for f in findings.history(engine)] == ["three \x00 é"]


def test_the_greatest_revision_of_a_finding_is_kept_however_late_an_older_one_comes(engine: Engine) -> None:
    the_greatest_revision_is_kept(engine)


def test_a_store_in_which_the_last_one_wins_is_found_out(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    upsert = bulk.upsert
    monkeypatch.setattr(bulk, "upsert", lambda conn, into, rows, **_: upsert(conn, into, rows))
    with pytest.raises(AssertionError, match="one"):
        the_greatest_revision_is_kept(engine)


def test_findings_are_found_by_model_and_window_newest_first(engine: Engine) -> None:
    kept = [finding(str(i), window_end=T0 + i) for i in range(5)]
    findings.record(engine, [*kept, finding("n", model="n")])
    assert findings.history(engine, "m", since=T0 + 1, until=T0 + 4) == [kept[3], kept[2], kept[1]]
    assert findings.history(engine, "m", limit=2) == [kept[4], kept[3]]
    assert findings.latest(engine, "m") == kept[4]
    assert len(findings.history(engine)) == 6
    assert findings.purge(engine, T0 + 3) == 3


def test_an_episode_stands_where_its_newest_alert_left_it_in_any_order(engine: Engine) -> None:
    turns = [
        alert("e", 0, "opened"),
        alert("e", 1, "updated", n=200, causes=(cause(), cause(column="y"))),
        alert("e", 2, "resolved", sentence="over"),
    ]
    for seed in range(4):
        order = [alert(f"e{seed}", a.revision, a.status, causes=a.causes, n=a.n) for a in turns]
        random.Random(seed).shuffle(order)
        for one in order:
            episodes.record(engine, [one])
        got = episodes.get(engine, f"e{seed}")
        assert got is not None
        assert (got.status, got.open, got.resolved_at) == ("resolved", False, T0 + 7)
        assert (got.opened_at, got.updated_at, got.onset) == (T0 + 5, T0 + 7, T0)
        assert [a.revision for a in episodes.alerts(engine, episode_id=f"e{seed}")] == [2, 1, 0]


def test_open_episodes_have_no_end_and_keep_their_causes(engine: Engine) -> None:
    episodes.record(engine, [alert("a", 0), alert("a", 1, "updated", causes=(cause(column="y"),))])
    episodes.record(engine, [alert("b", 0), alert("b", 4, "accepted"), alert("c", 0, model="n", at=T0 + 100)])
    [kept] = episodes.history(engine, "m", open_only=True)
    assert (kept.episode_id, kept.resolved_at, kept.causes) == ("a", None, (cause(column="y"),))
    assert [e.episode_id for e in episodes.history(engine)] == ["c", "b", "a"]
    assert [e.episode_id for e in episodes.history(engine, since=T0 + 9)] == ["c", "b"]
    assert episodes.get(engine, "unknown") is None


def test_alerts_come_back_as_published_newest_first(engine: Engine) -> None:
    turns = [alert("e", 0), alert("e", 1, "updated"), alert("other", 5, model="n")]
    episodes.record(engine, turns)
    episodes.record(engine, [alert("e", 0, sentence="a repeat never changes what was said")])
    assert episodes.alerts(engine) == turns[::-1]
    assert episodes.alerts(engine, model="m", since=T0 + 6) == [turns[1]]


def test_decisions_are_kept_once_newest_first(engine: Engine) -> None:
    kept = [decision(str(i), at=T0 + i, retrain=bool(i)) for i in range(3)]
    decisions.record(engine, kept)
    decisions.record(engine, [decision("0", sentence="again")])
    assert decisions.history(engine, "m") == kept[::-1]
    assert decisions.history(engine, "m", since=T0 + 1, limit=1) == [kept[2]]
    assert decisions.history(engine, "n") == []


def test_closings_are_kept_once_by_start(engine: Engine) -> None:
    kept = [closing(str(i), start=T0 + i) for i in range(3)]
    closings.record(engine, kept[::-1])
    closings.record(engine, [closing("1", start=T0 + 1, n=99)])
    assert closings.history(engine, "m") == kept
    assert closings.history(engine, "m", since=T0 + 1, until=T0 + 2) == [kept[1]]
    assert closings.purge(engine, T0 + 2) == 2
    assert closings.history(engine, "m") == [kept[2]]


def test_episodes_without_a_report_are_wanted_the_oldest_first(engine: Engine) -> None:
    episodes.record(engine, [alert("b", opened_at=T0 + 2), alert("a", opened_at=T0 + 1), alert("c", opened_at=T0 + 3)])
    assert [e.episode_id for e in reports.wanted(engine)] == ["a", "b", "c"]
    failed = Report(episode_id="a", status="failed", made_at=T0, reason="no rows")
    ready = Report(episode_id="b", status="ready", html="b.html", json="b.json", made_at=T0)
    for one in (failed, ready):
        reports.put(engine, one)
        assert reports.get(engine, one.episode_id) == one
    assert [e.episode_id for e in reports.wanted(engine)] == ["c"]
    again = Report(episode_id="a", status="ready", html="a.html", made_at=T0 + 1)
    reports.put(engine, again)
    assert reports.get(engine, "a") == again
    assert reports.get(engine, "c") is None
