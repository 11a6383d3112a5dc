"""A time that is read in compiled code is what ``parse_time`` makes of it; what it does not take is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

pytest.importorskip("numba")

from driftline.contracts.errors import DecodeError
from driftline.contracts.joined_values import Joined
from driftline.contracts.template_scan import _time
from driftline.contracts.times import parse_time

zones = st.builds(timezone, st.builds(timedelta, hours=st.integers(-23, 23), minutes=st.integers(0, 59)))
moments = st.datetimes(datetime(1960, 1, 1), datetime(2210, 1, 1), timezones=zones | st.just(UTC))  # noqa: DTZ001  # bounds have none
USUAL = ["2013-03-01T05:15:00Z", "2013-03-01T05:15:00.123Z", "2013-03-01T05:15:00.999999+01:30", "2012-02-29T23:59:59-23:59"]
#: What stands in a text, and a little of what does not.
SIGNS = "0123456789-:.TZtz+ "


def read(text: str) -> tuple[int, int]:
    records = Joined.of([b'"%b"' % text.encode()])
    return _time(records.raw, records.words, 0)


def parsed(text: str) -> int | None:
    try:
        return parse_time(text)
    except DecodeError:
        return None


def is_the_same_or_refused(text: str) -> bool:
    """Say whether a text is read, and then as ``parse_time`` does."""
    place, millis = read(text)
    if place < 0:
        return False
    assert (place, millis) == (len(text) + 2, parsed(text)), text
    return True


@given(moments, st.sampled_from(["auto", "seconds", "milliseconds", "microseconds"]), st.booleans())
def test_what_programs_write_is_read(moment: datetime, precision: str, z: bool) -> None:
    text = moment.isoformat(timespec=precision)
    text = text.replace("+00:00", "Z") if z else text
    if len(text.rpartition("T")[2].lstrip("0123456789:.Z")) > 6:  # an offset with seconds
        assert not is_the_same_or_refused(text)
        return
    assert is_the_same_or_refused(text) == (parsed(text) is not None)


@pytest.mark.parametrize("text", USUAL)
def test_the_usual_forms_are_read(text: str) -> None:
    assert is_the_same_or_refused(text)


@given(st.sampled_from(USUAL), st.integers(0, 40), st.sampled_from(SIGNS) | st.just(""), st.booleans())
@example("2013-02-28T05:15:00Z", 9, "9", False)
@example("2100-02-28T05:15:00Z", 9, "9", False)
@example("2013-03-01T23:15:00Z", 12, "4", False)
@example("2013-03-01T05:15:00Z", 17, "6", False)
def test_a_text_with_a_sign_changed_is_read_alike_or_not_at_all(text: str, place: int, sign: str, insert: bool) -> None:
    place %= len(text)
    is_the_same_or_refused(text[:place] + sign + text[place + (not insert) :])


@pytest.mark.parametrize("cut", range(21))
def test_what_is_cut_is_refused(cut: int) -> None:
    assert read(USUAL[0][:cut])[0] == (22 if cut == 20 else -1)
    records = Joined.of([b'"' + USUAL[0][:cut].encode()])  # and nothing behind it
    assert _time(records.raw, records.words, 0)[0] == -1


NONE = [
    "2013-13-01T05:15:00Z", "2013-00-01T05:15:00Z", "2013-01-00T05:15:00Z", "2013-01-32T05:15:00Z", "2013-02-29T05:15:00Z", "2013-01-01T24:00:00Z",
    "2013-01-01T05:60:00Z", "2013-01-01T05:15:60Z", "2013-01-01T05:15:00", "2013-01-01T05:15:00+24:00", "2013-01-01T05:15:00+01:60",
    "1970-01-01T00:00:00Z", "2199-12-31T23:59:60Z", "2200-01-01T00:00:00Z", "0000-01-01T00:00:00Z",
]  # fmt: skip


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_time_is_refused(text: str) -> None:
    assert read(text)[0] == -1
