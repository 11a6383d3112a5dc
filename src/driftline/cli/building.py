"""Rows of a file or a frame into a reference, under a model's settings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import get_args

from driftline.cli.columns import ReferenceRows
from driftline.contracts.ids import sample_hash, stable_id
from driftline.contracts.pii import hidden, rule_of
from driftline.contracts.reference import Reference, Task
from driftline.contracts.settings import FeatureKind, ModelSettings
from driftline.contracts.summaries import SampleRow
from driftline.detectors.calendar import calendar_of
from driftline.detectors.reference import build_reference
from driftline.detectors.sample import kept_features
from driftline.detectors.slicing import Slicing
from driftline.detectors.values import finite_number

_SAMPLE_ROWS = 2_000


def built(
    rows: ReferenceRows,
    own: ModelSettings,
    *,
    model: str,
    version: str,
    task: str,
    holds_from: int,
    label_delays: Sequence[int] | None = None,
    all_events: bool | None = None,
) -> Reference:
    """Return the reference of rows under a model's settings; ``all_events``: whether they are all of their time (None: as the settings say)."""
    kinds: dict[str, FeatureKind] = {name: kind for name, kind in own.features.items() if name in rows.features}
    return build_reference(
        model=model,
        version=version,
        task=next(t for t in get_args(Task) if t == task),
        effective_from=holds_from,
        origin="built",
        times=rows.times,
        features=rows.features,
        kinds=kinds,
        predictions=rows.predictions,
        scores=rows.scores,
        labels=rows.labels,
        importance=own.importance,
        max_values=own.max_values,
        max_features=own.max_features,
        slicing=Slicing.of(own),
        calendar=calendar_of(own),
        label_delays=label_delays,
        all_events=own.reference_rows == "all" if all_events is None else all_events,
    )


def published(rows: ReferenceRows, own: ModelSettings, secret: bytes, named: Collection[str]) -> tuple[ReferenceRows, list[str]]:
    """Return the rows of a file without its personal features, for a reference holds plain values; and which were left out.

    One that was asked for by name is there as a Publisher with the settings' rules sends it: hashed or cut down, never as it is, and not if the rule
    is ``drop``. Not so by itself: where services send plain values, a reference of hashed ones would take each for one never seen.
    """
    rules = {name: rule_of(own.pii, name) for name in rows.features}
    left_out = [name for name, rule in rules.items() if rule == "drop" or (rule != "keep" and name not in named)]
    features = {
        name: values if rules[name] == "keep" else [hidden(value, rules[name], secret) for value in values]
        for name, values in rows.features.items()
        if name not in left_out
    }
    return replace(rows, features=features), left_out


def sample_of(rows: ReferenceRows, own: ModelSettings, secret: bytes, reference: Reference) -> list[SampleRow]:
    """Return the rows that reports compare with, under the model's PII rules; which are kept depends on their numbers alone."""
    ids = [stable_id("reference-row", reference.reference_id, i) for i in range(len(rows.times))]
    chosen = sorted(range(len(ids)), key=lambda i: sample_hash(ids[i]))[:_SAMPLE_ROWS]
    sample = []
    for i in chosen:
        said = rows.predictions[i] if rows.predictions else None
        sample.append(
            SampleRow(
                place=sample_hash(ids[i]),
                event_id=ids[i],
                event_time=rows.times[i],
                version=reference.version,
                features=kept_features({name: values[i] for name, values in rows.features.items()}, own.pii, secret),
                prediction=said,
                score=finite_number(rows.scores[i]) if rows.scores else None,
            )
        )
    return sample
