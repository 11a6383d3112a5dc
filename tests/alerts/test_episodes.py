from __future__ import annotations

from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.alerts.builders import (
    DAY,
    HASH,
    HOUR,
    T0,
    above,
    any_cause,
    cause,
    crossing,
    episode,
    one_life,
    quiet_windows,
    unsure,
    wide,
    windows,
    within,
)

from driftline.alerts.episodes import QUIET_WINDOWS, Episode, ended, opened, severity_of, watched
from driftline.contracts.findings import Alert, Cause, Severity

_ENDS = {"resolved", "accepted", "superseded"}


def _next(state: Episode, *causes: Cause, at: int = T0 + 2 * HOUR) -> tuple[Episode, Alert | None]:
    return watched(state, causes, at, 500, HASH)


# -- opening ------------------------------------------------------------------------------------------------------------------


def test_a_crossing_opens_an_episode_that_says_all_that_the_crossing_did() -> None:
    crossed = crossing(cause("x"), cause("y"))
    state, alert = opened(crossed, HASH)
    for name in ("model", "version", "reference_id", "onset", "n", "evidence", "budget", "causes", "offsets"):
        assert getattr(alert, name) == getattr(crossed, name) == getattr(state, name)
    assert (alert.status, alert.revision, alert.opened_at, alert.at, alert.config_hash) == ("opened", 1, crossed.at, crossed.at, HASH)
    assert state.ended_at is None


def test_the_same_crossing_opens_the_same_episode_again() -> None:
    assert opened(crossing(), HASH) == opened(crossing(), HASH)


@pytest.mark.parametrize("changed", [{"model": "n"}, {"reference_id": "s"}, {"kind": "outcomes"}, {"at": T0 + 2 * HOUR}])
def test_another_model_reference_kind_or_moment_is_another_episode(changed: dict[str, object]) -> None:
    one, other = opened(crossing(), HASH), opened(crossing(**changed), HASH)
    assert one[0].episode_id != other[0].episode_id
    assert one[1].alert_id != other[1].alert_id


# -- watching -----------------------------------------------------------------------------------------------------------------


def test_an_episode_resolves_in_the_first_window_in_which_every_cause_is_surely_within_tolerance() -> None:
    state, alert = _next(episode(cause("x"), cause("y")), within("x"), within("y"))
    assert alert is not None
    assert (alert.status, alert.revision, alert.at, alert.n) == ("resolved", 2, T0 + 2 * HOUR, 500)
    assert state.ended_at == alert.at


def test_one_cause_of_two_within_tolerance_resolves_nothing_yet() -> None:
    state, alert = _next(episode(cause("x"), cause("y")), within("x"), unsure("y"))
    assert (state.ended_at, alert) == (None, None)


def test_it_resolves_after_three_quiet_windows_in_a_row() -> None:
    state, alerts = episode(cause("x")), []
    for _ in range(QUIET_WINDOWS):
        state, alert = _next(state, wide("x"))
        alerts.append(alert)
    assert alerts[:-1] == [None] * (QUIET_WINDOWS - 1)
    assert alerts[-1] is not None
    assert alerts[-1].status == "resolved"


@pytest.mark.parametrize("loud", [(above("x"),), (unsure("x"),), (wide("x"), above("other"))])
def test_a_window_that_is_not_quiet_begins_the_count_anew(loud: tuple[Cause, ...]) -> None:
    state = episode(cause("x"))
    for causes in ((wide("x"),), (wide("x"),), loud, (wide("x"),), (wide("x"),)):
        state, _ = _next(state, *causes)
        assert state.ended_at is None
    state, _ = _next(state, wide("x"))
    assert state.ended_at is not None


def test_windows_that_do_not_show_its_columns_are_quiet_too() -> None:
    state = episode(cause("x"))
    for _ in range(QUIET_WINDOWS - 1):
        state, alert = _next(state)
        assert alert is None
    assert _next(state)[0].status == "resolved"


def test_it_stays_open_while_another_column_is_surely_beyond_tolerance() -> None:
    state, alert = _next(episode(cause("x")), within("x"), above("y", share=0.0))
    assert state.ended_at is None
    assert alert is None


def test_new_causes_that_carry_much_of_the_evidence_are_told_once() -> None:
    state, alert = _next(episode(cause("x")), above("x"), above("y"))
    assert alert is not None
    assert (alert.status, alert.revision) == ("updated", 2)
    assert [c.column for c in alert.causes] == ["x", "y"]
    assert "y is higher" in alert.sentence
    assert _next(state, above("x"), above("y"))[1] is None


def test_news_of_errors_tells_what_they_are_by_now() -> None:
    state, first = opened(crossing(cause("loss", direction="down", effect=-0.5), kind="outcomes"), HASH)
    assert "have become smaller since" in first.sentence
    assert first.severity == "info"
    grown = _next(state, above("loss"), above("brier"))[1]
    assert grown is not None
    assert grown.sentence.startswith("The errors of m have grown by now; 1 column more, 2 in all: brier is higher by 0.50 sd (0.40 to 0.60), seen in")
    assert grown.severity == "critical"
    mixed = _next(state, above("loss", direction="down", effect=-0.5), above("brier"))[1]
    assert mixed is not None
    assert mixed.sentence.startswith("The errors of m have changed by now; ")


def test_an_improvement_that_becomes_a_harm_is_told_and_once() -> None:
    smaller = crossing(cause("loss", direction="down", effect=-0.5), cause("error", term="value:1", direction="down", effect=-0.4), kind="outcomes")
    state, _ = opened(smaller, HASH)
    for early in (unsure("loss"), above("loss", direction="down", effect=-0.6)):
        assert _next(state, early)[1] is None
    grown, alert = _next(state, above("loss"), above("error", term="value:1", direction="down", effect=-0.4), at=T0 + 3 * HOUR)
    assert alert is not None
    assert (alert.status, alert.revision, alert.severity) == ("updated", 2, "critical")
    assert [(c.column, c.direction) for c in alert.causes] == [("loss", "up"), ("error", "down")]
    assert alert.sentence == "The errors of m have turned, and have changed by now: loss is higher by 0.50 sd (0.40 to 0.60), seen in 500 events."
    assert alert.moved == 2
    assert _next(grown, above("loss"))[1] is None
    before = grown.as_of(T0 + 3 * HOUR - 1)
    assert before is not None
    assert (before.severity, before.causes) == ("info", state.causes)
    back = _next(grown, above("loss", direction="down", effect=-0.5), at=T0 + 4 * HOUR)[1]
    assert back is not None
    assert back.severity == "info"
    assert "have turned, and have become smaller by now: loss is lower by" in back.sentence


def test_inputs_that_turn_and_others_that_join_them_are_told_together() -> None:
    state, alert = _next(episode(cause("x")), above("x", direction="down", effect=-0.5), above("y"))
    assert alert is not None
    assert [(c.column, c.direction) for c in state.causes] == [("x", "down"), ("y", "up")]
    assert alert.sentence.startswith("More inputs of m have drifted, 1 that come to 2: y is higher by ")
    assert alert.sentence.endswith(" What has drifted in m has turned: x is lower by 0.50 sd (0.40 to 0.60), seen in 500 events.")


@pytest.mark.parametrize(
    ("news", "subject"),
    [
        (["y"], "More inputs of m have drifted, 1 that come to 2: y is"),
        (["y", "score"], "More inputs and the score of m have drifted, 2 that come to 3: "),
        (["score"], "The score of m has drifted too, 1 that come to 2: "),
    ],
)
def test_news_tells_inputs_from_what_the_model_says(news: list[str], subject: str) -> None:
    alert = _next(episode(cause("x")), above("x"), *(above(name) for name in news))[1]
    assert alert is not None
    assert alert.sentence.startswith(subject)


@pytest.mark.parametrize("n", [1, 4, 5, 12])
def test_many_columns_that_drift_together_are_news_as_one_is(n: int) -> None:
    fresh = [above(f"y{i}", share=1 / n) for i in range(n)]
    _, alert = _next(episode(cause("x")), above("x"), *fresh)
    assert alert is not None
    assert len(alert.causes) == n + 1


def test_a_new_cause_that_carries_little_or_may_be_chance_is_no_news() -> None:
    assert _next(episode(cause("x")), above("x"), above("y", share=0.1))[1] is None
    assert _next(episode(cause("x")), above("x"), unsure("y"))[1] is None


@pytest.mark.parametrize("how", ["accepted", "superseded"])
def test_a_new_reference_ends_it_as_it_is_told(how: Literal["accepted", "superseded"]) -> None:
    state, alert = ended(episode(), how, T0 + DAY, HASH)
    assert (state.status, state.ended_at, alert.status, alert.revision) == (how, T0 + DAY, how, 2)


# -- laws ---------------------------------------------------------------------------------------------------------------------


@given(windows, st.lists(windows, max_size=12))
@example((cause("a"),), [(within("a"),)] * 5)
def test_an_episode_ends_once_at_most_and_its_end_is_the_last_it_says(first: tuple[Cause, ...], later: list[tuple[Cause, ...]]) -> None:
    states, alerts = one_life(first, later)
    ends = [alert for alert in alerts if alert.status in _ENDS]
    assert len(ends) == (states[-1].ended_at is not None)
    assert not ends or alerts[-1] is ends[0]
    assert all(state.ended_at is None for state in states[:-1])


@given(windows, st.lists(windows, max_size=12))
def test_revisions_grow_by_one_ids_are_unique_and_what_was_named_stays_named(first: tuple[Cause, ...], later: list[tuple[Cause, ...]]) -> None:
    states, alerts = one_life(first, later)
    assert [alert.revision for alert in alerts] == list(range(1, len(alerts) + 1))
    assert len({alert.alert_id for alert in alerts}) == len(alerts)
    assert len({alert.episode_id for alert in alerts}) == 1
    for one, other in pairwise(alerts):
        assert {c.column for c in one.causes} <= {c.column for c in other.causes}
        assert one.at < other.at
    for alert in alerts:
        assert (alert.onset, alert.opened_at) == (states[0].onset, states[0].opened_at)
        assert alert.sentence


@given(windows, st.lists(windows, max_size=12))
def test_a_change_of_status_is_always_told_and_nothing_is_told_without_one(first: tuple[Cause, ...], later: list[tuple[Cause, ...]]) -> None:
    states, alerts = one_life(first, later)
    assert [alert.revision for alert in alerts] == sorted({state.revision for state in states})
    by_revision = {state.revision: state for state in states}
    for alert in alerts:
        assert by_revision[alert.revision].status == alert.status
        assert by_revision[alert.revision].severity == alert.severity


@given(windows, st.lists(windows, max_size=12))
def test_an_episode_can_be_seen_as_it_stood_at_any_moment(first: tuple[Cause, ...], later: list[tuple[Cause, ...]]) -> None:
    states, _ = one_life(first, later)
    last = states[-1]
    assert last.as_of(last.opened_at - 1) is None
    for i, state in enumerate(states):
        for moment in (last.opened_at + i * HOUR, last.opened_at + (i + 1) * HOUR - 1):
            then = last.as_of(moment)
            assert (then is None) == (state.ended_at is not None)
            assert then is None or (then.causes, then.severity) == (state.causes, state.severity)


def test_a_state_that_knows_no_moments_has_its_causes_from_the_first() -> None:
    state, _ = _next(episode(cause("x")), above("y"))
    old = replace(state, named_at=())
    assert old.as_of(old.opened_at) == replace(old, named_at=(old.opened_at,) * 2)
    later, _ = _next(old, above("z", share=0.9), at=T0 + 5 * HOUR)
    assert later.named_at == (old.opened_at, old.opened_at, T0 + 5 * HOUR)


@given(windows, st.lists(quiet_windows, min_size=3, max_size=3))
def test_three_windows_without_an_effect_end_every_episode(first: tuple[Cause, ...], later: list[tuple[Cause, ...]]) -> None:
    states, _ = one_life(first, later)
    assert states[-1].status == "resolved"


@given(windows, st.lists(st.tuples(any_cause.map(lambda c: above(c.column)), windows), max_size=8))
def test_nothing_ends_while_something_is_surely_beyond_tolerance(first: tuple[Cause, ...], later: list[tuple[Cause, tuple[Cause, ...]]]) -> None:
    states, _ = one_life(first, [(loud, *(c for c in rest if c.column != loud.column)) for loud, rest in later])
    assert states[-1].ended_at is None


# -- severity -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("causes", "severity"),
    [
        ((cause("x", importance=0.05),), "info"),
        ((cause("x", importance=0.06), cause("y", importance=0.06)), "warning"),
        ((cause("x", importance=0.06), cause("x", term="scale", importance=0.06)), "info"),  # one column counts once
        ((), "info"),
    ],
)
def test_features_warn_when_they_carry_a_tenth_of_the_importance(causes: tuple[Cause, ...], severity: Severity) -> None:
    assert severity_of("features", causes) == severity


@pytest.mark.parametrize(
    ("found", "severity"),
    [
        (cause("loss"), "critical"),
        (cause("loss", direction="down"), "info"),
        (cause("brier", term="tails", direction="changed"), "critical"),
        (cause("error", term="value:1", direction="up"), "critical"),
        (cause("error", term="value:1", direction="down"), "info"),
        (cause("error", term="value:0", direction="down"), "critical"),
        (cause("error", term="value:0", direction="up"), "info"),
        (cause("error", term="location", direction="down"), "critical"),  # a regression that has become biased
        (cause("error", term="scale", direction="down"), "info"),
        (cause("label", term="value:1"), "info"),
    ],
)
def test_errors_that_rise_are_critical_and_errors_that_fall_are_not(found: Cause, severity: Severity) -> None:
    assert severity_of("outcomes", (found,)) == severity


def test_severity_follows_the_causes_as_they_are_added() -> None:
    state = episode(cause("x", importance=0.01))
    assert state.severity == "info"
    state, alert = _next(state, above("x"), above("y", importance=0.5))
    assert alert is not None
    assert (state.severity, alert.severity) == ("warning", "warning")


def test_a_crossing_without_causes_is_an_episode_too() -> None:
    state, alert = opened(replace(crossing(), causes=()), HASH)
    assert "many small changes together" in alert.sentence
    assert state.causes == ()
