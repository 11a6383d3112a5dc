"""What all commands share: the settings, read when first asked for, and the database."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer
    from sqlalchemy import Engine

    from driftline.contracts.settings import Settings


class State:
    """The configuration that ``--config`` names, or the one that is here."""

    def __init__(self, config: Path | None) -> None:
        self.config = config

    @cached_property
    def settings(self) -> Settings:
        """The settings: file and environment. Raises SettingsError."""
        from driftline.cli.config import load_settings

        return load_settings(self.config, os.environ)

    @cached_property
    def engine(self) -> Engine:
        """The database, at the revision this program needs. Raises SchemaOutdated, SetupError."""
        from driftline.cli.database import open_ready

        return open_ready(self.settings.database)


def state_of(ctx: typer.Context) -> State:
    """Return the state that the root command made."""
    found = ctx.find_object(State)
    if found is None:
        raise RuntimeError("a command ran without the root command")
    return found
