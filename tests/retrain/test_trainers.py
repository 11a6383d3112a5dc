from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from driftline.contracts.errors import SettingsError
from driftline.contracts.settings import build_settings
from driftline.retrain.trainers import SklearnTrainer, Trainer, TrainerError, TrainingSet, load_trainer
from driftline.retrain.worker import run_worker

ROOT = Path(__file__).parents[2]


def rows(n: int = 200, *, seed: int = 0, labels: Any = None) -> TrainingSet:
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, 2)).astype(object)
    y = (X[:, 0] > 0).astype(int) if labels is None else labels
    return TrainingSet("m", "classification", ("a", "b"), X, y, np.arange(n) * 1_000, n * 1_000)


def test_a_challenger_is_the_champions_recipe_fitted_afresh() -> None:
    old = make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(rows(seed=1).X, rows(seed=1).y)
    before = old[-1].coef_.copy()
    new = SklearnTrainer().train(old, rows(seed=2))
    alone = make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(rows(seed=2).X, rows(seed=2).y)
    np.testing.assert_array_equal(new[-1].coef_, alone[-1].coef_)
    np.testing.assert_array_equal(old[-1].coef_, before)
    assert new is not old


def test_the_same_rows_give_the_same_challenger_although_the_recipe_is_random() -> None:
    champion = make_pipeline(DecisionTreeClassifier(max_features=1, splitter="random")).fit(rows().X, rows().y)
    one, other = (SklearnTrainer().train(champion, rows(seed=3)) for _ in range(2))
    grid = np.random.default_rng(9).normal(size=(500, 2))
    np.testing.assert_array_equal(one.predict_proba(grid), other.predict_proba(grid))


def test_one_class_alone_is_no_training_set() -> None:
    champion = HistGradientBoostingClassifier(max_iter=2).fit(rows().X.astype(float), rows().y)
    with pytest.raises(TrainerError, match="all 200 training rows have the same label"):
        SklearnTrainer().train(champion, rows(labels=np.ones(200)))


def test_a_recipe_that_refuses_the_rows_is_a_trainer_error() -> None:
    text = rows()
    text.X[5, 0] = "text"
    with pytest.raises(TrainerError, match="can't be fitted to 200 rows: ValueError"):
        SklearnTrainer().train(LinearRegression(), text)


@pytest.mark.parametrize("path", ["", "os", "os:nothing", "no.such.module:X", "os:getcwd", "builtins:object", "a:b:c"])
def test_a_setting_that_names_no_trainer_is_refused(path: str) -> None:
    with pytest.raises(SettingsError, match="trainer"):
        load_trainer(path)


def test_the_worker_does_not_start_with_a_trainer_that_no_run_could_load() -> None:
    with pytest.raises(SettingsError, match=r"^models\.m\.trainer: 'nope:Nope' .*No module named 'nope'"):
        run_worker(build_settings({"models": {"m": {"trainer": "nope:Nope"}}}))


def test_the_custom_example_trains_a_challenger_that_leans_on_recent_rows() -> None:
    trainer = load_trainer("examples.custom_trainer:RecencyWeighted")
    assert isinstance(trainer, Trainer)
    ran = subprocess.run([sys.executable, "examples/custom_trainer.py"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    lines = ran.stdout.splitlines()
    evenly, recently = (float(line.rpartition(" ")[2]) for line in lines)
    assert evenly > 0.5 > recently
