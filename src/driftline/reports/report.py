"""Evidently at work: columns in, a page and its numbers out. The one place that imports it, and no sooner than it is needed: it takes seconds."""

from __future__ import annotations

import html
import json
import math
import os
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import msgspec

from driftline.contracts.errors import SetupError
from driftline.contracts.times import format_time
from driftline.reports.rows import ReportColumn, Table
from driftline.reports.sampling import NothingToCompareError
from driftline.store.episodes import Episode


@dataclass(frozen=True)
class Rendered:
    """A report: the page (which needs no network), and its numbers as JSON."""

    html: str
    json: bytes


def require_evidently() -> None:
    """Raise SetupError unless Evidently is installed; it is not imported."""
    if find_spec("evidently") is None or find_spec("pandas") is None:
        raise SetupError("Evidently is not installed, so no reports can be made: pip install 'driftline[reports]', or set reports.enabled to false.")


def render(episode: Episode, table: Table, *, before: int, now: int) -> Rendered:
    """Return the report on ``before`` rows of the reference and ``now`` current ones.

    A column that Evidently fails on is left out and named. Raises NothingToCompareError when none is left.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of divisions by an empty side and the like: the numbers say it
        compared, failed = _compared(table.columns)
        left_out = {**table.left_out, **failed}
        if compared is None:
            reasons = "; ".join(f"{name}: {why}" for name, why in list(left_out.items())[:3])
            raise NothingToCompareError(f"no column can be compared ({reasons or 'the reference has none'})")
        page, told = compared
    head = {
        "episode_id": episode.episode_id,
        "model": episode.model,
        "version": episode.version,
        "reference_id": episode.reference_id,
        "onset": episode.onset,
        "opened_at": episode.opened_at,
        "sentence": episode.sentence,
        "reference_rows": before,
        "current_rows": now,
        "left_out": left_out,
    }
    numbers = msgspec.json.format(msgspec.json.encode({**head, "evidently": _without_nan(told)}), indent=2)
    return Rendered(page.replace("<body>", f"<body>{_header(episode, before, now, left_out)}", 1), numbers)


def _compared(columns: list[ReportColumn]) -> tuple[tuple[str, Any] | None, dict[str, str]]:
    """Return Evidently's page and numbers, and why columns are not in them; None when there is nothing to compare."""
    if not columns:
        return None, {}
    try:
        return _run(columns), {}
    except Exception:  # noqa: BLE001 - which column it was is found out below
        failed: dict[str, str] = {}
        for column in columns:
            try:
                _run([column])
            except Exception as error:  # noqa: BLE001 - whatever a library makes of odd numbers
                failed[column.name] = f"Evidently can't compare it ({type(error).__name__}: {str(error)[:200]})"
        fine = [column for column in columns if column.name not in failed]
        return (_run(fine) if fine and failed else None), failed


def _run(columns: list[ReportColumn]) -> tuple[str, Any]:
    os.environ.setdefault("DO_NOT_TRACK", "1")  # a monitoring system tells nobody outside what it sees
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(
        numerical_columns=[c.name for c in columns if c.kind == "numeric"], categorical_columns=[c.name for c in columns if c.kind == "categorical"]
    )
    before, now = (pd.DataFrame({c.name: getattr(c, side) for c in columns}) for side in ("reference", "current"))
    snapshot = Report([DataDriftPreset()]).run(
        Dataset.from_pandas(now, data_definition=definition), Dataset.from_pandas(before, data_definition=definition)
    )
    return snapshot.get_html_str(as_iframe=False), json.loads(snapshot.json())


def _header(episode: Episode, before: int, now: int, left_out: dict[str, str]) -> str:
    lines = [
        f"<h1>{html.escape(episode.model)} {html.escape(episode.version)}</h1>",
        f"<p>{html.escape(episode.sentence)}</p>",
        f"<p>{now:,} sampled events from {format_time(episode.onset)} to {format_time(episode.opened_at)}, against {before:,} of the reference.</p>",
    ]
    if left_out:
        named = "; ".join(f"{html.escape(name)}: {html.escape(why)}" for name, why in list(left_out.items())[:20])
        lines.append(f"<p>Left out: {named}{f'; and {len(left_out) - 20} more' if len(left_out) > 20 else ''}.</p>")
    return f'<header style="font-family: sans-serif; margin: 1rem 2rem">{"".join(lines)}</header>'


def _without_nan(value: Any) -> Any:
    """Return JSON's own: Python writes NaN, which no other reader takes."""
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
