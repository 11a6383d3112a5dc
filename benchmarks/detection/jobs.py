"""The benchmark's work in pieces that processes share."""

from __future__ import annotations

import json
import multiprocessing
import time
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict
from typing import Any

from benchmarks.detection.catalogue import DRIFTING, NULL
from benchmarks.detection.chunks import CHUNKED
from benchmarks.detection.measure import measure, tuned
from benchmarks.detection.ours import OURS
from benchmarks.detection.peers import RIVER
from benchmarks.detection.streams import Stream

#: Seeds of the figures, and of the separate null data on which peers are tuned.
FIRST_SEED, TUNING_SEEDS = 100, (900, 901)
STREAMS = {stream.name: stream for stream in (*NULL, *DRIFTING)}
PEERS = {peer.name: peer for peer in (*RIVER, *CHUNKED)}


def ours(stream: str, runs: int) -> list[dict[str, Any]]:
    """Return the figures of ours, in the order of ``OURS``."""
    plans = [(watcher, watcher.setting) for watcher in OURS]
    return [asdict(told) for told in measure(plans, STREAMS[stream], range(FIRST_SEED, FIRST_SEED + runs))]


def fit(peer: str, null: str) -> float | None:
    """Return a peer's setting tuned on a null stream."""
    return tuned(PEERS[peer], STREAMS[null], TUNING_SEEDS)


def theirs(peer: str, stream: str, setting: float | None, runs: int) -> dict[str, Any]:
    """Return a peer's figures as it is published, and ``tuned``: with its fitted setting, None where it has none."""
    watcher = PEERS[peer]
    plans = [(watcher, watcher.setting), *([(watcher, setting)] if setting is not None else [])]
    published, *fitted = (asdict(told) for told in measure(plans, STREAMS[stream], range(FIRST_SEED, FIRST_SEED + runs)))
    return {**published, "tuned": fitted[0] if fitted else None}


def run(streams: list[Stream], *, runs: int, peer_runs: int, jobs: int) -> dict[str, Any]:
    """Return the results by stream, telling each when it is there; without runs of peers, ours alone."""
    begun = time.monotonic()
    named = {s.name: [p.name for p in PEERS.values() if s.group in p.groups] if peer_runs else [] for s in streams}
    # Spawned: what a fork takes along of NumPy's threads, it hangs on.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        fits = {(peer, s.null): pool.submit(fit, peer, s.null) for s in streams for peer in named[s.name]}
        own = {s.name: pool.submit(ours, s.name, runs) for s in streams}
        peers: dict[str, dict[str, Future[dict[str, Any]]]] = {s.name: {} for s in streams}
        for s in streams:
            for peer in named[s.name]:
                peers[s.name][peer] = pool.submit(theirs, peer, s.name, fits[peer, s.null].result(), peer_runs)
        told: dict[str, Any] = {}
        for s in streams:
            told[s.name] = _told(s, own[s.name].result(), {peer: found.result() for peer, found in peers[s.name].items()})
            print(f"{time.monotonic() - begun:6.0f} s  {s.name:55} {json.dumps(told[s.name])}", flush=True)
    return told


def _told(stream: Stream, own: list[dict[str, Any]], peers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    deployed, marked = own
    kind = "drift" if stream.drifts else "null"
    return {
        "kind": kind,
        "group": stream.group,
        "tuned_on": stream.null,
        "per_hour": stream.per_hour,
        **deployed,
        "tolerance_05": marked,
        "peers": peers,
    }
