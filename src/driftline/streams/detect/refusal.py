"""Settings under which what is stored can't be gone on with: refused at the start, before anything is counted wrongly. Pure."""

from __future__ import annotations

from driftline.contracts.errors import SettingsError
from driftline.contracts.settings import Settings, window_rule
from driftline.contracts.times import format_duration, parse_duration
from driftline.store.detect_rows import DetectImage


def refuse_other_settings(settings: Settings, image: DetectImage) -> None:
    """Raise SettingsError where open panes or blocks were made with another pane, window or block size.

    Parts of an open block are replaced by its next revision in the panes that they went to, and a block is known by where it starts.
    """
    for row in image.panes:
        model = settings.model(row.model)
        rule = window_rule(model)
        fits = rule.events is not None if row.width < 0 else row.width in (parse_duration(model.pane), rule.slide, rule.longest)
        if not row.closed and not fits:
            field = f"models.{row.model}.pane"
            raise SettingsError(
                field, model.pane, f"the pane and window that open panes were made with, one of them {format_duration(abs(row.width))}"
            )
    size = settings.worker.block_size
    for block in image.blocks:
        # Where the log was cut inside a block, the rest of it went one offset a piece.
        whole = block.next - block.start > 1
        if not block.final and whole and (block.start % size or block.next - block.start > size):
            raise SettingsError("worker.block_size", size, "the block size that open blocks were made with; let the workers catch up under it first")
