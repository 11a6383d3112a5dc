"""Numbers in JSON are read to the bit as ``float`` reads them, or not at all."""

from __future__ import annotations

import re
import struct
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

pytest.importorskip("numba")

from driftline.contracts.decimals import _POWERS, MOST, number, past_number
from driftline.contracts.joined_values import Joined

#: What JSON has for a number.
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
NAUGHTS = re.compile(r"-0+")

finite = st.floats(allow_nan=False, allow_infinity=False)
some_digits = st.text("0123456789", min_size=1, max_size=24)
exponents = st.builds(
    "{}{}{}".format,
    st.sampled_from("eE"),
    st.sampled_from(["", "+", "-"]),
    st.integers(0, 9_999) | st.integers(0, 120) | some_digits,
)
texts = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    st.just("0") | some_digits.map(lambda text: text.lstrip("0") or "0"),
    st.just("") | some_digits.map(".{}".format) | st.builds(".{}{}".format, st.integers(0, 60).map("0".__mul__), some_digits),
    st.just("") | exponents,
)


def read(text: str, after: bytes = b"") -> tuple[int, float]:
    """Return what ``number`` makes of a text, with other bytes or the end of all after it."""
    records = Joined.of([text.encode(), after])
    return number(records.raw, records.words, 0)


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def is_read(text: str) -> None:
    place, found = read(text)
    assert (place, bits(found)) == (len(text), bits(float(text))), text


def is_read_or_refused(text: str) -> bool:
    """Say whether a text is read, and then to the bit as ``float`` does."""
    place, found = read(text)
    assert place in {-1, len(text)}
    if place >= 0:
        assert NUMBER.fullmatch(text)
        assert not NAUGHTS.fullmatch(text)
        assert bits(found) == bits(float(text)), text
    return place > 0


@given(finite)
@example(5e-324)
@example(2.2250738585072014e-308)
@example(1.7976931348623157e308)
@example(-0.0)
@example(1e23)
@example(9007199254740993.0)
def test_the_shortest_text_of_a_double_is_that_double(value: float) -> None:
    is_read_or_refused(repr(value))


@given(st.floats(1e-90, 1e90) | st.floats(0.0, 1e9, allow_subnormal=False).filter(lambda x: x == 0.0 or x > 1e-90), st.booleans())
@example(1e-83, False)
@example(9.999999999999999e-83, True)
@example(9.999999999999999e89, False)
@example(0.00012345678901234567, False)
def test_the_shortest_text_of_a_usual_double_is_never_refused(value: float, negative: bool) -> None:
    is_read(repr(-value if negative else value))
    is_read(f"{value:.16e}")


@given(st.integers(-(10**19) + 1, 10**19 - 1).filter(bool) | st.integers(-9, 9).filter(bool))
@example(2**63)
@example(2**63 - 1)
@example(2**53 + 1)
@example(10**19 - 1)
@example(-(2**63))
def test_integers_of_up_to_nineteen_digits_are_read(value: int) -> None:
    is_read(str(value))


@given(texts)
@example("0." + "0" * 40 + "1")
@example("0." + "0" * 70 + "1234567890123456789")
@example("0." + "0" * 70 + "12345678901234567890")
@example("1234567890.1234567890")
@example("0e9999")
@example("-0.0e99999")
@example("1e400")
@example("123456789012345678e-340")
@example("1e0000")
@example("1e00005")
@example("18446744073709551616")
@example("1" * 400)
def test_any_number_is_read_to_the_bit_or_refused(text: str) -> None:
    is_read_or_refused(text)


@given(st.integers(0, 60), st.integers(1, 10**19 - 1), st.integers(0, 9))
def test_zeros_that_lead_after_the_dot_are_no_digits(zeros: int, digits: int, whole: int) -> None:
    is_read(f"0.{'0' * zeros}{digits}")
    assert is_read_or_refused(f"{whole}.{'0' * zeros}1") == (zeros < 18 or whole == 0)


@given(st.text("0123456789+-.eE \x00nN", max_size=12) | st.text(max_size=6))
@example("")
@example("-")
@example("+1")
@example(".5")
@example("1.")
@example("1.e5")
@example("1e")
@example("1e+")
@example("01")
@example("-01.5")
@example("00")
@example("-0")
@example("--1")
@example("-.5")
@example("NaN")
@example("-Infinity")
@example("0x10")
@example("1_0")
@example("٣")
def test_what_is_read_is_a_number_of_json_with_nothing_of_a_number_after_it(text: str) -> None:
    place, found = read(text)
    if place > 0:
        content = text.encode()
        taken = content[:place].decode()
        assert NUMBER.fullmatch(taken)
        assert not NAUGHTS.fullmatch(taken)
        assert bits(found) == bits(float(taken))
        assert not content[place : place + 1].isdigit()


NONE = [
    "", "-", "+1", ".5", "-.5", "1.", "1.e5", "1.-5", "1e", "1e+", "1e-", "1e.5", "01", "00", "-00", "-01", "-01.5", "00.5", "-0", "--1", "e5", "n",
]  # fmt: skip


@pytest.mark.parametrize("text", NONE)
def test_what_json_does_not_have_is_no_number(text: str) -> None:
    assert [read(text, after)[0] for after in (b"", b",", b"}", b" ", b"}" * 20)] == [-1] * 5


@given(finite, st.sampled_from([b",", b"}", b" ", b"\x00", b"]", b'"', b"\xb0", b"/", b":"]), st.binary(max_size=20))
@example(123456.5, b"/", b"1" * 8)
@example(12345678.0, b":", b"1" * 8)
def test_a_number_ends_where_its_text_does_whatever_comes_then(value: float, first: bytes, rest: bytes) -> None:
    assert read(repr(value), first + rest) == read(repr(value))


# ---- ties: a decimal that lies in the very middle of two doubles

odd_54 = st.integers(2**52, 2**53 - 1).map(lambda m: 2 * m + 1)


def plain(value: Fraction) -> str:
    """Return the digits of a fraction of a power of two."""
    places = max(0, value.denominator.bit_length() - 1)
    digits = str(value * 10**places).rjust(places + 1, "0")
    return f"{digits[: len(digits) - places]}.{digits[len(digits) - places :]}" if places else digits


@given(odd_54, st.integers(-3, 8))
@example(2**53 + 1, 0)
@example(2**53 + 3, 0)
@example(2**54 - 1, 0)
def test_a_tie_goes_to_the_even_double_and_its_neighbours_to_theirs(middle: int, up: int) -> None:
    text = plain(Fraction(middle) * Fraction(2) ** up)
    assert Fraction(text) == Fraction(middle) * Fraction(2) ** up
    if len(text.replace(".", "")) > 19:
        return
    is_read(text)
    whole = int(text.replace(".", ""))
    places = len(text.partition(".")[2])
    for near in (whole - 1, whole + 1):
        is_read(f"{near}e-{places}")


@given(st.integers(0, 23), st.data())
def test_a_tie_that_is_written_with_a_power_of_ten_goes_to_the_even_double(power: int, data: st.DataObject) -> None:
    least, most = -(-(2**53) // 5**power), (2**54 - 1) // 5**power
    w = data.draw(st.integers(least, most))
    if w % 2 == 0:  # then it lies on a double
        w = w + 1 if w < most else max(w - 1, 1)
    is_read(f"{w}e{power}")
    is_read(f"{w}e+{power:03d}")


@given(odd_54, st.integers(1, 4))
def test_a_tie_that_is_written_with_a_negative_power_goes_to_the_even_double(middle: int, down: int) -> None:
    digits = middle * 5**down
    if digits < 10**19:
        is_read(f"{digits}e-{down}")


#: Ties, what lies beside ties, and what lies far from any: of each the naive way makes another double.
HARD = [
    (9007199254740993, 3),
    (1, 23),
    (66346144675626645, -1),
    (414589792757492325, -2),
    (2182084210316228875, -3),
    (9113365669212969375, -4),
    (8, -24),
    (9, -25),
    (1234567890123456789, -30),
    (123456789012345678, 71),
    (549585076333641, -100),
    (6485762828, -60),
    (302287490750, -23),
    (270924377, 40),
    (24, 99),
]


def naive(w: int, q: int) -> float:
    return float(w) * 10.0**q if q >= 0 else float(w) / 10.0**-q


@pytest.mark.parametrize(("w", "q"), HARD)
def test_where_the_naive_way_rounds_to_another_double_the_nearest_is_read(w: int, q: int) -> None:
    assert naive(w, q) != float(f"{w}e{q}")
    is_read(f"{w}e{q}")
    is_read(f"-{w}e{q}")


def test_ties_there_are_of_which_rounding_up_or_down_would_be_wrong() -> None:
    # Control: of each of these ties both neighbours are doubles, and the one that is read is even, here the lower and there the upper one.
    lower, upper = read("9007199254740993")[1], read("9007199254740995")[1]
    assert (lower, upper) == (2.0**53, 2.0**53 + 4)
    assert read("1e23")[1] == float("1e23") < 10**23
    assert Fraction(read("66346144675626645e-1")[1]) != Fraction("66346144675626645e-1")


# ---- the table of powers

POWERS = range(-MOST, MOST + 1)


def test_the_table_holds_the_first_128_bits_of_each_power_of_five() -> None:
    for q in POWERS:
        high, low = (int(word) for word in _POWERS[q + MOST])
        held = high << 64 | low
        bits_above = (5**q).bit_length() - 128 if q >= 0 else -(5**-q).bit_length() - 127
        exact = Fraction(5) ** q / Fraction(2) ** bits_above
        assert held.bit_length() == 128
        assert held <= exact < held + 1 if q >= 0 else held - 1 < exact <= held


def test_the_binary_exponent_of_each_power_of_ten_is_what_the_product_says() -> None:
    for q in POWERS:
        exponent = 217_706 * q >> 16
        assert Fraction(2) ** exponent <= Fraction(10) ** q < Fraction(2) ** (exponent + 1)


@given(texts | st.text("0123456789.eE+-", max_size=9), st.sampled_from([b"", b",", b"}", b" 1"]))
@example("1e999", b"")
@example("-0", b"")
@example("1" * 400, b"")
def test_a_number_that_nobody_reads_is_any_that_json_has(text: str, after: bytes) -> None:
    records = Joined.of([text.encode() + after])
    taken = past_number(records.raw, records.words, 0)
    whole = NUMBER.match(text)
    # What follows the longest number there is, is for who compares it with what has to be there.
    expected = -1 if whole is None else whole.end()
    assert taken in {-1, expected}
    assert taken == expected or not NUMBER.fullmatch(text)
    if taken > 0:
        assert not text[taken : taken + 1].isdigit()
