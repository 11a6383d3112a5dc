"""The domain classifier: can a window's rows be told from the reference's? If they can't, no relation of any order that it sees has moved.

Gradient boosting over the columns' codes [Lopez-Paz, Oquab, Revisiting classifier two-sample tests, ICLR 2017]. Trees find an interaction only
by a column that matters by itself, and an XOR never does. So products of two and of three columns' scores go in as columns of their own: in each fold
those whose means differ most between the two kinds of its training rows. All sums of three are one product of matrices. The rows that are judged have
no part in that choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from driftline.contracts.findings import Distance
from driftline.detectors.moments import Floats
from driftline.detectors.multivariate.auc import auc_of, mean_auc
from driftline.detectors.multivariate.matrix import Matrices
from driftline.detectors.multivariate.scores import Mask

FOLDS = 3
#: Products that a fold's classifier gets, of either order.
PRODUCTS = 6
#: Columns that are named, and those whose part is looked for.
MOST_NAMED, _MOST_ASKED = 4, 32

Places = npt.NDArray[np.int64]


def domain_auc(reference: Matrices, window: Matrices, scored: Sequence[int]) -> tuple[Distance, list[int]]:
    """Return the cross-validated AUC of telling window from reference, and the places of the columns that carry it, if it is surely above .5.

    Rows are in the order of a hash of their ids, so each third one is a random third; there are 2 * FOLDS of either at least. ``scored`` is the place
    among the codes of each column of the scores.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    rows = Matrices(*(np.concatenate(pair) for pair in zip(reference, window, strict=True)))
    ours = np.arange(len(rows.codes)) >= len(reference.codes)
    fold = np.concatenate([np.arange(len(reference.codes)), np.arange(len(window.codes))]) % FOLDS
    tested = []
    # One thread: what is found does not depend on how many there are, and detect has one core.
    with threadpool_limits(1):
        for k in range(FOLDS):
            train, test = fold != k, fold == k
            chosen = _products(rows.scores[train], ours[train])
            model = HistGradientBoostingClassifier(max_iter=30, max_depth=3, max_bins=32, early_stopping=False, random_state=0)
            model.fit(_columns(rows.take(train), chosen), ours[train])
            tested.append((model, chosen, rows.take(test), ours[test]))
        folds = [(_score(model, held, chosen), mine) for model, chosen, held, mine in tested]
        told = mean_auc(folds)
        return told, _carriers(tested, [auc_of(*pair)[0] for pair in folds], scored) if told.low > 0.5 else []


def _products(scores: Floats, ours: Mask) -> list[tuple[int, ...]]:
    """Return the pairs and the triples of columns whose products' means differ most between two kinds of rows, in sd."""
    count = scores.shape[1]
    if count < 2:
        return []
    left, right = np.triu_indices(count, 1)
    sign = np.where(ours, 1 / ours.sum(), -1 / (~ours).sum())
    pairs = scores[:, left] * scores[:, right]
    of_pairs = np.abs(sign @ pairs) / np.sqrt((pairs**2).mean(axis=0) + 1e-12)
    found: list[tuple[int, ...]] = [(int(left[i]), int(right[i])) for i in _greatest(of_pairs)]
    if count > 2:
        gap, square = (pairs * sign[:, None]).T @ scores, (pairs**2).T @ scores**2 / len(scores)
        of_triples = np.abs(gap) / np.sqrt(square + 1e-12)
        of_triples[np.arange(count) <= right[:, None]] = -1  # each triple once, by ascending place
        places = [np.unravel_index(i, of_triples.shape) for i in _greatest(of_triples.ravel())]
        found += [(int(left[i]), int(right[i]), int(k)) for i, k in places if of_triples[i, k] >= 0]
    return found


def _greatest(of: Floats) -> Places:
    return np.argsort(-of, kind="stable")[:PRODUCTS]


def _columns(rows: Matrices, chosen: list[tuple[int, ...]]) -> Floats:
    return np.column_stack([rows.codes, *(rows.scores[:, list(places)].prod(axis=1) for places in chosen)])


def _score(model: Any, rows: Matrices, chosen: list[tuple[int, ...]]) -> Floats:
    score: Floats = model.decision_function(_columns(rows, chosen))
    return score


def _carriers(tested: Sequence[tuple[Any, list[tuple[int, ...]], Matrices, Mask]], whole: Sequence[float], scored: Sequence[int]) -> list[int]:
    """Return the columns without which the AUC of held-out rows falls most: the values of one change places among the rows, in an order of its own.

    Those of less than a quarter of the greatest fall are company.
    """
    fall = np.zeros(min(tested[0][2].codes.shape[1], _MOST_ASKED))
    for (model, chosen, held, mine), before in zip(tested, whole, strict=True):
        order = np.random.default_rng(len(mine)).permutation(len(mine))
        for column in range(len(fall)):
            codes, scores = held.codes.copy(), held.scores.copy()
            codes[:, column] = codes[order, column]
            if column in scored:
                at = scored.index(column)
                scores[:, at] = scores[order, at]
            fall[column] += before - auc_of(_score(model, Matrices(codes, scores), chosen), mine)[0]
    greatest = float(fall.max(initial=0.0))
    return [int(i) for i in np.argsort(-fall, kind="stable")[:MOST_NAMED] if fall[i] > max(greatest / 4, 0.0)]
