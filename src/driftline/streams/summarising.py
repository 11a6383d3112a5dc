"""What summarise makes of its settings: one place, so that a replay reads and counts as live does, to the last count."""

from __future__ import annotations

from driftline.contracts.cutting import Cut
from driftline.contracts.settings import Settings
from driftline.contracts.times import parse_duration
from driftline.detectors.parts import PartBuilder
from driftline.streams.blocks import NewBuilder
from driftline.streams.pii import pii_secret
from driftline.streams.reading import Reader
from driftline.streams.references import ReferenceBook


def reader_of(settings: Settings, book: ReferenceBook) -> Reader:
    """Return a reader of events under the settings, which asks the book for references."""
    return Reader(
        book,
        {name: parse_duration(model.allowed_lateness) for name, model in settings.models.items()},
        parse_duration(settings.defaults.allowed_lateness),
        parse_duration(settings.worker.allowed_skew),
        settings.defaults.max_features,
        parse_duration(settings.retention.panes),
    )


def cut_of(settings: Settings) -> Cut:
    """Return how the settings want partitions cut into blocks."""
    worker = settings.worker
    return Cut(worker.block_size, parse_duration(worker.block_span), worker.block_bytes)


def builder_of(settings: Settings) -> NewBuilder:
    """Return what begins the parts of a model in a block. Raises SettingsError where the key for personal features can't be read."""
    secret = pii_secret(settings)

    def begin(model: str) -> PartBuilder:
        own = settings.model(model)
        return PartBuilder(parse_duration(own.pane), own.sample_rows_per_pane, own.learning_rows, own.pii, secret, repeats=True)

    return begin
