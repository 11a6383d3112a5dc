from __future__ import annotations

from sqlalchemy import Engine
from tests.store.builders import T0, alert, change, closing, decision, finding

from driftline.store import closings, decisions, detection, episodes, findings
from driftline.store.retention import purge_some


def test_what_was_said_long_ago_goes_a_few_at_a_time_and_open_episodes_stay(engine: Engine) -> None:
    said = [finding(f"f{i}", window_end=T0 + i) for i in range(10)]
    asked = [decision(f"d{i}", at=T0 + i) for i in range(4)]
    closed = [closing(f"c{i}", start=T0 + i) for i in range(4)]
    told = [alert("over", 0, at=T0), alert("over", 1, "resolved", at=T0 + 2), alert("open", 0, at=T0), alert("new", 0, "resolved", at=T0 + 9)]
    other = [finding("other", model="n", window_end=T0)]
    detection.commit(engine, change(None, 1, findings=[*said, *other], decisions=asked, closings=closed, alerts=told))
    gone = []
    while n := purge_some(engine, "m", {"findings": T0 + 5, "decisions": T0 + 3, "closings": T0 + 1, "alerts": T0 + 5}, limit=3):
        gone.append(n)
    assert sum(gone) == 5 + 3 + 1 + 1
    assert max(gone) <= 3
    assert {f.finding_id for f in findings.history(engine)} == {"f5", "f6", "f7", "f8", "f9", "other"}
    assert [d.decision_id for d in decisions.history(engine, "m")] == ["d3"]
    assert {c.closing_id for c in closings.history(engine, "m")} == {"c1", "c2", "c3"}
    assert {e.episode_id for e in episodes.history(engine)} == {"open", "new"}
    assert {a.episode_id for a in episodes.alerts(engine)} == {"open", "new"}
