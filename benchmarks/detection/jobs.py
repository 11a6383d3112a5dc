"""The benchmark's work in pieces that processes share."""

from __future__ import annotations

import json
import multiprocessing
import time
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict
from typing import Any

from benchmarks.detection.catalogue import DRIFTING, MARKS, NULL
from benchmarks.detection.chunks import CHUNKED
from benchmarks.detection.measure import measure, tuned
from benchmarks.detection.ours import OURS, SHARP
from benchmarks.detection.peers import RIVER
from benchmarks.detection.streams import Stream

#: Seeds of the figures, and of the separate null data on which peers are tuned.
FIRST_SEED, TUNING_SEEDS = 100, (900, 901)
STREAMS = {stream.name: stream for stream in (*NULL, *DRIFTING)}
PEERS = {peer.name: peer for peer in (*RIVER, *CHUNKED)}


def ours(stream: str, runs: int, few: int) -> list[dict[str, Any]]:
    """Return the figures of ours, in the order of ``OURS``, and of ``SHARP`` over a ``few`` of the seeds."""
    plans = [(watcher, watcher.setting) for watcher in OURS]
    told = measure(plans, STREAMS[stream], range(FIRST_SEED, FIRST_SEED + runs))
    sharp = measure([(SHARP, SHARP.setting)], STREAMS[stream], range(FIRST_SEED, FIRST_SEED + few))
    return [asdict(figures) for figures in (*told, *sharp)]


def fit(peer: str, null: str) -> float | None:
    """Return a peer's setting tuned on a null stream."""
    return tuned(PEERS[peer], STREAMS[null], TUNING_SEEDS)


def theirs(peer: str, stream: str, setting: float | None, runs: int) -> dict[str, Any]:
    """Return a peer's figures as it is published, and ``tuned``: with its fitted setting, None where it has none."""
    watcher = PEERS[peer]
    plans = [(watcher, watcher.setting), *([(watcher, setting)] if setting is not None else [])]
    published, *fitted = (asdict(told) for told in measure(plans, STREAMS[stream], range(FIRST_SEED, FIRST_SEED + runs)))
    return {**published, "tuned": fitted[0] if fitted else None}


def run_ours(streams: list[Stream], *, runs: int, mark_runs: int, null_runs: int, jobs: int) -> dict[str, list[dict[str, Any]]]:
    """Return the figures of ours by stream, telling each when it is there. Streams with a mark run more often: the median of a few is a draw."""
    begun, told, marked = time.monotonic(), {}, {name for name, _ in MARKS}
    with _pool(jobs) as pool:
        few = {s.name: runs if s.drifts else null_runs for s in streams}
        waiting = {name: pool.submit(ours, name, mark_runs if name in marked else n, n) for name, n in few.items()}
        for name, found in waiting.items():
            told[name] = found.result()
            _say(begun, name, told[name])
    return told


def run_peers(streams: list[Stream], *, runs: int, jobs: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the figures of peers by stream and peer, telling each when it is there."""
    begun, told = time.monotonic(), {}
    named = {s.name: [p.name for p in PEERS.values() if s.group in p.groups] for s in streams}
    with _pool(jobs) as pool:
        fits = {(peer, s.null): pool.submit(fit, peer, s.null) for s in streams for peer in named[s.name]}
        waiting: dict[str, dict[str, Future[dict[str, Any]]]] = {s.name: {} for s in streams}
        for s in streams:
            for peer in named[s.name]:
                # Where nothing drifts peers speak so often that one run tells it.
                waiting[s.name][peer] = pool.submit(theirs, peer, s.name, fits[peer, s.null].result(), runs if s.drifts else 1)
        for name, found in waiting.items():
            told[name] = {peer: figures.result() for peer, figures in found.items()}
            _say(begun, name, told[name])
    return told


def joined(own: dict[str, list[dict[str, Any]]], peers: dict[str, dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return both by stream: ours at the default tolerance, beside it ``tolerance_05``, ``tolerance_0`` (None where not measured) and ``peers``."""
    told = {}
    for name, (deployed, marked, *sharp) in own.items():
        stream = STREAMS[name]
        about = {"kind": "drift" if stream.drifts else "null", "group": stream.group, "tuned_on": stream.null, "per_hour": stream.per_hour}
        told[name] = {**about, **deployed, "tolerance_05": marked, "tolerance_0": next(iter(sharp), None), "peers": peers.get(name, {})}
    return told


def _pool(jobs: int) -> ProcessPoolExecutor:
    # Spawned: what a fork takes along of NumPy's threads, it hangs on.
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))


def _say(begun: float, name: str, figures: object) -> None:
    print(f"{time.monotonic() - begun:6.0f} s  {name:55} {json.dumps(figures)}", flush=True)
