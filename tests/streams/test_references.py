from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from driftline.contracts.reference import ANY_VERSION, Reference, seal
from driftline.streams.references import ReferenceBook


def _reference(version: str = "1", effective_from: int = 0, model: str = "m", rows: int = 1) -> Reference:
    return seal(
        Reference(
            model=model, version=version, effective_from=effective_from, origin="built", task="regression", columns=(), rows=rows,
            span_start=0, span_end=1,
        )
    )  # fmt: skip


def _book(*references: Reference) -> ReferenceBook:
    book = ReferenceBook()
    book.add(references)
    return book


_references = st.lists(
    st.builds(_reference, st.sampled_from(["1", "2", ANY_VERSION]), st.integers(0, 9), st.sampled_from(["m", "n"]), st.integers(1, 3)), max_size=8
)
_events = st.tuples(st.sampled_from(["m", "n", "o"]), st.sampled_from(["1", "2", "3"]), st.integers(-1, 10))


def _expected(references: list[Reference], model: str, version: str, at: int) -> Reference | None:
    """The docstring's words, one by one."""
    mine = [r for r in references if r.model == model]
    own = [r for r in mine if r.version == version] or [r for r in mine if r.version == ANY_VERSION] or mine
    before = [r for r in own if r.effective_from <= at]
    if before:
        return max(before, key=lambda r: (r.effective_from, r.reference_id))
    return min(own, key=lambda r: (r.effective_from, r.reference_id), default=None)


@given(_references, _events)
def test_an_event_meets_the_reference_of_its_version_that_holds_at_its_time(references: list[Reference], event: tuple[str, str, int]) -> None:
    assert _book(*references).at(*event) == _expected(references, *event)


@given(_references, st.lists(_events, max_size=4), st.randoms())
def test_which_reference_holds_does_not_depend_on_the_order_in_which_they_were_learned(
    references: list[Reference], events: list[tuple[str, str, int]], random: object
) -> None:
    shuffled = list(references)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = _book(*references), ReferenceBook()
    for reference in shuffled:
        for event in events:
            other.at(*event)  # what was asked before is no answer for after
        other.add([reference])
        other.add([reference])
    for event in events:
        assert one.at(*event) == other.at(*event)


@given(_references, st.sampled_from(["m", "n", "o"]), st.sampled_from(["1", "2", "3"]))
def test_a_timeline_turns_where_the_answer_does(references: list[Reference], model: str, version: str) -> None:
    turns, line = _book(*references).timeline(model, version)
    assert turns == sorted(turns)
    assert len(turns) == max(0, len(line) - 1)
    for at in range(-1, 11):
        expected = line[sum(turn <= at for turn in turns)] if line else None
        assert _book(*references).at(model, version, at) == expected


def test_before_the_first_reference_the_first_one_holds() -> None:
    first, second = _reference(effective_from=100), _reference(effective_from=200)
    book = _book(second, first)
    assert [book.at("m", "1", at) for at in (0, 99, 100, 199, 200)] == [first, first, first, first, second]


def test_a_version_of_its_own_is_known_and_a_strangers_is_watched_all_the_same() -> None:
    mine = _reference("1")
    book = _book(mine)
    assert book.knows("m", "1")
    assert not book.knows("m", "2")
    assert book.at("m", "2", 0) == mine
    book.add([_reference(ANY_VERSION)])
    assert book.knows("m", "2")


def test_a_model_nobody_knows_is_learning() -> None:
    book = _book(_reference(model="n"))
    assert not book.has("m")
    assert book.at("m", "1", 0) is None
    assert book.timeline("m", "1") == ([], [])
    assert book.get("m", "x") is None


def test_a_reference_is_found_by_its_id_whatever_holds_now() -> None:
    old, new = _reference(effective_from=1), _reference(effective_from=2)
    book = _book(old, new)
    assert book.get("m", old.reference_id) == old
    assert msgspec.structs.replace(old, reference_id="") != old
