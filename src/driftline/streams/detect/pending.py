"""What memory has and SQL does not have yet, besides the cells; and what happened meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field

from driftline.contracts.summaries import Progress
from driftline.store.detect_rows import Applied, BlockKey, BlockRow
from driftline.store.outbox import OutboxRow
from driftline.streams.detect.said import Said


@dataclass
class Counters:
    """What happened, for logs and metrics."""

    applied: int = 0
    superseded: int = 0
    repeated: int = 0
    after_close: int = 0
    overtaken: int = 0
    undecodable: int = 0
    forgotten: int = 0


@dataclass
class Pending:
    """What the next commit has to write."""

    records: int = 0
    said: Said = field(default_factory=Said)
    undecodable: list[OutboxRow] = field(default_factory=list)
    sources: list[Progress] = field(default_factory=list)
    blocks: dict[BlockKey, BlockRow] = field(default_factory=dict)
    #: Models whose evidence was stored because a closed pane changed.
    settled: set[str] = field(default_factory=set)
    applied: dict[tuple[str, str, int], Applied] = field(default_factory=dict)

    def latest(self) -> list[Progress]:
        """Return the last word of each source partition."""
        return list({(p.source, p.partition): p for p in self.sources}.values())
