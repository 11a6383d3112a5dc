"""How windows by count are cut, and what they slide by: beside a reference that goes by the definition, over panes with any number of events."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from driftline.contracts.summaries import LEARNING
from driftline.contracts.windows import WindowRule
from driftline.store.detect_rows import PaneKey
from driftline.streams.detect.cells import Cells
from driftline.streams.detect.filling import Fillings
from driftline.streams.detect.state import ModelState, decode_state, encode_state

PANE = 10


class Slice(NamedTuple):
    """A pane, or what was cut: the events of all panes from ``since`` to ``end`` stand in it."""

    since: int
    start: int
    end: int
    n: int


class Cut(NamedTuple):
    wholes: list[Slice]
    steps: list[Slice]
    sliding: dict[int, list[Slice]]  # the steps of each, by end


def by_definition(panes: list[Slice], rule: WindowRule, until: int) -> Cut:
    """Cut panes in order; ``until`` is how far time has come."""
    wholes, steps = _chunks(panes, rule.events or 0, rule.longest, until), []
    last = wholes[-1].end if wholes else 0
    for whole in [*wholes, Slice(last, last, until + 1, 0)]:
        inside = [p for p in panes if whole.since <= p.start < whole.end]
        steps += _chunks(inside, rule.step, 1 << 60, until, since=whole.since)
        if whole in wholes and (not steps or steps[-1].end < whole.end):
            begun = max([whole.since, *(s.end for s in steps)])
            rest = [p for p in inside if p.start >= begun]
            start = rest[0].start if rest else begun
            steps.append(Slice(begun, start, whole.end, sum(p.n for p in rest)))
    return Cut(wholes, steps, {steps[i].end: _back(steps[: i + 1], rule) for i in range(len(steps))})


def _chunks(panes: list[Slice], count: int, longest: int, until: int, since: int = 0) -> list[Slice]:
    """Return the runs of panes that hold a count, or last as long as may be."""
    found: list[Slice] = []
    rest = panes
    while rest:
        first = rest[0]
        sums = accumulate(p.n for p in rest)
        full = next((p.end for p, n in zip(rest, sums, strict=True) if n >= count), 1 << 60)
        end = min(full, first.start + longest)
        if end > until:
            break
        inside = [p for p in rest if p.end <= end]
        found.append(Slice(found[-1].end if found else since, first.start, end, sum(p.n for p in inside)))
        rest = rest[len(inside) :]
    return found


def _back(steps: list[Slice], rule: WindowRule) -> list[Slice]:
    """Return the shortest tail that holds the count; where there is none or it is too long, the longest that is not."""
    tails = [steps[i:] for i in range(len(steps))]
    fit = [t for t in tails if t[-1].end - t[0].start <= rule.longest]
    full = [t for t in fit if sum(s.n for s in t) >= (rule.events or 0)]
    return full[-1] if full else fit[0]


class Run:
    """Fillings over memory alone; ``again`` goes on from what would be stored."""

    def __init__(self, rule: WindowRule) -> None:
        self.rule = rule
        self.cells = Cells(lambda _: [], lambda *_, **__: [], lambda *_: None, lambda _: 0, lambda *_: [])
        self.state = ModelState()
        self.made: list[PaneKey] = []
        self.again()

    def again(self) -> None:
        self.state = decode_state(encode_state(self.state))
        self.fillings = Fillings("m", self.rule, PANE, self.cells, self.state)

    def pane(self, start: int, n: int) -> None:
        self.until(start)
        key = PaneKey("m", LEARNING, "features", PANE, start, late=False)
        self.cells.open_or_new(key).pane.n = n
        self.made += [k for k in self.fillings.closed(key, n) if k.slid or self.cells.get(k) is not None]

    def until(self, moment: int) -> None:
        while (bounds := self.fillings.bounds()) and bounds[0].end <= moment:
            self.made += self.fillings.time_is_up(bounds[0])


RULES = st.tuples(st.integers(1, 40), st.integers(2, 6), st.integers(2, 40)).map(
    lambda drawn: WindowRule(longest=drawn[2] * PANE, events=drawn[0] * drawn[1], step=drawn[0])
)
#: How many panes without events lie before each, and its events: many, few, none.
PANES = st.lists(st.tuples(st.sampled_from([0, 0, 0, 0, 1, 5, 30]), st.one_of(st.integers(0, 60), st.just(0), st.integers(0, 5))), max_size=60)


@settings(max_examples=150, deadline=None)
@given(rule=RULES, told=PANES, rest=st.integers(0, 50), deaths=st.sets(st.integers(0, 59), max_size=5))
def test_windows_and_steps_are_cut_as_defined_and_hold_what_they_should(
    rule: WindowRule, told: list[tuple[int, int]], rest: int, deaths: set[int]
) -> None:
    run, panes, at = Run(rule), [], 1_000
    for i, (gap, n) in enumerate(told):
        at += gap * PANE
        run.pane(at, n)
        panes.append(Slice(at, at, at + PANE, n))
        at += PANE
        if i in deaths:
            run.again()
    run.until(at + rest * PANE)
    wanted = by_definition(panes, rule, at + rest * PANE)
    assert [(k.start, k.end, _n(run, k)) for k in run.made if k.counted] == [(w.start, w.end, w.n) for w in wanted.wholes]
    slid = [k for k in run.made if k.slid]
    assert [(k.start, k.end) for k in slid] == [(steps[0].start, end) for end, steps in wanted.sliding.items()]
    for key, own in zip(slid, wanted.steps, strict=True):
        assert _n(run, key) == own.n
        assert [(k.end, _n(run, k)) for k in run.fillings.steps.made_of(key)] == [(s.end, s.n) for s in wanted.sliding[key.end]]
    _late_rows_find_their_place(run, panes, wanted)
    _neighbours_are_told(run, slid, wanted)


def _n(run: Run, key: PaneKey) -> int:
    cell = run.cells.get(key)
    assert cell is not None
    return cell.pane.n


def _late_rows_find_their_place(run: Run, panes: list[Slice], wanted: Cut) -> None:
    for start in range(900, (panes[-1].end if panes else 900) + 100, PANE):
        holding = run.fillings.holding(PaneKey("m", LEARNING, "features", PANE, start, late=True))
        own = [next((s.end for s in kind if s.since <= start < s.end), None) for kind in (wanted.steps, wanted.wholes)]
        assert [next((k.end for k in holding if k.slid == slid), None) for slid in (True, False)] == own
        assert all(k.late for k in holding)


def _neighbours_are_told(run: Run, slid: list[PaneKey], wanted: Cut) -> None:
    wholes = {w.end for w in wanted.wholes}
    by_end = {k.end: k for k in slid}
    before = {k: max((e for e in by_end if e <= k.start), default=None) for k in slid}
    assert {k: (p := run.fillings.steps.preceding(k)) and p.end for k in slid} == before
    for step in slid:
        holders = {e for e, steps in wanted.sliding.items() if step.end in {s.end for s in steps}}
        told = {k.end for k in slid if k.end in holders or before[k] in holders} - wholes
        assert {k.end for k in run.fillings.sliding_over(step._replace(late=True))} == told


@settings(max_examples=60, deadline=None)
@given(rule=RULES, told=PANES)
def test_whole_windows_are_the_same_without(rule: WindowRule, told: list[tuple[int, int]]) -> None:
    runs = Run(rule), Run(rule._replace(step=0))
    for run in runs:
        at = 1_000
        for gap, n in told:
            at += gap * PANE
            run.pane(at, n)
            at += PANE
    assert [k for k in runs[0].made if not k.slid] == runs[1].made
    assert runs[0].state.fillings.keys() == runs[1].state.fillings.keys()


def test_what_was_asked_for_late_or_no_more_holds_no_row_of_before_or_after() -> None:
    rule = WindowRule(longest=1_000_000, events=60, step=20)
    run = Run(rule._replace(step=0))
    for i in range(9):
        run.pane(1_000 + i * PANE, 10)
    run.rule = rule  # the second window is half full
    run.again()
    for i in range(9, 14):
        run.pane(1_000 + i * PANE, 10)
    run.rule = rule._replace(step=0)
    run.again()
    for i in range(14, 30):
        run.pane(1_000 + i * PANE, 10)
    slid = [(k.start, k.end, _n(run, k)) for k in run.made if k.slid]
    assert slid == [(1_060, 1_100, 40), (1_060, 1_120, 20), (1_060, 1_140, 20)]
    for i, places in enumerate([0] * 6 + [1] * 8 + [0] * 16):
        holding = run.fillings.holding(PaneKey("m", LEARNING, "features", PANE, 1_000 + i * PANE, late=True))
        assert sum(k.slid for k in holding) == places


def test_a_step_is_kept_as_long_as_a_window_that_holds_it_may_be_told_of() -> None:
    run = Run(WindowRule(longest=1_000_000, events=60, step=20))
    for i in range(18):
        run.pane(1_000 + i * PANE, 10)
    run.state.forget(1_050)
    run.fillings.forget()
    kept = [k for k in run.made if k.slid and k.end > 1_050]
    late = PaneKey("m", LEARNING, "features", PANE, 1_060, late=True)
    assert {k.end for k in run.fillings.holding(late)} == {1_080, 1_120}
    told = run.fillings.sliding_over(next(k for k in kept if k.end == 1_080))
    assert {k.start for k in told} == {1_060, 1_080, 1_100, 1_120} - {k.start for k in run.made if k.slid and k.end in (1_120, 1_180)}
    assert all(set(run.fillings.steps.made_of(k)) <= set(kept) for k in told)
