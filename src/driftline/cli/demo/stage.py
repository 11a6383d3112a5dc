"""Sets the scene: a broker, topics, a database, and a champion trained on January and February, registered with its reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sqlalchemy import Engine

from driftline.cli.broker import start_broker
from driftline.cli.demo.flights import CATEGORICAL, FEATURES, Flights, load
from driftline.cli.demo.model import champion
from driftline.cli.topics import ensure_topics
from driftline.contracts.findings import ModelVersion
from driftline.contracts.settings import ModelSettings, Settings, build_settings
from driftline.detectors.calendar import Calendar
from driftline.retrain.first_rows import TrainingRows
from driftline.retrain.matrix import rows_to_matrix
from driftline.retrain.register import register_champion
from driftline.store.database import migrate, open_database

MODEL = "flight-delays"
COLUMNS = {name: name in CATEGORICAL for name in FEATURES}
TRAINING_MONTHS = (1, 2)
CALENDAR: Calendar = "none"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Scene:
    """Everything that is in place before the first event."""

    settings: Settings
    config: Path
    engine: Engine
    flights: Flights
    champion: Any
    version: ModelVersion


def set_scene(state: Path, bootstrap: str | None, tell: Tell) -> Scene:
    """Put everything in place below ``state`` (a new folder), telling what is done. ``bootstrap`` names a broker to use instead of starting one."""
    if bootstrap is None:
        tell("starting Apache Kafka")
        bootstrap = start_broker(state / "broker").bootstrap
    tree = settings_tree(state, bootstrap)
    config = state / "driftline.yaml"
    config.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    settings = build_settings(tree)
    ensure_topics(settings)
    engine = open_database(settings.database)
    migrate(engine)
    tell("reading the flights of 2013")
    flights = load()
    rows = flights.in_months(*TRAINING_MONTHS)
    rows = rows[flights.label[rows] >= 0]
    tell(f"training the champion on {len(rows):,} flights of January and February, and building its reference")
    features = flights.rows(rows)
    fitted = champion().fit(rows_to_matrix(features, COLUMNS), flights.label[rows])
    training = TrainingRows(
        features=features,
        labels=flights.label[rows].tolist(),
        times=flights.event_ms[rows],
        label_times=flights.label_ms[rows],
        event_ids=[flights.event_id[i] for i in rows],
    )
    version = register_champion(engine, settings, fitted, training, model=MODEL, task="classification", columns=tuple(COLUMNS))
    return Scene(settings, config, engine, flights, fitted, version)


def settings_tree(state: Path, bootstrap: str) -> dict[str, Any]:
    """Return the demo's driftline.yaml: hourly panes for some forty events an hour, steps made brisk because a day takes half a second."""
    return {
        "kafka": {"bootstrap_servers": bootstrap, "topic_prefix": f"demo-{state.name}-", "partitions": 4},
        "database": f"sqlite:///{state / 'driftline.db'}",
        "artifacts": str(state / "artifacts"),
        "reports": {"folder": str(state / "reports")},
        "retention": {"panes": "400d", "outcomes": "400d"},
        "worker": {"flush_interval": "100ms", "idle_timeout": "30m", "checkpoint_interval": "50ms", "fetch_wait": "150ms"},
        "models": {
            MODEL: {
                "task": "classification",
                "features": {name: "categorical" if category else "numeric" for name, category in COLUMNS.items()},
                "pane": "1h",
                "window": "1d",
                "allowed_lateness": "1h",
                # Calendars are UTC's, and New York's clocks change on 10 March: each hour would have another hour's flights from then on.
                "reference_calendar": CALENDAR,
                "alarm_budget": "1 per 30d",
                "tolerance": 0.2,
            }
        },
    }


def model_settings() -> ModelSettings:
    """Return what the demo's settings say of its model."""
    return build_settings(settings_tree(Path("demo"), "127.0.0.1:9092")).model(MODEL)


def scores(model: Any, features: list[dict[str, str | float | None]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the probability of a late arrival for each flight."""
    answers: np.ndarray[Any, np.dtype[np.float64]] = model.predict_proba(rows_to_matrix(features, COLUMNS))[:, 1]
    return answers
