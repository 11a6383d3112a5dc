"""The number of events and pairs of columns are explained with the decider's own evidence."""

from __future__ import annotations

import numpy as np
import pytest

from driftline.cli.explaining import Seen, explain_column
from driftline.cli.explaining_beside import explain_pair, explain_volume, pair_of
from driftline.contracts.reference import Reference
from driftline.contracts.summaries import SampleRow
from driftline.contracts.times import DAY_MS, HOUR_MS
from driftline.detectors.decider import DeciderConfig
from driftline.detectors.layout import layout_of
from driftline.detectors.reference import build_reference
from driftline.detectors.whole import Whole

T0 = 1_700_000_000_000 // DAY_MS * DAY_MS
CONFIG = DeciderConfig(budget_hours=720.0)


def _reference() -> tuple[Reference, list[SampleRow]]:
    rng = np.random.default_rng(0)
    n = 20 * 24 * 30
    times = T0 - 20 * DAY_MS + np.arange(n) * (HOUR_MS // 30)
    x, y = rng.normal(size=(2, n))
    reference = build_reference(
        model="m", version="1", task="regression", effective_from=T0, origin="built", times=times,
        features={"x": x.tolist(), "y": y.tolist()}, all_events=True,
    )  # fmt: skip
    rows = [SampleRow(i, f"r{i}", int(times[i]), "1", {"x": float(x[i]), "y": float(y[i])}) for i in range(0, n, 7)]
    return reference, rows


def test_evidence_and_effect_are_the_decider_s_own() -> None:
    reference, rows = _reference()
    whole = Whole.of(reference, CONFIG, rows)
    decider, table = whole.decider, whole.pairs
    assert table is not None
    counts = np.zeros(layout_of(reference, "features").slots, np.int64)
    state = decider.start()
    live = [SampleRow(i, f"l{i}", T0 + i * 60_000, "1", {"x": v, "y": v}) for i, v in enumerate(np.random.default_rng(1).normal(size=240).tolist())]
    for hour in range(4):
        end = T0 + (hour + 1) * HOUR_MS
        state = decider.step(state, "features", counts, end, 1.0, 150)  # five times as many events as usual
        state = decider.take(state, table.extra.name, table.log_e(live[hour * 60 : hour * 60 + 60], 60.0), end, 1.0)
    verdict = decider.verdict(state)
    own = {name.split("/")[1]: float(np.exp(extra.log_r).sum()) for name, extra in state.extras.items()}
    seen = Seen(counts=counts, hours=4.0, since=T0, until=T0 + 4 * HOUR_MS, evidence=state.encode(), episode=None)
    volume = explain_volume(whole, "1 per 30d", seen, 600)
    assert volume.evidence == pytest.approx(verdict.evidence)
    assert volume.evidence_of_column == pytest.approx(own["volume"])
    expected = decider.volume_effect(600, T0, T0 + 4 * HOUR_MS)
    assert expected is not None
    assert (volume.terms[0].effect, volume.terms[0].tolerance) == (expected.effect, expected.tolerance)
    assert volume.terms[0].onset == T0
    place = pair_of(table, "y x x")
    assert place is not None
    assert own["volume"] > own["pairs"] > 0
    pair = explain_pair(whole, "1 per 30d", seen, place, live)
    assert pair.evidence == pytest.approx(verdict.evidence)
    assert pair.evidence_of_column == pytest.approx(own["pairs"])  # the only pair there is
    assert pair.state == "drift"
    # A column's own evidence is weighed against that of all, the pairs' and the traffic's among it.
    assert explain_column(whole, "x", "1 per 30d", seen).evidence == pytest.approx(verdict.evidence)
    assert pair_of(table, "x x z") is pair_of(None, "x x y") is None


def test_weight_0_or_no_rows_are_what_the_answer_is_about() -> None:
    reference, rows = _reference()
    muted = DeciderConfig(budget_hours=720.0, weights={"volume": 0.0, "x": 0.0})
    counts = np.zeros(layout_of(reference, "features").slots, np.int64)
    seen = Seen(counts=counts, hours=4.0, since=T0, until=T0 + 4 * HOUR_MS, evidence=None, episode=None)
    assert explain_volume(Whole.of(reference, muted, ()), "1 per 30d", seen, 600).why.startswith("It can't alarm: volume has weight 0")
    assert explain_pair(Whole.of(reference, CONFIG, rows), "1 per 30d", seen, 0, []).why.startswith("It did not alarm: nothing has closed yet")
