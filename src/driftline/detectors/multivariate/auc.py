"""The area under the ROC curve over cross-validation folds, with its interval.

Each fold has an AUC of its own and they are averaged: scores of different folds come from different classifiers, and pooling them pulls the AUC below
.5 while nothing is wrong. Within a fold the variance is DeLong's [DeLong, DeLong, Clarke-Pearson, Biometrics 44 (1988) 837]; what chance shows is the
Mann-Whitney statistic's own distribution. The folds are not independent, for each is a part of what the others were trained on: taken as such (the
mean of the variances over K) they cover .5 in 86 of 100 null windows. The variance of the mean is that times 1 + K test / train, here
1 + K / (K - 1) [Nadeau, Bengio, Inference for the generalization error, Machine Learning 52 (2003) 239].
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.stats import rankdata

from driftline.contracts.findings import Distance
from driftline.detectors.moments import Floats
from driftline.detectors.multivariate.scores import Mask

_Z, _Z_ONE_SIDED = 1.959963984540054, 1.6448536269514722


def auc_of(score: Floats, positive: Mask) -> tuple[float, float]:
    """Return the AUC of scores and its variance after DeLong; ties count half. There are two rows of either kind at least.

    >>> auc_of(np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, False, True, True]))
    (1.0, 0.0)
    """
    ranks = rankdata(score)
    ones, zeros = int(positive.sum()), int((~positive).sum())
    above = (ranks[positive] - rankdata(score[positive])) / zeros
    below = 1 - (ranks[~positive] - rankdata(score[~positive])) / ones
    return float(above.mean()), float(above.var(ddof=1) / ones + below.var(ddof=1) / zeros)


def mean_auc(folds: Iterable[tuple[Floats, Mask]]) -> Distance:
    """Return the mean AUC of two or more folds, each the scores of its rows and which of them are positive, with its 95 % interval; and what chance
    stays below in 95 of 100.
    """
    values, variances, chance = [], [], []
    for score, positive in folds:
        value, variance = auc_of(score, positive)
        ones, zeros = int(positive.sum()), int((~positive).sum())
        values.append(value)
        variances.append(variance)
        chance.append((ones + zeros + 1) / (12 * ones * zeros))
    count = len(values)
    shared = (1 + count / (count - 1)) / count**2
    mean, half = float(np.mean(values)), _Z * float(np.sqrt(shared * sum(variances)))
    most = 0.5 + _Z_ONE_SIDED * float(np.sqrt(shared * sum(chance)))
    return Distance(value=mean, low=max(mean - half, 0.0), high=min(mean + half, 1.0), chance=min(most, 1.0))
