"""The summaries of one model's stream, as summarise and the join would tell them, in one summaries partition."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from tests.streams.records import Record

from driftline.contracts.ids import sample_hash
from driftline.contracts.reference import Reference
from driftline.contracts.summaries import BlockSummary, Counted, OutcomeDelta, Progress, SummaryMessage, encode_summary
from driftline.detectors.outcomes import Outcome
from driftline.detectors.parts import PartBuilder, counted_parts
from driftline.detectors.reference import build_reference
from driftline.detectors.rows import Rows

T0 = 1_600_000_020_000  # where a window of a minute begins
PANE = 5_000
WINDOW = 60_000
BLOCK = 16


def built(model: str = "m", rows: int = 4_000, *, apart: int = 50, all_events: bool = False) -> Reference:
    """Return a reference of the time before the stream, with outcomes; a row every ``apart`` ms."""
    rng = np.random.default_rng(7)
    score = rng.beta(2, 3, rows)
    return build_reference(
        model=model,
        version="1",
        task="classification",
        effective_from=0,
        origin="built",
        times=np.linspace(T0 - rows * apart, T0 - 1, rows).astype(np.int64),
        features={"x": rng.normal(size=rows).tolist(), "c": rng.choice(["a", "b"], rows).tolist()},
        scores=score.tolist(),
        labels=(rng.random(rows) < score).astype(int).tolist(),
        label_delays=np.full(rows, 20_000),
        all_events=all_events,
    )


@dataclass
class Stream:
    """Blocks of rows, each with a delta of outcomes after it and the progress of the three sources."""

    reference: Reference
    seconds: int
    shift_at: int
    seed: int = 1
    rate: int = 20
    #: From this second on one category is all there is.
    one_category_at: int = 1_000_000
    _postponed: dict[int, list[SummaryMessage]] = field(default_factory=dict)

    def messages(self) -> list[SummaryMessage]:
        """Return the messages in order."""
        rng = np.random.default_rng(self.seed)
        told: list[SummaryMessage] = []
        for second in range(self.seconds):
            told += self._second(rng, second)
        return told

    def records(self) -> list[Record]:
        """Return the messages as records of the partition."""
        return [Record(i, encode_summary(message), topic="summaries") for i, message in enumerate(self.messages())]

    def _second(self, rng: np.random.Generator, second: int) -> list[SummaryMessage]:
        n, at = self.rate, T0 + second * 1_000
        times = np.sort(rng.integers(at, at + 1_000, n))
        late = rng.random(n) < 0.02
        times[late] -= 40_000
        x = rng.normal(1.5 if second >= self.shift_at else 0.0, 1.0, n)
        score = np.round(rng.beta(2, 3, n), 4)
        ids = [f"{second}-{i}" for i in range(n)]
        c = rng.choice(["a", "b"], n).tolist()
        c = ["a"] * n if second >= self.one_category_at else c
        start, tardy_block, parted = second * BLOCK, second % 15 == 3, []
        for rows in (n // 2, n) if tardy_block else (n,):
            builder = PartBuilder(PANE, 4, 10, {})
            builder.add(self.reference, self._rows(ids[:rows], times[:rows], late[:rows], x[:rows].tolist(), c[:rows], score[:rows].tolist()))
            parted.append(builder.parts())
        told = self._postponed.pop(second, [])
        told.append(BlockSummary(self.reference.model, 0, start, start, start + BLOCK // len(parted), final=not tardy_block, panes=parted[0]))
        if tardy_block:  # its newest revision comes when its pane has closed, within the same minute or not
            whole = BlockSummary(self.reference.model, 0, start, start, start + BLOCK, final=True, panes=parted[1])
            self._postponed.setdefault(second + 14, []).append(whole)
        signed = []
        for event_id, time, p in zip(ids, times.tolist(), score.tolist(), strict=True):
            tardy = bool(rng.random() < 0.05)
            counted = Counted(self.reference.reference_id, time // PANE * PANE, tardy)
            truth = int(rng.random() < p)
            said = Outcome(
                event_id=event_id, model=self.reference.model, version="1", event_time=time, prediction=None, score=p, label=truth,
                label_time=time + (30_000 if tardy else 10_000),
            )  # fmt: skip
            signed.append((said, counted, 1))
        parts = counted_parts({self.reference.reference_id: self.reference}, signed)
        told.append(OutcomeDelta(self.reference.model, "label-events", 0, second + 1, parts))
        mark = at + 999
        for source in ("summarise", "join/inference-events", "join/label-events"):
            floor = max(0, second - 20) * BLOCK if source == "summarise" else 0
            told.append(Progress(source, 0, 1, start + BLOCK, mark, floor, idle=False, newest=mark))
        return told

    @staticmethod
    def _rows(ids: list[str], times: np.ndarray, late: np.ndarray, x: list[object], c: list[object], score: list[object]) -> Rows:  # noqa: PLR0917
        return Rows(
            event_ids=ids,
            places=np.array([sample_hash(i) for i in ids], np.int64),
            times=times.astype(np.int64),
            late=late,
            versions=["1"] * len(ids),
            features={"x": x, "c": c},
            predictions=[None] * len(ids),
            scores=score,
            quality={},
        )
