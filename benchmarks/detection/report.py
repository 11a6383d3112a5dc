"""The page that is made of the results: docs/detection.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.detection.catalogue import MARKS

_HEAD = """# Detection: what is quiet, what is seen, and where a peer is faster

*Made by `make bench-detection` of `benchmarks/results/detection.json`; edit neither by hand.*

Ours is the decider as a worker runs it: `driftline` with the default tolerance (.2 sd), once more with .05, at which the marks
below were set, and with 0 beside the reference's own error: peers have none, and tell whatever changed, whether it matters or not. Its evidence
begins anew after each alarm, so that each counts: live, what comes back while an episode is open belongs
to that episode. Streams counted in events have a budget of one false episode in 100,000 events; those in time one in 30 days.

Peers run as they are published, and once more *tuned*: with the setting that gives them as many false alarms as the budget allows on
separate null data (of the same kind on drifting streams and the null streams they belong to, of i.i.d. columns on the other null
streams). Ours is never tuned. ADWIN, Page-Hinkley, KSWIN and the detectors of errors are River's, each value by each value, on
standardised columns; `evidently` is Evidently's default for references above 1,000 rows (chunks of 1,000, Wasserstein distance over
sd, of categories Jensen-Shannon distance, above .1); `nannyml` is NannyML's rule from its description (chunks of 500, Jensen-Shannon
distance, mean + 3 sd of the reference's own chunks). `adwin_squares` watches squares beside the values, which shows a spread that changes.
On a reference of 500 rows Evidently itself would test (KS, p below .05); here it is the same rule everywhere.
"""

_SEEN = """Median delay in events from the onset, a miss counting as never; in brackets misses, where there are any, the share of alarms that
named a drifting column first, where it is below all, and how many others they named beside on the average. Onsets: by the default
tolerance, then by .05. Of peers: tuned to the budget, then as published, with the false alarms before
the onset for each that the budget allows.
"""

_OURS = ("driftline", "driftline, .05", "driftline, 0")

Told = Mapping[str, Any]


def page(result: Told) -> str:
    """Return the page."""
    streams: Mapping[str, Told] = result["streams"]
    null = {name: told for name, told in streams.items() if told["kind"] == "null"}
    drift = {name: told for name, told in streams.items() if told["kind"] == "drift"}
    parts = [
        _HEAD,
        *(_told_when(part.capitalize(), result[part]) for part in ("ours", "peers") if "command" in result[part]),
        "",
        "## When nothing is wrong\n",
        "False episodes for each one that the budget allows (1.00: as many as allowed), of ours with the 95 % interval.\n",
        *_quiet(null, "columns"),
        *_quiet(null, "errors"),
        *_quiet(null, "losses"),
        *_quiet(null, "one column"),
        "### Where a budget is not kept\n",
        *_broken(streams),
        "## When something is\n",
        _SEEN,
        *_seen(drift, "columns"),
        *_seen(drift, "errors"),
        *_seen(drift, "losses"),
        *_seen(drift, "one column"),
        "## The marks\n",
        *_marks(streams, drift),
        "## Where a peer is faster\n",
        "Against the best of ours at the three tolerances. Where there is a mark, the first two are over more seeds than peers and the third.\n",
        *_faster(streams, drift),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _told_when(what: str, said: Told) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in said["versions"].items() if name in ("python", "numpy", "river"))
    return f"- {what}: `{said['command']}`, commit {said['commit']}, {said['date']}; {versions}; seeds: {said['seeds']}."


def _peers_of(streams: Mapping[str, Told], group: str) -> list[str]:
    return list(dict.fromkeys(name for told in streams.values() if told["group"] == group for name in told["peers"]))


def _quiet(streams: Mapping[str, Told], group: str) -> Iterator[str]:
    peers = _peers_of(streams, group)
    yield _row(["stream", "allowed", *_OURS, *(f"{name}, published / tuned" for name in peers)])
    yield _row(["---"] * (len(peers) + 5))
    for name, told in streams.items():
        if told["group"] == group:
            theirs = ((_ratio(p), _ratio(p["tuned"])) if (p := told["peers"].get(peer)) else ("", "") for peer in peers)
            yield _row([name, f"{told['budget']:.3g}", *map(_spread, _settings(told)), *(f"{a} / {b}" for a, b in theirs)])
    yield ""


def _broken(streams: Mapping[str, Told]) -> Iterator[str]:
    broken = [
        (name, which, told) for name, held in streams.items() for which, told in zip(_OURS, _settings(held), strict=True) if told and not told["kept"]
    ]
    for name, which, told in broken:
        yield f"- **{name}**, {which}: {told['false_episodes']} where {told['budget']:.3g} are allowed ({_ends(told['interval'])})."
    if not broken:
        yield "Nowhere is the interval's lower end above the budget."
    yield ""


def _seen(streams: Mapping[str, Told], group: str) -> Iterator[str]:
    peers = _peers_of(streams, group)
    yield _row(["stream", *_OURS, "onset off by", *(f"{name}, tuned / published" for name in peers)])
    yield _row(["---"] * (len(peers) + 5))
    for name, told in streams.items():
        if told["group"] != group:
            continue
        cells = [
            name,
            *(_delay(own) if own else "" for own in _settings(told)),
            f"{_number(told['onset_error_median'])} / {_number(told['tolerance_05']['onset_error_median'])}",
        ]
        for peer in peers:
            found = told["peers"].get(peer)
            cells.append(f"{_delay(found['tuned'])} / {_delay(found)}, {_ratio(found)}x" if found else "")
        yield _row(cells)
    yield ""


def _marks(streams: Mapping[str, Told], drift: Mapping[str, Told]) -> Iterator[str]:
    yield "With the 95 % interval of the median over so many runs. Met where the median is within the mark, and the budget is kept here and on the"
    yield "null stream of the same kind.\n"
    yield _row(["stream", "within", "driftline, .05", "driftline", "runs", "met"])
    yield _row(["---"] * 6)
    for name, within in MARKS:
        told = drift.get(name)
        if told:
            met = min(_ours(streams, told)[:2]) <= within
            yield _row([name, f"{within:,}", _median(told["tolerance_05"]), _median(told), str(told["runs"]), "yes" if met else "**no**"])
    yield ""


def _faster(streams: Mapping[str, Told], drift: Mapping[str, Told]) -> Iterator[str]:
    """Yield where the median of a tuned peer that keeps the budget is below the best of ours that do."""
    if not any(told["peers"] for told in drift.values()):
        yield "Not known: no peer has been measured in these results.\n"
        return
    any_faster = False
    for name, told in drift.items():
        own = min(_ours(streams, told))
        tuned = {peer: found["tuned"] for peer, found in told["peers"].items() if found["tuned"] and found["tuned"]["kept"]}
        quicker = {peer: _never(found) for peer, found in tuned.items() if _never(found) < own}
        if not quicker:
            continue
        any_faster = True
        listed = ", ".join(
            f"{peer} {delay:,.0f}{_early(told['peers'][peer]['tuned'])}" for peer, delay in sorted(quicker.items(), key=lambda i: i[1])
        )
        mine = " / ".join(_events(figures, delay) for figures, delay in zip(_settings(told), _ours(streams, told), strict=True))
        yield f"- **{name}**: ours {mine}; {listed}."
    if not any_faster:
        yield "At equal false alarms, nowhere."
    yield ""


def _ours(streams: Mapping[str, Told], told: Told) -> list[float]:
    """Return the median delays of ours at each tolerance, never where one of them does not keep the budget on this stream or its null one."""
    null = streams.get(told["tuned_on"], told)
    settings = zip(_settings(told), _settings(null), strict=True)
    return [_never(own) if own and quiet and own["kept"] and quiet["kept"] else float("inf") for own, quiet in settings]


def _settings(told: Told) -> list[Told | None]:
    """Return the figures of ours, in the order of ``_OURS``; None where a setting has not been measured."""
    return [told, told["tolerance_05"], told["tolerance_0"]]


def _events(told: Told | None, delay: float) -> str:
    return "-" if not told else "never" if delay == float("inf") else f"{delay:,.0f}"


def _never(told: Told | None) -> float:
    return float("inf") if not told or told["delay_median"] is None else float(told["delay_median"])


def _early(told: Told) -> str:
    false = told["false_episodes"]
    return f" ({false} false in {told['runs']} runs before the onset)" if false else ""


def _ratio(told: Told | None) -> str:
    if not told:
        return "can't"
    return _number(told["false_episodes"] / told["budget"], 2)


def _spread(told: Told | None) -> str:
    if not told:
        return ""
    low, high = (end / told["budget"] for end in told["interval"])
    text = f"{_ratio(told)} ({low:.2f} to {high:.2f})"
    return text if told["kept"] else f"**{text}**"


def _ends(interval: Sequence[float]) -> str:
    return f"95 % interval {interval[0]:.1f} to {interval[1]:.1f}"


def _delay(told: Told | None) -> str:
    if not told:
        return "can't"
    text = "never" if told["delay_median"] is None else f"{told['delay_median']:,.0f}"
    if told["delay_hours_median"] is not None:
        text += f" ({told['delay_hours_median']:,.1f} h)"
    notes = []
    if told["missed"]:
        notes.append(f"{told['missed']} of {told['runs']} missed")
    if told["named"] is not None and told["named"] < 1:
        notes.append(f"{told['named']:.0%} named")
    if told["named_wrongly"]:
        notes.append(f"{told['named_wrongly']:.2g} others")
    return f"{text} [{', '.join(notes)}]" if notes else text


def _median(told: Told) -> str:
    low, high = ("never" if end is None else f"{end:,.0f}" for end in told.get("delay_interval") or (None, None))
    return f"{_delay(told)} ({low} to {high})"


def _number(value: float | None, digits: int = 0) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 10 or not digits else f"{value:.{digits}f}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
