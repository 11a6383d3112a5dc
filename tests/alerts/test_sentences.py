from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.alerts.builders import DAY, HOUR, T0, any_cause, cause, within

from driftline.alerts.sentences import cause_phrase, ended_sentence, lasted, opened_sentence
from driftline.contracts.findings import Cause
from driftline.contracts.times import parse_duration


@pytest.mark.parametrize(
    ("found", "phrase"),
    [
        (cause(), "x is higher by 0.50 sd (0.40 to 0.60)"),
        (cause(direction="down", effect=-0.5), "x is lower by 0.50 sd (0.40 to 0.60)"),
        (cause(term="scale"), "x is wider by 0.50 (0.40 to 0.60)"),
        (cause(term="scale", direction="down"), "x is narrower by 0.50 (0.40 to 0.60)"),
        (cause(term="tails", direction="changed"), "the shape of x has changed by 0.50 (0.40 to 0.60)"),
        (cause(term="null"), "x is more often missing, by 0.50 sd (0.40 to 0.60)"),
        (cause(term="null", direction="down"), "x is less often missing, by 0.50 sd (0.40 to 0.60)"),
        (cause(term="unseen"), "x takes values that the reference never saw, by 0.50 sd (0.40 to 0.60)"),
        (cause(term="value:UA"), "x = UA is more frequent, by 0.50 sd (0.40 to 0.60)"),
        (cause(term="value:a:b", direction="down"), "x = a:b is less frequent, by 0.50 sd (0.40 to 0.60)"),
        (cause(term="value #2"), "x = #2 is more frequent, by 0.50 sd (0.40 to 0.60)"),
        (cause(term="null", share_then=0.01, share_now=0.06), "x is more often missing, from 1.00% to 6.00% (5.00% to 7.00%)"),
        (
            cause(term="null", direction="down", effect=-0.5, share_then=0.05, share_now=0.0),
            "x is less often missing, from 5.00% to 0.00% (0.00% to 1.00%)",
        ),
        (cause(term="unseen", share_then=0.0, share_now=0.05), "x takes values that the reference never saw, from 0.00% to 5.00% (4.00% to 6.00%)"),
        (cause(term="value:UA", share_then=0.1, share_now=0.15), "x = UA is more frequent, from 10.00% to 15.00% (14.00% to 16.00%)"),
        (cause("error", term="value:1", share_then=0.1, share_now=0.15), "error = 1 is more frequent, from 10.00% to 15.00% (14.00% to 16.00%)"),
        (cause(term="other"), "x (other) has changed by 0.50 sd (0.40 to 0.60)"),
        (cause(term="volume", effect=-1.0, low=0.5, high=1.5), "events are 0.37 times as many as in the reference (0.22 to 0.61)"),
        (cause(term="volume", effect=1.0, low=0.5, high=1.5), "events are 2.72 times as many as in the reference (1.65 to 4.48)"),
        (cause(term="silence", effect=-3.0, low=3.0, high=3.0, tolerance=0.2), "no event for 3h; before never more than 12m"),
        (cause(term="silence", effect=-3.0, low=3.0, high=3.0, tolerance=0.0), "no event for 3h; as never before"),
    ],
)
def test_each_kind_of_term_has_its_own_words(found: Cause, phrase: str) -> None:
    assert cause_phrase(found) == phrase


@pytest.mark.parametrize(
    ("found", "phrase"),
    [
        (cause("error", term="value:1", share_then=0.1, share_now=0.15), "the error rate is higher, from 10.00% to 15.00% (14.00% to 16.00%)"),
        (
            cause("error", term="value:0", direction="down", effect=-0.5, share_then=0.9, share_now=0.85),
            "the error rate is higher, from 10.00% to 15.00% (14.00% to 16.00%)",
        ),
        (
            cause("error @ a=b", of="error", where="a = b", term="value:1", direction="down", effect=-0.5, share_then=0.15, share_now=0.1),
            "the error rate is lower, from 15.00% to 10.00% (9.00% to 11.00%) where a = b",
        ),
    ],
)
def test_the_share_of_errors_is_the_error_rate(found: Cause, phrase: str) -> None:
    assert cause_phrase(found, "outcomes") == phrase


@given(st.floats(0, 1), st.floats(0, 1), st.floats(-9, 9), st.floats(0, 9), st.floats(0, 9))
def test_what_is_told_of_a_share_is_a_share(then: float, now: float, effect: float, low: float, more: float) -> None:
    said = cause_phrase(cause(term="null", effect=effect, low=low, high=low + more, share_then=then, share_now=now))
    told = [float(number) for number in re.findall(r"(-?[0-9.]+)%", said)]
    assert len(told) == 4
    assert all(0 <= number <= 100 for number in told)
    assert told[2] <= told[3]


def test_each_cause_tells_its_own_beginning_where_it_is_not_that_of_the_first() -> None:
    causes = (cause("temp", onset=T0 + DAY, share=0.9), cause("rain", onset=T0, share=0.1))
    said = opened_sentence("m", "features", causes, T0 - DAY, 7)
    assert said == (
        "The inputs of m have drifted since 2020-09-13T12:26:40Z: temp is higher by 0.50 sd (0.40 to 0.60) since 2020-09-14T12:26:40Z; "
        "rain is higher by 0.50 sd (0.40 to 0.60), seen in 7 events."
    )
    noted = cause_phrase(cause("temp", note="which looks like a change of unit"), since="then")
    assert noted == "temp is higher by 0.50 sd (0.40 to 0.60) since then, which looks like a change of unit"


def test_what_lies_within_tolerance_is_named_only_if_nothing_else_is_there() -> None:
    causes = (within("loud", share=0.9, importance=0.9), cause("x", share=0.1))
    said = opened_sentence("m", "features", causes, T0, 7, ["loud", "x"])
    assert said.startswith("The inputs of m have drifted since 2020-09-13T12:26:40Z: x is higher by 0.50 sd (0.40 to 0.60), seen")
    assert "loud is higher" in opened_sentence("m", "features", causes[:1], T0, 7)
    assert "(x)" in ended_sentence("m", "accepted", causes, T0, T0 + DAY)


@pytest.mark.parametrize(
    ("moved", "subject"),
    [
        (["a"], "The inputs of m have"),
        (["a", "b", "c", "d"], "4 inputs of m have"),
        (["a", "b", "score"], "2 inputs and the score of m have"),
        (["a", "prediction", "score"], "1 input, the score and the prediction of m have"),
        (["score"], "The score of m has"),
        (["score", "score @ site=north"], "The score of m has"),
        (["score", "prediction"], "The score and the prediction of m have"),
        (["a", "volume"], "1 input and the traffic of m have"),
    ],
)
def test_what_a_model_says_is_no_input(moved: list[str], subject: str) -> None:
    causes = tuple(cause(name) for name in moved[:2])
    assert opened_sentence("m", "features", causes, T0, 7, moved).startswith(f"{subject} drifted since ")


def test_an_opening_says_what_how_large_since_when_and_at_what_n() -> None:
    said = opened_sentence("flights", "features", (cause("temp"),), T0, 12_345)
    assert said == "The inputs of flights have drifted since 2020-09-13T12:26:40Z: temp is higher by 0.50 sd (0.40 to 0.60), seen in 12,345 events."
    assert opened_sentence("flights", "outcomes", (cause("loss"),), T0, 1).startswith("The errors of flights have grown since")
    smaller = (cause("loss", direction="down"), cause("brier", direction="down"))
    assert opened_sentence("flights", "outcomes", smaller, T0, 1).startswith("The errors of flights have become smaller since")
    for mixed in ((cause("loss"), cause("brier", direction="down")), (cause("error"),), (cause("loss", term="scale"),), ()):
        assert opened_sentence("flights", "outcomes", mixed, T0, 1).startswith("The errors of flights have changed since")


def test_three_columns_are_named_by_what_they_carry_and_the_rest_is_counted() -> None:
    causes = tuple(cause(f"x{i}", share=i / 10) for i in range(5))
    said = opened_sentence("m", "features", causes, T0, 1)
    assert [said.index(f"x{i} is higher") for i in (4, 3, 2)] == sorted(said.index(f"x{i} is higher") for i in (2, 3, 4))
    assert "; and 2 more" in said
    assert "x1 is" not in said


def test_a_column_is_named_once_by_its_strongest_term() -> None:
    said = opened_sentence("m", "features", (cause("x", term="scale", share=0.1), cause("x", share=0.9)), T0, 1)
    assert said.count("x is") == 1
    assert "x is higher" in said


@pytest.mark.parametrize(
    ("how", "words"),
    [("resolved", "is back within tolerance"), ("accepted", "accepted as the new normal"), ("superseded", "a new version with its own reference")],
)
def test_each_end_has_its_own_words_and_says_how_long_it_lasted(how: str, words: str) -> None:
    said = ended_sentence("m", how, (cause("x"),), T0, T0 + 50 * HOUR)  # type: ignore[arg-type]
    assert words in said
    assert "(x)" in said
    assert "after 2d" in said


@given(st.integers(-DAY, 400 * DAY))
def test_how_long_something_lasted_is_never_overstated_and_at_most_halved(millis: int) -> None:
    said = parse_duration(lasted(millis))
    assert said <= max(millis, 0)
    assert said * 2 > millis - 1_000


@given(st.lists(any_cause, max_size=8).map(tuple), st.integers(0, 10**9))
def test_every_alert_has_one_sentence_on_one_line(causes: tuple[Cause, ...], n: int) -> None:
    for said in (opened_sentence("m", "features", causes, T0, n), ended_sentence("m", "resolved", causes, T0, T0 + n)):
        assert said.endswith(".")
        assert "\n" not in said
