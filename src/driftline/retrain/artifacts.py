"""Model files: skops inside, hashed, sealed with a card; opened only when they are what the registry says and hold
nothing unknown.

A model file is code in disguise. So, in this order: a size cap, the hash from the registry, the archive's own claims,
the types in it against an allow-list; only then is anything built. Never pickle, never joblib. skops is hardening, not
a sandbox: keep the folder writable for the retrain worker alone, for whoever writes both it and the registry decides
what runs.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import tempfile
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import version as package_version
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec

from driftline.contracts.errors import ArtifactRefused
from driftline.contracts.ids import content_hash
from driftline.retrain.card import ModelCard

MAX_BYTES = 512 << 20
_CARD = "driftline-card.json"

#: Inert parts of fitted scikit-learn models that skops does not list by itself. Whatever holds a function or a path
#: stays out, save the one function that histogram boosting keeps for its categories.
SKLEARN_PARTS = frozenset({
    "functools.partial",  # of a listed function only: skops reports what it wraps by name
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer._RemainderColsList",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils.validation.check_array",
})  # fmt: skip


@dataclass(frozen=True)
class Artifact:
    """A stored model file: ``name`` below the artifacts folder, with ``/``; hash as 64 hex digits."""

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class LoadedModel:
    """A model that passed all checks, and its card."""

    estimator: Any
    card: ModelCard


def save_model(folder: Path, estimator: Any, card: ModelCard) -> Artifact:
    """Write a model file atomically and return what the registry has to keep. The name holds the content's hash: files
    are never overwritten.
    """
    import skops.io

    packages = {name: package_version(name) for name in ("scikit-learn", "skops", "numpy")}
    content = BytesIO(skops.io.dumps(estimator, compression=zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_CARD, msgspec.json.encode(msgspec.structs.replace(card, packages=packages)))
    raw = content.getvalue()
    sha256 = hashlib.sha256(raw).hexdigest()
    name = f"{_folder_name(card.model)}/{_slug(card.version)}-{sha256[:16]}.skops"
    _write(folder / name, raw)
    return Artifact(name, sha256, len(raw))


def load_model(folder: Path, name: str, sha256: str, *, trusted: Collection[str] = (), max_bytes: int = MAX_BYTES) -> LoadedModel:
    """Return the model of a file that the registry vouches for with ``sha256``.

    ``trusted`` are full names of types beyond scikit-learn's, numpy's and scipy's own, from the settings.

    Raises:
        ArtifactRefused: no such file, too large, another hash, not a model file, or types nobody allowed (it names
        them).
    """
    raw = _read(folder, name, max_bytes)
    if not hmac.compare_digest(hashlib.sha256(raw).hexdigest(), sha256):
        raise ArtifactRefused(f"{name} is not the file that was registered: its sha256 differs")
    return open_model(raw, name=name, trusted=trusted, max_bytes=max_bytes)


def open_model(raw: bytes, *, name: str, trusted: Collection[str] = (), max_bytes: int = MAX_BYTES) -> LoadedModel:
    """Return the model in a file's content, whose origin the caller has checked. Raises ArtifactRefused."""
    import skops.io

    try:
        with zipfile.ZipFile(BytesIO(raw)) as archive:
            claimed = sum(entry.file_size for entry in archive.infolist())
            if claimed > max_bytes:
                raise ArtifactRefused(f"{name} unpacks to {claimed} bytes; at most {max_bytes} are accepted")
            card = msgspec.json.decode(archive.read(_CARD), type=ModelCard)
        unknown = sorted(set(skops.io.get_untrusted_types(data=raw)) - SKLEARN_PARTS - set(trusted))
        if unknown:
            raise ArtifactRefused(f"{name} holds types that nobody allowed: {', '.join(unknown)}")
        estimator = skops.io.loads(raw, trusted=[*SKLEARN_PARTS, *trusted])
    except ArtifactRefused:
        raise
    except Exception as error:  # the content is hostile: whatever skops and zipfile say of it, it is refused
        raise ArtifactRefused(f"{name} is not a model file: {type(error).__name__}: {error}") from error
    return LoadedModel(estimator, card)


def _read(folder: Path, name: str, max_bytes: int) -> bytes:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ArtifactRefused(f"{name} lies outside the artifacts folder")
    try:
        with path.open("rb") as file:
            raw = file.read(max_bytes + 1)
    except OSError as error:
        raise ArtifactRefused(f"{name} can't be read: {error.strerror}") from error
    if len(raw) > max_bytes:
        raise ArtifactRefused(f"{name} has more than {max_bytes} bytes")
    return raw


def _write(path: Path, raw: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".tmp", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # so that the name outlives a power cut as well
    finally:
        os.close(descriptor)


def _folder_name(model: str) -> str:
    # Two models may have one slug, never one folder.
    slug = _slug(model)
    return slug if slug == model else f"{slug}-{content_hash(model.encode())[:8]}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text)[:64] or "_"
