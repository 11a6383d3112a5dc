"""Settings under which what is stored can't be gone on with: refused at the start, before anything is counted wrongly. Pure."""

from __future__ import annotations

from driftline.contracts.errors import SettingsError
from driftline.contracts.settings import Settings, window_rule
from driftline.contracts.times import format_duration, parse_duration
from driftline.store.detect_rows import DetectImage


def refuse_other_settings(settings: Settings, image: DetectImage) -> None:
    """Raise SettingsError where open panes were made with another pane or window.

    Parts of an open block are replaced by its next revision in the panes that they went to. How the log is cut into blocks may change: a cut holds
    until whatever was said under it has come to its end.
    """
    for row in image.panes:
        model = settings.model(row.model)
        rule = window_rule(model)
        fits = rule.events is not None if row.width < 0 else row.width in (parse_duration(model.pane), rule.slide, rule.longest)
        if not row.closed and not fits:
            field, length = f"models.{row.model}.pane", format_duration(row.key.length)
            raise SettingsError(field, model.pane, f"the pane and window that open panes were made with, one of them {length}")
