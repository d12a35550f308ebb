"""A row is chosen on held-out patients, finds what is there, and promises no more than that."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from fascicle.errors import BadData, BadRequest
from fascicle.train.new_class import (
    FEWEST,
    Candidate,
    calibrate,
    candidates_of,
    check_enough,
    choose,
    cross_validate,
    deal,
    directions,
)

Embeddings = NDArray[np.float64]
Labels = NDArray[np.bool_]


def make_records(
    positives: int = 10, negatives: int = 120, apart: float = 3.0, width: int = 12, seed: int = 0
) -> tuple[Embeddings, Labels, list[str]]:
    """Return embeddings whose first feature tells the class, labels, and a patient per record."""
    rng = np.random.default_rng(seed)
    labels = np.arange(positives + negatives) < positives
    embeddings = rng.normal(size=(len(labels), width)) * np.linspace(0.5, 2, width) + 1
    embeddings[:, 0] += apart * labels
    return embeddings, labels, [f"p{number}" for number in range(len(labels))]


def test_prototypes_without_covariance_are_those_of_snell() -> None:
    embeddings, labels, _ = make_records()
    (weight,), (bias,) = directions(embeddings, labels, [Candidate("prototype", 1.0)])
    standard = (embeddings - embeddings.mean(0)) / embeddings.std(0)
    means = [standard[kind].mean(0) for kind in (~labels, labels)]
    far, near = (((standard - mean) ** 2).sum(1) for mean in means)
    found, wanted = embeddings @ weight + bias, far - near
    np.testing.assert_allclose(found / found.std(), wanted / wanted.std(), atol=1e-9)


def test_prototypes_without_shrinkage_divide_by_the_covariance() -> None:
    embeddings, labels, _ = make_records(positives=60)
    embeddings[:, 1] += 2 * embeddings[:, 0]  # two features that move together
    (weight,), (bias,) = directions(embeddings, labels, [Candidate("prototype", 0.0)])
    means = [embeddings[kind].mean(0) for kind in (~labels, labels)]
    within = embeddings - np.where(labels[:, None], means[1], means[0])
    wanted = np.linalg.solve(within.T @ within / len(within), means[1] - means[0])
    np.testing.assert_allclose(weight, wanted, rtol=1e-5, atol=1e-6)
    assert bias == pytest.approx(-wanted @ (means[0] + means[1]) / 2, rel=1e-5)


def test_a_strong_penalty_and_pure_prototypes_point_the_same_way() -> None:
    embeddings, labels, _ = make_records()
    rows = [Candidate("logistic", 1e7), Candidate("prototype", 1.0)]
    (one, two), _ = directions(embeddings, labels, rows)
    scale = embeddings.std(0)
    cosine = (
        (one * scale) @ (two * scale) / np.linalg.norm(one * scale) / np.linalg.norm(two * scale)
    )
    assert cosine > 0.999


def test_a_feature_that_never_moves_gets_no_weight() -> None:
    embeddings, labels, _ = make_records()
    embeddings[:, 3] = 7.0
    embeddings[:, 4] = 1e-9 * embeddings[:, 4]
    weights, biases = directions(embeddings, labels, candidates_of("auto"))
    assert np.isfinite(weights).all()
    assert np.isfinite(biases).all()
    assert np.abs(weights[:, 3:5]).max() < np.abs(weights[:, 0]).min()


def test_calibrated_scores_are_logits() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(-1, 2, size=20_000)
    labels = rng.random(len(logits)) < expit(logits)
    slope, offset = calibrate(3 * logits + 5, labels)
    assert slope == pytest.approx(1 / 3, rel=0.05)
    assert offset == pytest.approx(-5 / 3, rel=0.05)


def test_parted_scores_stay_finite_and_keep_doubt() -> None:
    labels = np.arange(100) < 5
    slope, offset = calibrate(np.where(labels, 2.0, -2.0), labels)
    assert expit(slope * 2 + offset) == pytest.approx(6 / 7, abs=0.01)
    assert expit(-slope * 2 + offset) == pytest.approx(1 / 97, abs=0.005)


@pytest.mark.parametrize("scores", [np.zeros(40), np.arange(40.0)])
def test_scores_that_mislead_are_worth_the_base_rate(scores: Embeddings) -> None:
    labels = np.arange(40) < 9
    slope, offset = calibrate(scores, labels)
    assert slope == 0
    assert offset == pytest.approx(np.log(10 / 32))


@pytest.mark.parametrize("positives", [3, 4, 5, 13])
def test_folds_part_patients_and_each_has_a_positive_one(positives: int) -> None:
    patients = [f"p{number // 2}" for number in range(100)]  # two records of each
    labels = np.arange(100) % 2 == 0
    labels[2 * positives :] = False
    folds = deal(labels, patients, np.random.default_rng(0))
    assert len(folds) == min(positives, 5)
    assert np.sum(folds, axis=0).tolist() == [1] * 100
    for fold in folds:
        inside = {who for who, test in zip(patients, fold, strict=True) if test}
        assert labels[fold].any()
        assert sum(fold) == 2 * len(inside)


def test_the_same_seed_deals_the_same() -> None:
    _, labels, patients = make_records()
    one, two, other = (deal(labels, patients, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, two)
    assert np.not_equal(one, other).any()


@pytest.mark.parametrize("method", ["logistic", "prototype", "auto"])
def test_a_class_is_found_from_five_records(method: str) -> None:
    embeddings, labels, patients = make_records(positives=5, apart=6.0)
    made = choose(embeddings, labels, patients, candidates_of(method), np.random.default_rng(0))
    tested, truth, _ = make_records(positives=50, negatives=500, apart=6.0, seed=1)
    found = expit(made.row.logits(tested)) >= made.threshold
    assert (found & truth).sum() / (found.sum() + truth.sum()) * 2 > 0.8
    assert method in (made.candidate.method, "auto")
    assert made.losses[made.candidate] == min(made.losses.values())


def test_auto_takes_prototypes_where_they_are_better() -> None:
    """Two features that move together hide the class; their covariance shows it."""
    rng = np.random.default_rng(0)
    labels = np.arange(300) < 6
    noise = rng.normal(size=(300, 1))
    embeddings = np.hstack([noise, noise]) * 3 + rng.normal(size=(300, 2)) * 0.1
    embeddings[:, 0] += 1.0 * labels
    made = choose(embeddings, labels, list(range(300)), candidates_of("auto"), rng)
    assert made.candidate.method == "prototype"
    assert made.candidate.strength < 1
    assert list(made.losses) == list(candidates_of("auto"))


def test_rows_hold_only_numbers_that_are_stored() -> None:
    embeddings, labels, patients = make_records()
    made = choose(
        embeddings, labels, patients, candidates_of("auto"), np.random.default_rng(0), np.float16
    )
    np.testing.assert_array_equal(made.row.weight, made.row.weight.astype(np.float16))
    assert made.row.bias == float(np.float16(made.row.bias))


def test_noise_promises_nothing() -> None:
    """What is chosen sees no record of the patients that judge it: on noise it must be chance."""
    embeddings, labels, patients = make_records(positives=15, negatives=60, apart=0.0, width=20)
    held_out = cross_validate(
        embeddings, labels, patients, candidates_of("auto"), np.random.default_rng(0), repeats=2
    )
    wins = [(column[labels][:, None] > column[~labels]).mean() for column in held_out.logits.T]
    assert 0.3 < np.mean(wins) < 0.65


def test_records_of_one_patient_do_not_judge_each_other() -> None:
    """Ten records of each patient are the same; only a leak between folds could tell the class."""
    rng = np.random.default_rng(3)
    patients = np.repeat(np.arange(40), 10)
    labels = patients < 8
    embeddings = rng.normal(size=(40, 50))[patients]
    held_out = cross_validate(
        embeddings, labels, patients.tolist(), candidates_of("prototype"), rng, repeats=1
    )
    column = held_out.logits[:, 0]
    assert (column[labels][:, None] > column[~labels]).mean() < 0.7


def test_progress_goes_through_all_folds_of_all_repeats() -> None:
    embeddings, labels, patients = make_records(positives=5)
    seen: list[int] = []

    def progress(folds):  # type: ignore[no-untyped-def]
        seen.append(len(folds))
        return folds

    held_out = cross_validate(
        embeddings,
        labels,
        patients,
        candidates_of("prototype"),
        np.random.default_rng(0),
        repeats=2,
        progress=progress,
    )
    assert seen == [10]
    assert held_out.logits.shape == held_out.decisions.shape == (125, 2)
    assert np.count_nonzero(held_out.logits) == 250


def test_enough_is_five_of_three() -> None:
    labels = np.arange(20) < FEWEST
    patients = [0, 0, 1, 1, 2, *range(3, 18)]
    check_enough(labels, patients)
    with pytest.raises(BadData, match="5 positive records of 3 patients expected, found 4 of"):
        check_enough(np.arange(20) < 4, patients)
    with pytest.raises(BadData, match=r"positive .* found 5 of 1"):
        check_enough(labels, [0] * 5 + list(range(3, 18)))
    with pytest.raises(BadData, match=r"negative .* found 0 of 0"):
        check_enough(np.ones(20, dtype=np.bool_), patients)
    with pytest.raises(BadData, match=r"negative .* found 15 of 2"):
        check_enough(labels, [0, 0, 1, 1, 2] + [7, 8, 7] * 5)
    with pytest.raises(BadData, match=r"negative .* found 15 of 0"):  # all of positive patients
        check_enough(labels, [0, 0, 1, 1, 2] + [0] * 15)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(BadRequest, match="'svm'; known: auto, logistic, prototype"):
        candidates_of("svm")
