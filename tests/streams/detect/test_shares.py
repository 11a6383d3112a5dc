"""A cause that is a share holds what it was and is: what the rows themselves say, and what `driftline explain` tells."""

from __future__ import annotations

import numpy as np
import pytest
from tests.detectors.made import START
from tests.detectors.test_kinds import CONFIG, N, built, pane_of, rows_of

from driftline.alerts.episodes import Crossing, opened
from driftline.alerts.sentences import cause_phrase
from driftline.cli.explaining import Seen, explain_column
from driftline.contracts.times import DAY_MS, HOUR_MS
from driftline.detectors.decider import Decider
from driftline.detectors.whole import Whole
from driftline.streams.detect.causes import discreet, plain_causes, window_causes
from driftline.streams.detect.shares import shared


def test_a_share_is_told_from_what_it_was_to_what_it_is() -> None:
    rng = np.random.default_rng(5)
    towns = rng.choice(["a", "b", "c"], N, p=[0.6, 0.3, 0.1])
    reference = built({"town": towns.tolist(), "x": rng.normal(size=N).tolist()})
    live = rows_of(
        {"town": [*["c"] * 100, *["new"] * 40, *towns[:160].tolist(), *[None] * 100], "x": [*[None] * 60, *rng.normal(size=N - 60).tolist()]}
    )
    pane, decider = pane_of(reference, live), Decider(reference, CONFIG)
    effects = decider.effects("features", pane.counts, 7.0)
    causes = {(c.column, c.term): c for c in shared(plain_causes(effects, {}, START), reference, "features")}
    seen = Seen(counts=pane.counts, hours=7.0, since=START, until=START + DAY_MS, evidence=None, episode=None)
    stories = {(c, t.term): t for c in ("town", "x") for t in explain_column(Whole.of(reference, CONFIG, ()), c, "1 per 30d", seen).terms}
    for key, cause in causes.items():
        assert (cause.share_then, cause.share_now) == (stories[key].share_then, stories[key].share_now)
    assert causes["x", "null"].share_now == pytest.approx(60 / N)
    assert causes["town", "null"].share_now == pytest.approx(100 / N)
    assert causes["town", "unseen"].share_now == pytest.approx(40 / (N - 100))
    assert causes["town", "value:c"].share_then == pytest.approx(float(np.mean(towns == "c")), abs=2 / N)
    assert causes["town", "value:c"].share_now == pytest.approx((100 + float(np.sum(towns[:160] == "c"))) / (N - 100))
    assert causes["x", "location"].share_now is None
    assert "sd" not in cause_phrase(causes["town", "value:c"])
    # The same holds of an open episode's own causes at a later window, also where their values are not named.
    hidden = discreet([causes["town", "value:c"]], reference, {"town": "hash"})
    assert hidden[0].term == "value #3"
    crossing = Crossing(
        model="m", version="1", reference_id="r", kind="features", at=START, onset=START, n=N, evidence=1.0, budget=1.0, causes=hidden
    )  # fmt: skip
    (again, *_) = window_causes(opened(crossing, "")[0], effects, reference, START + HOUR_MS).causes
    assert (again.term, again.share_then, again.share_now) == ("value #3", causes["town", "value:c"].share_then, causes["town", "value:c"].share_now)
