"""A trainer of one's own: recent rows count more.

Name it in driftline.yaml; the module has to be importable where `driftline retrain` runs (its working directory is):

    models:
      flights:
        trainer: examples.custom_trainer:RecencyWeighted

Run this file to see what the weights do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from driftline.retrain.trainers import TrainingSet, fitted, recipe

DAY_MS = 86_400_000


class RecencyWeighted:
    """Fits the champion's recipe with weights that halve every four weeks."""

    half_life_days = 28.0

    def train(self, champion: Any, rows: TrainingSet) -> Any:
        """Return the challenger; the champion itself is never changed."""
        age_days = (rows.until - rows.times) / DAY_MS
        weights = np.exp2(-age_days / self.half_life_days)
        challenger = recipe(champion)
        # A pipeline hands fit parameters to the step that they name.
        steps = getattr(challenger, "steps", None)
        name = f"{steps[-1][0]}__sample_weight" if steps else "sample_weight"
        return fitted(challenger, rows, **{name: weights})


def main() -> None:
    """Train on a year whose second half contradicts the first, with and without the weights."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from driftline.retrain.trainers import SklearnTrainer

    random = np.random.default_rng(0)
    n = 3_650
    x = random.normal(size=(n, 1))
    turned = np.where(np.arange(n) < n * 0.7, 1, -1)
    y = (random.random(n) < 1 / (1 + np.exp(-2 * turned * x[:, 0]))).astype(int)
    rows = TrainingSet(
        model="example",
        task="classification",
        columns=("x",),
        X=x.astype(object),
        y=y,
        times=np.arange(n) * DAY_MS // 10,
        until=365 * DAY_MS,
    )
    champion = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows.X[:1000], y[:1000])
    for trainer in (SklearnTrainer(), RecencyWeighted()):
        chance = trainer.train(champion, rows).predict_proba([[1.0]])[0, 1]
        print(f"{type(trainer).__name__}: P(1 | x=1) = {chance:.2f}")


if __name__ == "__main__":
    main()
