from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from driftline.contracts.errors import ArtifactRefused
from driftline.retrain.artifacts import Artifact, load_model, open_model, save_model
from driftline.retrain.card import ModelCard

CARD = ModelCard(
    model="m", version="1", task="classification", columns={"c": True, "x": False}, classes=("0", "1"),
    rows=3, trained_from=1, trained_until=2, trainer="t",
)  # fmt: skip
X = np.array([["a" if i % 2 else "b", float(i % 7)] for i in range(60)], dtype=object)
Y = np.array([int(i % 7 > 3) for i in range(60)])


def encoded(encoder: Any, *rest: Any) -> Any:
    return make_pipeline(ColumnTransformer([("c", encoder, [0])], remainder="passthrough"), *rest).fit(X, Y)


MODELS = {
    "histogram boosting": lambda: encoded(OrdinalEncoder(), HistGradientBoostingClassifier(max_iter=3)),
    "its own categories": lambda: encoded(OrdinalEncoder(), HistGradientBoostingClassifier(max_iter=3, categorical_features=[0])),
    "logistic": lambda: encoded(OneHotEncoder(sparse_output=False), StandardScaler(), LogisticRegression()),
    "forest": lambda: encoded(OrdinalEncoder(), RandomForestRegressor(n_estimators=3)),
}  # fmt: skip


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_comes_back_with_its_card_and_answers_the_same(tmp_path: Path, kind: str) -> None:
    model = MODELS[kind]()
    artifact = save_model(tmp_path, model, CARD)
    loaded = load_model(tmp_path, artifact.name, artifact.sha256)
    np.testing.assert_array_equal(loaded.estimator.predict(X), model.predict(X))
    assert loaded.card.columns == {"c": True, "x": False}
    assert list(loaded.card.columns) == ["c", "x"]
    assert loaded.card.packages.keys() == {"scikit-learn", "skops", "numpy"}


@pytest.fixture
def saved(tmp_path: Path) -> Artifact:
    return save_model(tmp_path, LogisticRegression().fit(X[:, 1:], Y), CARD)


@pytest.mark.parametrize("place", [0, 100, -10])
def test_one_changed_byte_and_the_file_is_refused(tmp_path: Path, saved: Artifact, place: int) -> None:
    raw = bytearray((tmp_path / saved.name).read_bytes())
    raw[place] ^= 1
    (tmp_path / saved.name).write_bytes(raw)
    with pytest.raises(ArtifactRefused, match="its sha256 differs"):
        load_model(tmp_path, saved.name, saved.sha256)


class Evil:
    """Loading it would run its ``__reduce__``'s command."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch /tmp/owned",)


def sealed(content: bytes) -> bytes:
    out = io.BytesIO(content)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("driftline-card.json", b'{"model":"m","version":"1","task":"regression","columns":{},"rows":1,'
                         b'"trained_from":0,"trained_until":1,"trainer":"t"}')  # fmt: skip
    return out.getvalue()


def test_a_type_that_nobody_allowed_is_refused_by_name() -> None:
    raw = sealed(skops.io.dumps(FunctionTransformer(os.system)))
    with pytest.raises(ArtifactRefused, match=r"posix\.system"):
        open_model(raw, name="f")


def test_a_listed_wrapper_does_not_let_another_function_through() -> None:
    from functools import partial

    raw = sealed(skops.io.dumps(FunctionTransformer(partial(os.system, "true"))))
    with pytest.raises(ArtifactRefused, match=r"posix\.system"):
        open_model(raw, name="f")


def test_a_type_that_the_settings_trust_is_opened() -> None:
    raw = sealed(skops.io.dumps(FunctionTransformer(os.path.basename)))
    with pytest.raises(ArtifactRefused, match=r"posixpath\.basename"):
        open_model(raw, name="f")
    assert open_model(raw, name="f", trusted=("posixpath.basename",)).estimator.func is os.path.basename


@pytest.mark.parametrize(
    "raw",
    [b"", b"PK", pickle.dumps(Evil()), sealed(b""), skops.io.dumps(StandardScaler())],
    ids=["nothing", "cut off", "a pickle", "no model", "no card"],
)
def test_what_is_no_model_file_is_refused(raw: bytes) -> None:
    with pytest.raises(ArtifactRefused, match="is not a model file"):
        open_model(raw, name="f")
    assert not Path("/tmp/owned").exists()


def test_a_file_that_unpacks_to_too_much_is_refused_before_it_is_unpacked() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", bytes(50_000_000))
    assert len(out.getvalue()) < 1_000_000
    with pytest.raises(ArtifactRefused, match="unpacks to 50000000 bytes; at most 1000000"):
        open_model(out.getvalue(), name="f", max_bytes=1_000_000)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, saved: Artifact) -> None:
    with pytest.raises(ArtifactRefused, match="more than 100 bytes"):
        load_model(tmp_path, saved.name, saved.sha256, max_bytes=100)


@pytest.mark.parametrize("name", ["../outside.skops", "/etc/passwd", "m/../../outside.skops"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtifactRefused, match="lies outside the artifacts folder"):
        load_model(tmp_path / "artifacts", name, "")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactRefused, match="can't be read: No such file"):
        load_model(tmp_path, "m/1.skops", "")


def test_hostile_names_of_models_stay_inside_and_apart(tmp_path: Path) -> None:
    import msgspec

    model = StandardScaler().fit([[1.0]])
    names = ["../../etc", "..", "/abs", "a/b", "a_b", "", "x" * 500, "é"]
    written = [save_model(tmp_path, model, msgspec.structs.replace(CARD, model=name)).name for name in names]
    assert len({name.split("/")[0] for name in written}) == len(names)
    assert all((tmp_path / name).resolve().is_relative_to(tmp_path) for name in written)


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_rename(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", no_rename)
    with pytest.raises(OSError, match="No space left"):
        save_model(tmp_path, StandardScaler().fit([[1.0]]), CARD)
    assert list((tmp_path / "m").iterdir()) == []
