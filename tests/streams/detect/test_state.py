from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.alerts.builders import crossing

from driftline.alerts import episodes
from driftline.streams.detect.folding import horizon, reach
from driftline.streams.detect.state import ModelState, Track, decode_state, encode_state

_times = st.integers(0, 1 << 45)


def test_the_evidence_of_closes_is_remembered_as_long_as_a_window_may_be_told_of_again() -> None:
    track = Track(reference_id="r", effective_from=0)
    for start in range(0, 1_000, 10):
        track.note_close(start, float(start), since=start - 300)
    assert track.closes == {start: float(start) for start in range(690, 1_000, 10)}


def test_ended_episodes_are_remembered_by_time_and_not_by_number() -> None:
    track = Track(reference_id="r", effective_from=0)
    for at in range(100, 130):
        opened, _ = episodes.opened(crossing(at=at), "hash")
        over, _ = episodes.ended(opened, "superseded", at + 1, "hash")
        track.end(over, since=at - 19)
    assert [e.ended_at for e in track.past] == list(range(110, 131))


def test_tracks_whose_windows_are_gone_go_too_but_the_newest_and_those_with_an_open_episode() -> None:
    opened, _ = episodes.opened(crossing(), "hash")
    tracks = {
        "gone": Track(reference_id="gone", effective_from=1, last_end={"features": 50}),
        "open": Track(reference_id="open", effective_from=2, last_end={"features": 50}, episodes={"features": opened}),
        "late": Track(reference_id="late", effective_from=3, last_end={"features": 50, "outcomes": 200}),
        "newest": Track(reference_id="newest", effective_from=4, last_end={"features": 60}),
    }
    state = ModelState(tracks=tracks)
    state.forget(100)
    assert list(state.tracks) == ["open", "late", "newest"]
    state.forget(0)
    assert state.forgotten == 100
    assert decode_state(encode_state(state)) == state


@given(_times, _times, st.integers(0, 1 << 32), st.integers(1, 10**7), st.integers(1, 100))
def test_nothing_that_closes_later_asks_for_a_pane_that_was_let_go_of(watermark: int, later: int, wait: int, pane: int, panes: int) -> None:
    window = pane * panes
    start = (max(0, watermark - wait - pane) + later) // pane * pane  # a pane that was not due yet
    if start + pane + wait > watermark:
        assert horizon(watermark, wait, pane, window) <= reach(start, pane, window)
