"""A database as detect leaves it: a reference with its sample, panes with theirs, and an episode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from sqlalchemy import Engine

from driftline.contracts.findings import Alert, Cause
from driftline.contracts.ids import sample_hash, stable_id
from driftline.contracts.reference import Reference
from driftline.contracts.settings import Settings, build_settings
from driftline.contracts.summaries import SampleRow
from driftline.detectors.layout import layout_of
from driftline.detectors.pane import Pane
from driftline.detectors.parts import PartBuilder
from driftline.detectors.reference import build_reference
from driftline.detectors.rows import Rows
from driftline.store import detection, episodes, references
from driftline.store.database import migrate, open_database
from driftline.store.detect_rows import DetectChange, PaneRow

HOUR = 3_600_000
T0 = 1_362_096_000_000
ONSET = T0 + 1_000 * HOUR

Features = Mapping[str, Sequence[object]]


def settings(folder: Path, **reports: object) -> Settings:
    return build_settings(
        {
            "database": f"sqlite:///{folder / 'driftline.db'}",
            "reports": {"folder": str(folder / "reports"), **reports},
            "defaults": {"pane": "1h", "window": "1d"},
        }
    )


def migrated(made: Settings) -> Engine:
    engine = open_database(made.database)
    migrate(engine)
    return engine


def reference_of(model: str, features: Features) -> Reference:
    n = len(next(iter(features.values())))
    return build_reference(
        model=model,
        version="1",
        task="regression",
        effective_from=T0,
        origin="built",
        times=T0 + np.arange(n, dtype=np.int64) * (900 * HOUR // n),
        features=features,
        predictions=[float(i % 7) for i in range(n)],
    )


def samples(features: Features, start: int, *, step: int = 60_000, prefix: str = "r") -> list[SampleRow]:
    n = len(next(iter(features.values())))
    rows = Rows(
        event_ids=[f"{prefix}-{i}" for i in range(n)],
        places=np.array([sample_hash(f"{prefix}-{i}") for i in range(n)], np.int64),
        times=start + np.arange(n, dtype=np.int64) * step,
        late=np.zeros(n, np.bool_),
        versions=["1"] * n,
        features=features,
        predictions=[float(i % 7) for i in range(n)],
        scores=[None] * n,
    )
    builder = PartBuilder(1 << 62, n, n, {})
    builder.add(None, rows)
    return [row for part in builder.parts() for row in part.sample]


def pane_rows(reference: Reference, rows: Sequence[SampleRow], width: int) -> Iterator[PaneRow]:
    """Panes that sampled just these rows."""
    by_start: dict[int, list[SampleRow]] = {}
    for row in rows:
        by_start.setdefault(row.event_time // width * width, []).append(row)
    for start, found in sorted(by_start.items()):
        pane = Pane(layout_of(reference, "features"))
        pane.n, pane.sample = len(found), sorted(found, key=lambda row: row.place)
        yield PaneRow(
            model=reference.model, reference_id=reference.reference_id, kind="features", width=width, start=start, late=False, payload=pane.encode(),
            offsets=b"", closed=True, revision=0,
        )  # fmt: skip


def opened(reference: Reference, *columns: str, onset: int = ONSET, opened_at: int = ONSET + 24 * HOUR, name: str = "one") -> Alert:
    causes = tuple(
        Cause(column=c, term="location", direction="up", effect=1.0, low=0.9, high=1.1, tolerance=0.2, share=1.0, importance=0.5, onset=onset)
        for c in columns
    )
    return Alert(
        alert_id=stable_id("alert", name),
        episode_id=stable_id("episode", name),
        revision=1,
        status="opened",
        severity="warning",
        model=reference.model,
        version="1",
        reference_id=reference.reference_id,
        onset=onset,
        opened_at=opened_at,
        at=opened_at,
        n=100,
        evidence=900.0,
        budget=720.0,
        causes=causes,
        sentence=f"The inputs of {reference.model} have drifted.",
    )


def stored(engine: Engine, reference: Reference, before: Sequence[SampleRow], panes: Sequence[PaneRow], alerts: Sequence[Alert]) -> None:
    references.put(engine, reference, before)
    here = {p.q: p.next_offset for p in detection.positions(engine)}.get(0)
    detection.commit(engine, DetectChange(q=0, expected_next=here, next_offset=(here or 0) + 1, watermark=ONSET, panes=panes))
    episodes.record(engine, alerts)
