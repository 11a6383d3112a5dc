"""All columns together: domain classifier and reconstruction error of a window's rows, against scikit-learn's own and against what is so."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from tests.detectors.made import START, numeric_reference
from tests.detectors.test_pairs import Floats, drawn, related, times_of

from driftline.contracts.findings import Multivariate
from driftline.contracts.ids import sample_hash
from driftline.contracts.reference import Reference
from driftline.contracts.summaries import SampleRow
from driftline.detectors.multivariate.auc import auc_of, mean_auc
from driftline.detectors.multivariate.joint import LEAST_ROWS, MOST_REFERENCE_ROWS, MOST_ROWS, Joint
from driftline.detectors.multivariate.matrix import Matrices
from driftline.detectors.multivariate.reconstruction import EXPLAINED, Components
from driftline.detectors.reference import build_reference


def rows_of(names: Sequence[str], values: Sequence[Sequence[object]], tag: str) -> list[SampleRow]:
    return [
        SampleRow(sample_hash(f"{tag}{i}"), f"{tag}{i}", START + i, "1", dict(zip(names, row, strict=True)))  # type: ignore[arg-type]
        for i, row in enumerate(values)
    ]


def numeric(values: Floats, reference: Reference, tag: str) -> list[SampleRow]:
    return rows_of([column.name for column in reference.columns], values.tolist(), tag)


def joint_of(values: Floats) -> tuple[Reference, Joint]:
    reference = numeric_reference(values, times_of(len(values)))
    return reference, Joint.of(reference, numeric(values, reference, "r"))


@pytest.fixture(scope="module")
def twenty() -> tuple[Reference, Joint]:
    return joint_of(drawn(2_000, 20, np.random.default_rng(1)))


def test_the_auc_is_scikit_learns_with_delongs_variance() -> None:
    rng = np.random.default_rng(5)
    positive = rng.random(400) < 0.3
    score = np.round(rng.normal(size=400) + positive, 1)  # with ties
    value, variance = auc_of(score, positive)
    assert value == pytest.approx(roc_auc_score(positive, score), abs=1e-12)
    # The bootstrap knows nothing of DeLong.
    drawn_again = [rng.integers(0, 400, 400) for _ in range(600)]
    assert math.sqrt(variance) == pytest.approx(np.std([auc_of(score[i], positive[i])[0] for i in drawn_again]), rel=0.15)


def test_chance_is_the_rank_tests_own_spread_and_more_for_what_folds_share() -> None:
    rng = np.random.default_rng(6)
    positive = np.arange(300) < 100
    values = [auc_of(rng.normal(size=300), positive)[0] for _ in range(1_500)]
    told = mean_auc([(rng.normal(size=300), positive)] * 3)
    assert told.chance - 0.5 == pytest.approx(1.645 * np.std(values) * math.sqrt(2.5 / 3), rel=0.06)


def test_the_reconstruction_error_is_that_of_scikit_learns_own_inverse_transform() -> None:
    rng = np.random.default_rng(7)
    mix = rng.normal(size=(3, 8))
    plain, other = (rng.normal(size=(600, 3)) @ mix + 0.2 * rng.normal(size=(600, 8)) for _ in range(2))
    nothing = np.zeros((600, 0))
    found = Components.of(Matrices(nothing, plain), ())
    assert found is not None
    fitted, held = plain[::2], plain[1::2]
    mean, sd = fitted.mean(axis=0), fitted.std(axis=0)
    pca = PCA(n_components=EXPLAINED, svd_solver="full").fit((fitted - mean) / sd)
    assert len(found.basis) == pca.n_components_

    def error(rows: Floats) -> float:
        z = (rows - mean) / sd
        return float(((z - pca.inverse_transform(pca.transform(z))) ** 2).mean())

    assert found.ratio(Matrices(nothing, other)).value == pytest.approx(error(other) / error(held), rel=1e-6)


def test_a_correlation_with_equal_marginals_is_seen_and_its_columns_are_named(twenty: tuple[Reference, Joint]) -> None:
    reference, joint = twenty
    told = joint.compared(numeric(related(drawn(1_000, 20, np.random.default_rng(2)), 0.5), reference, "w"))
    assert told.auc is not None
    assert told.auc.low > 0.5
    assert told.auc.value > told.auc.chance
    assert set(told.columns[:2]) == {"f0", "f1"}
    assert (told.n, told.reference_n) == (1_000, 2_000)


def test_an_xor_of_three_columns_that_no_pair_shows_is_seen(twenty: tuple[Reference, Joint]) -> None:
    reference, joint = twenty
    values = drawn(1_000, 20, np.random.default_rng(3))
    values[:, 2] = np.abs(values[:, 2]) * np.sign(values[:, 0] * values[:, 1])
    assert np.abs(np.corrcoef(values[:, :3].T) - np.eye(3)).max() < 0.1
    told = joint.compared(numeric(values, reference, "w"))
    assert told.auc is not None
    assert told.auc.low > 0.6
    assert set(told.columns) == {"f0", "f1", "f2"}


def test_relations_that_are_gone_make_the_reconstruction_worse() -> None:
    rng = np.random.default_rng(4)
    mix = rng.normal(size=(2, 6))
    values = rng.normal(size=(1_500, 2)) @ mix + 0.3 * rng.normal(size=(1_500, 6))
    reference, joint = joint_of(values[:1_000])
    same, apart = values[1_000:], np.column_stack([rng.permutation(column) for column in values[1_000:].T])
    kept, broken = (joint.compared(numeric(rows, reference, "w")).reconstruction for rows in (same, apart))
    assert kept is not None
    assert broken is not None
    assert kept.low <= 1 <= kept.high
    assert broken.low > broken.chance > 1


def test_while_nothing_is_wrong_the_intervals_cover_at_the_stated_rate() -> None:
    found: list[Multivariate] = []
    for seed in range(16):
        rng = np.random.default_rng(100 + seed)
        reference, joint = joint_of(related(drawn(500, 4, rng), 0.6))
        found.append(joint.compared(numeric(related(drawn(400, 4, rng), 0.6), reference, f"w{seed}-")))
    aucs, ratios = [m.auc for m in found if m.auc], [m.reconstruction for m in found if m.reconstruction]
    assert len(aucs) == len(ratios) == len(found)
    # Of 16 at a rate of 5 %, more than 3 in 1 of 140 such tests; the seeds are fixed.
    assert sum(not a.low <= 0.5 <= a.high for a in aucs) <= 3
    assert sum(not r.low <= 1 <= r.high for r in ratios) <= 3
    assert sum(a.value > a.chance for a in aucs) <= 3


def mixed() -> Reference:
    rng = np.random.default_rng(9)
    n = 600
    return build_reference(
        model="m",
        version="1",
        task="classification",
        effective_from=START,
        origin="built",
        times=times_of(n),
        features={
            "x": rng.normal(size=n).tolist(),
            "constant": [1.0] * n,
            "color": rng.choice(["red", "green", "blue"], n).tolist(),
            "flag": rng.choice(["y", "n"], n).tolist(),
            "id": [f"id{i}" for i in range(n)],
            "gaps": [None if i % 3 else float(i % 7) for i in range(n)],
        },
        predictions=rng.choice(["a", "b"], n).tolist(),
        scores=rng.random(n).tolist(),
    )


NAMES = ("x", "constant", "color", "flag", "id", "gaps")


def plain_rows(n: int, tag: str, rng: np.random.Generator) -> list[SampleRow]:
    values = [
        (
            float(rng.normal()),
            1.0,
            str(rng.choice(["red", "green", "blue"])),
            str(rng.choice(["y", "n"])),
            f"{tag}{i}",
            None if i % 3 else float(i % 7),
        )
        for i in range(n)
    ]
    return rows_of(NAMES, values, tag)


JUNK: tuple[object, ...] = (float("nan"), float("inf"), None, True, "x" * 257, -(1 << 62), 1e308, "\x00", "")


def test_junk_is_a_difference_and_never_an_error() -> None:
    rng = np.random.default_rng(10)
    joint = Joint.of(mixed(), plain_rows(600, "r", rng))
    told = joint.compared(rows_of(NAMES, [[JUNK[int(i)] for i in rng.integers(0, len(JUNK), 6)] for _ in range(300)], "w"))
    assert told.auc is not None
    assert told.reconstruction is not None
    assert all(math.isfinite(x) for d in (told.auc, told.reconstruction) for x in (d.value, d.low, d.high, d.chance))
    assert told.auc.low > 0.5
    # Ids are all different and say nothing; a reference of nothing but junk, or one constant, has no components, and no errors either.
    same = joint.compared(plain_rows(300, "v", rng))
    assert same.auc is not None
    assert same.auc.low < 0.5 < same.auc.high
    empty = Joint.of(mixed(), rows_of(NAMES, [[float("nan"), 1.0, None, None, None, None]] * 300, "r")).compared(plain_rows(300, "w", rng))
    assert empty.auc is not None
    assert empty.reconstruction is None
    assert "no principal components" in empty.reason
    nothing = Joint.of(mixed(), rows_of(NAMES, [[None] * 6] * 300, "r")).compared(plain_rows(300, "w", rng))
    assert nothing.auc is None
    assert "no column" in nothing.reason


def test_too_few_rows_say_so_and_features_that_are_not_kept_have_no_part() -> None:
    rng = np.random.default_rng(11)
    own = plain_rows(600, "r", rng)
    few = Joint.of(mixed(), own).compared(plain_rows(LEAST_ROWS - 1, "w", rng))
    assert (few.auc, few.reconstruction, few.n) == (None, None, LEAST_ROWS - 1)
    assert few.reason == "199 sampled rows in the window; 200 are needed"
    assert "stored with the reference" in Joint.of(mixed(), own[:10]).compared(plain_rows(300, "w", rng)).reason
    assert Joint.of(mixed(), own).compared(own).n == 0  # the reference's own rows
    kept = Joint.of(mixed(), own, frozenset({"color", "flag"}))
    assert [column.name for column in kept.coder.columns] == ["color", "flag"]
    moved = [SampleRow(r.place, r.event_id, r.event_time, "1", {**r.features, "x": 9.0}) for r in plain_rows(300, "w", rng)]
    told = kept.compared(moved)
    assert told.auc is not None
    assert told.auc.low < 0.5 < told.auc.high


def test_it_is_a_function_of_the_set_of_rows_and_its_cost_has_an_end(twenty: tuple[Reference, Joint]) -> None:
    reference, joint = twenty
    rng = np.random.default_rng(12)
    rows = numeric(related(drawn(1_200, 20, rng), 0.5), reference, "w")
    told = joint.compared(rows)
    shuffled = [rows[i] for i in rng.permutation(len(rows))]
    base = numeric(drawn(2_000, 20, np.random.default_rng(1)), reference, "r")
    again = Joint.of(reference, [base[i] for i in rng.permutation(len(base))] + base[:50])
    assert again.compared(shuffled + rows[:100]) == told
    assert told.n == MOST_ROWS
    assert len(joint.rows.codes) <= MOST_REFERENCE_ROWS
