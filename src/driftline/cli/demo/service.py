"""The scoring service: it scores each flight at its scheduled departure with the current champion, and says later how it went.

It knows Driftline as any service does: a Publisher, the topic of model versions, and the registry's files.
"""

from __future__ import annotations

import threading
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from driftline.cli.demo.flights import Cell, Day
from driftline.cli.demo.stage import MODEL, Scene, scores
from driftline.contracts.findings import ModelVersion
from driftline.producers.publisher import Publisher
from driftline.producers.subscriber import Subscriber
from driftline.retrain.artifacts import load_model

#: A day goes by in a second or so, and its end sends what is left: most of it shares a few requests, and each reader a few batches.
_LINGER_MS = 400

Probabilities = npt.NDArray[np.float64]
Scores = tuple[list[dict[str, Cell]], Probabilities]


class ScoringService:
    """Scores flights and publishes events and labels. ``scored`` (flights) keeps each flight's probability, NaN where it was never scored."""

    def __init__(self, scene: Scene) -> None:
        kafka = scene.settings.kafka
        self._scene = scene
        self._model: Any = scene.champion
        self.version = scene.version.version
        self.scored = np.full(len(scene.flights), np.nan)
        self.events = 0
        self.labels = 0
        self._ahead: tuple[date, list[dict[str, Cell]], Probabilities] | None = None
        self._known: dict[int, ModelVersion] = {}
        self._news = threading.Condition()
        self.publisher = Publisher(
            bootstrap_servers=kafka.bootstrap_servers, model=MODEL, version=self.version, topic_prefix=kafka.topic_prefix, linger_ms=_LINGER_MS
        )
        self._versions = Subscriber(
            ModelVersion, bootstrap_servers=kafka.bootstrap_servers, topic_prefix=kafka.topic_prefix, start="earliest", model=MODEL
        )
        threading.Thread(target=self._follow, daemon=True, name="model-versions").start()

    def serve(self, day: Day) -> None:
        """Live through one day: departures and arrivals in the order in which they happen."""
        flights = self._scene.flights
        features, probability = self._prepared(day)
        self.scored[day.departures] = probability
        moments = np.concatenate([flights.event_ms[day.departures], flights.label_ms[day.arrivals]])
        for place in np.argsort(moments, kind="stable").tolist():
            if place < len(features):
                i, p = int(day.departures[place]), float(probability[place])
                self.publisher.publish(
                    features[place],
                    prediction=int(p >= 0.5),
                    score=p,
                    event_id=flights.event_id[i],
                    event_time=int(flights.event_ms[i]),
                    version=self.version,
                )
                self.events += 1
            else:
                i = int(day.arrivals[place - len(features)])
                self.publisher.publish_label(flights.event_id[i], int(flights.label[i]), event_time=int(flights.label_ms[i]))
                self.labels += 1
        self.publisher.flush(60)

    def prepare(self, day: Day) -> None:
        """Score a day with the present champion, while there is time; a swap before it makes that void."""
        self._ahead = (day.date, *self._scores(day))

    def swap(self, sequence: int, timeout_s: float = 30.0) -> None:
        """Wait until the topic has told of a turn, and serve the champion that it names."""
        with self._news:
            if not self._news.wait_for(lambda: sequence in self._known, timeout_s):
                msg = f"the service has not heard of turn {sequence} of {MODEL} on the topic model-versions within {timeout_s:.0f} s"
                raise TimeoutError(msg)
            turn = self._known[sequence]
        if turn.version != self.version and turn.artifact is not None and turn.sha256 is not None:
            self._model = load_model(Path(self._scene.settings.artifacts), turn.artifact, turn.sha256).estimator
            self.version = turn.version
            self._ahead = None

    def close(self) -> None:
        """Stop publishing."""
        self.publisher.close()

    def _prepared(self, day: Day) -> Scores:
        if self._ahead is not None and self._ahead[0] == day.date:
            return self._ahead[1:]
        return self._scores(day)

    def _scores(self, day: Day) -> Scores:
        features = self._scene.flights.rows(day.departures)
        return features, scores(self._model, features) if features else np.zeros(0)

    def _follow(self) -> None:
        for message, *_ in self._versions:
            with self._news:
                self._known[message.sequence] = message
                self._news.notify_all()
