"""The rows of a columnar record. No Python object for a number."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftline.contracts.columnar_decoding import EventColumns
from driftline.contracts.columnar_fields import is_number
from driftline.contracts.reference import Reference
from driftline.detectors.places import places_in
from driftline.detectors.rows import Coded, Held, Numbers, Rows, listed
from driftline.detectors.views import features_of
from driftline.streams.columnar_held import finite_numbers, held, rows_of
from driftline.streams.columnar_paths import least_names, leaves, wanted_columns
from driftline.streams.lazy_ids import Ids

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_FINE, _NULL = range(2)


def columnar_rows(  # noqa: PLR0917  # as the reader has them
    events: EventColumns, index: Ints, late: NDArray[np.bool_], reference: Reference | None, quality: Mapping[str, Ints], max_features: int
) -> Rows:
    """Return the rows of ``events`` at ``index``, which meet ``reference``; while learning the ``max_features`` least names are kept."""
    n = len(index)
    counts, fields = dict(quality), None
    features: dict[str, Held] = {}
    if reference is not None:
        features, missing, extra = wanted_columns(events, index, features_of(reference))
        counts |= {name: count for name, count in (("missing_fields", missing), ("extra_fields", extra)) if count.any()}
    elif any(pa.types.is_struct(column.type) for column in events.features.values()):
        fields = list(least_names({name: listed(column) for name, column in leaves(events, index).items()}, max_features, n))
    else:
        features = {name: held(rows_of(events.features[name], index)) for name in sorted(events.features)[:max_features]}
    predictions, scores = predictions_and_scores(events, index)
    return Rows(
        event_ids=Ids(events, index),
        places=places(events)[index],
        times=events.times[index],
        late=late,
        versions=[events.version] * n,
        features=features,
        predictions=predictions,
        scores=scores,
        quality=counts,
        fields=fields,
    )


def places(events: EventColumns) -> Ints:
    """Return the place of each row in the hash samples."""
    return places_in(events.ids, events.id_offsets)


def predictions_and_scores(events: EventColumns, index: Ints) -> tuple[Held, Held]:
    """Return predictions and scores; what is not finite is null. Where there is no score, it is the probability of the predicted class."""
    n = len(index)
    nothing = Coded([None], np.zeros(n, np.int64))
    prediction = rows_of(events.prediction, index) if events.prediction is not None else None
    predictions: Held = nothing
    if prediction is not None:
        predictions = finite_numbers(prediction) if is_number(prediction.type) else held(prediction)
    given = events.score is not None and not pa.types.is_null(events.score.type)
    scores = finite_numbers(rows_of(events.score, index)) if given else None
    if events.probabilities is None:
        return predictions, scores if scores is not None else nothing
    values = scores.values.copy() if scores is not None else np.zeros(n)
    kinds = np.full(n, _NULL, np.int8) if scores is None else np.zeros(n, np.int8) if scores.kinds is None else scores.kinds.copy()
    lacking = np.flatnonzero(kinds)
    if len(lacking):
        found = _class_probabilities(rows_of(events.probabilities, index[lacking]), [predictions[i] for i in lacking.tolist()])
        fine = np.isfinite(found)
        values[lacking] = np.where(fine, found, 0.0)
        kinds[lacking] = np.where(fine, _FINE, _NULL)
    return predictions, Numbers(values, kinds if kinds.any() else None)


def _class_probabilities(probabilities: pa.Array, predictions: list[object]) -> Floats:
    """Return what each row has under the text of its prediction, NaN where it has nothing."""
    found = np.full(len(predictions), np.nan)
    for i, (prediction, row) in enumerate(zip(predictions, probabilities.to_pylist(), strict=True)):
        value = dict(row).get(str(prediction)) if row is not None else None
        found[i] = np.nan if value is None else float(value)
    return found
