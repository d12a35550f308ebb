import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from fascicle.metrics.classification import (
    auprc,
    auroc,
    classification_scores,
    count_scores,
    decision_counts,
    f1,
    macro,
    precision,
    recall,
    scorable,
    weighted_auprc,
    weighted_auroc,
)

SEEDS = st.integers(0, 2**32 - 1)
Case = tuple[NDArray[np.bool_], NDArray[np.float64]]


def column(*values: float) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)[:, np.newaxis]


def case(seed: int, levels: int, records: int = 40, classes: int = 5) -> Case:
    """Return labels and scores with many ties (few levels); every class has both labels."""
    rng = np.random.default_rng(seed)
    labels = rng.random((records, classes)) < 0.3
    labels[0], labels[1] = True, False
    return labels, rng.integers(0, levels, (records, classes)) / levels


@given(SEEDS, st.sampled_from([2, 5, 10_000]))
@settings(max_examples=30)
def test_ranking_equals_scikit_learn(seed: int, levels: int) -> None:
    labels, scores = case(seed, levels)
    for k in range(labels.shape[1]):
        y, s = labels[:, k], scores[:, k]
        assert auroc(labels, scores)[k] == pytest.approx(roc_auc_score(y, s), abs=1e-12)
        assert auprc(labels, scores)[k] == pytest.approx(average_precision_score(y, s), abs=1e-12)


@given(SEEDS)
@settings(max_examples=20)
def test_decisions_equal_scikit_learn(seed: int) -> None:
    labels, scores = case(seed, 10)
    found = scores > 0.6
    for ours, theirs in ((f1, f1_score), (precision, precision_score), (recall, recall_score)):
        expected = theirs(labels, found, average=None, zero_division=0)
        np.testing.assert_allclose(ours(labels, found), expected, atol=1e-12)


def test_ties_are_half_a_win() -> None:
    assert auroc(column(0, 1), column(0.5, 0.5))[0] == 0.5
    assert auprc(column(0, 1, 0, 0), column(0.5, 0.5, 0.5, 0.5))[0] == 0.25


@given(SEEDS)
@settings(max_examples=25)
def test_symmetries_of_auroc(seed: int) -> None:
    labels, scores = case(seed, 7)
    value = auroc(labels, scores)
    np.testing.assert_allclose(auroc(labels, -scores), 1 - value, atol=1e-12)
    np.testing.assert_allclose(auroc(~labels, scores), 1 - value, atol=1e-12)
    np.testing.assert_array_equal(auroc(labels, np.exp(scores) - 3), value)


@given(SEEDS)
@settings(max_examples=25)
def test_order_of_records_does_not_matter(seed: int) -> None:
    labels, scores = case(seed, 7)
    order = np.random.default_rng(seed).permutation(len(labels))
    for measure in (auroc, auprc):
        np.testing.assert_allclose(
            measure(labels[order], scores[order]), measure(labels, scores), atol=1e-12
        )


def test_perfect_is_one_and_reversed_is_zero() -> None:
    labels, _ = case(3, 2)
    exact = labels.astype(np.float64)
    for measure in (auroc, auprc):
        assert (measure(labels, exact) == 1).all()
    for decided in (f1, precision, recall):
        assert (decided(labels, labels) == 1).all()
    assert (auroc(labels, -exact) == 0).all()


def test_infinite_scores_rank() -> None:
    assert auroc(column(0, 0, 1), column(-np.inf, 1, np.inf))[0] == 1


def test_a_class_without_both_labels_is_nan_and_told() -> None:
    labels = np.array([[1, 0, 1], [1, 0, 0]])
    scores = np.array([[0.2, 0.3, 0.9], [0.1, 0.8, 0.2]])
    assert scorable(labels).tolist() == [False, False, True]
    for measure in (auroc, auprc):
        values = measure(labels, scores)
        assert np.isnan(values).tolist() == [True, True, False]
        assert macro(values) == 1
    for decided in (f1, precision, recall):
        assert np.isnan(decided(labels, scores > 0.5)).tolist() == [True, True, False]


def test_macro_of_nothing_is_nan() -> None:
    assert np.isnan(macro(np.array([np.nan, np.nan])))
    np.testing.assert_array_equal(macro(np.array([[1.0, np.nan], [0.0, 1.0]])), [1.0, 0.5])


def test_unknown_records_count_nowhere() -> None:
    labels, scores = case(5, 9)
    known = np.random.default_rng(5).random(labels.shape) < 0.7
    known[:2] = True
    junk_labels, junk_scores = labels ^ ~known, np.where(known, scores, 99.0)
    for measure in (auroc, auprc):
        values = measure(labels, scores, known)
        np.testing.assert_array_equal(measure(junk_labels, junk_scores, known), values)
        for k in range(labels.shape[1]):
            rows = known[:, k]
            alone = measure(labels[rows, k : k + 1], scores[rows, k : k + 1])
            assert values[k] == pytest.approx(alone[0])
    np.testing.assert_array_equal(
        f1(labels, scores > 0.5, known), f1(junk_labels, junk_scores > 0.5, known)
    )


def test_a_class_nobody_knows_is_nan() -> None:
    labels, scores = case(6, 9)
    known = np.ones_like(labels)
    known[:, 2] = False
    assert np.isnan(auroc(labels, scores, known)).tolist() == [False, False, True, False, False]
    assert not scorable(labels, known)[2]


def test_silence_is_zero_not_nan() -> None:
    labels = column(1, 0)
    nothing = column(0, 0)
    assert (
        precision(labels, nothing)[0] == f1(labels, nothing)[0] == recall(labels, nothing)[0] == 0
    )


@given(SEEDS)
@settings(max_examples=20)
def test_weights_that_are_counts_equal_repeated_records(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, scores = case(seed, 6, classes=1)
    weights = rng.integers(0, 3, (len(labels), 4)).astype(np.float64)
    weights[:2] = 1
    for measure, plain in ((weighted_auroc, auroc), (weighted_auprc, auprc)):
        values = measure(labels[:, 0], scores[:, 0], weights)
        for draw in range(4):
            rows = np.repeat(np.arange(len(labels)), weights[:, draw].astype(int))
            assert values[draw] == pytest.approx(plain(labels[rows], scores[rows])[0], abs=1e-12)


def test_a_draw_without_positives_or_negatives_is_nan() -> None:
    labels, scores = np.array([True, False]), np.array([0.7, 0.2])
    weights = np.array([[1.0, 0.0, 2.0], [1.0, 3.0, 0.0]])
    for measure in (weighted_auroc, weighted_auprc):
        assert np.isnan(measure(labels, scores, weights)).tolist() == [False, True, True]


def test_decision_counts_add_up() -> None:
    labels, scores = case(8, 9)
    found = scores > 0.5
    counts = decision_counts(labels, found)
    assert (counts.sum(axis=1) == len(labels)).all()
    parts = decision_counts(labels[:7], found[:7]) + decision_counts(labels[7:], found[7:])
    np.testing.assert_array_equal(parts, counts)
    np.testing.assert_array_equal(count_scores(parts)["f1"], f1(labels, found))


def test_all_scores_by_name() -> None:
    labels, scores = case(9, 9, classes=3)
    labels[:, 1] = False
    found = scores > 0.5
    named = classification_scores(labels, scores, found, ["NORM", "MI", "STTC"])
    assert named["macro.classes"] == 2
    assert named["macro.auroc"] == pytest.approx((named["NORM.auroc"] + named["STTC.auroc"]) / 2)
    assert np.isnan(named["MI.f1"])
    assert named["STTC.recall"] == recall(labels, found)[2]
    assert len(named) == 1 + 5 * 4


def test_refusals() -> None:
    labels, scores = case(1, 5)
    bad = scores.copy()
    bad[3, 2] = np.nan
    with pytest.raises(ValueError, match="scores must not be NaN: record 3, class 2"):
        auroc(labels, bad)
    with pytest.raises(ValueError, match="scores must have the shape"):
        auprc(labels, scores[:, :2])
    with pytest.raises(ValueError, match="labels must be boolean or 0 and 1"):
        auroc(labels * 2, scores)
    with pytest.raises(ValueError, match=r"labels must have shape \(record, class\)"):
        auroc(labels[:, 0], scores[:, 0])
    with pytest.raises(ValueError, match="not empty"):
        auroc(labels[:0], scores[:0])
    with pytest.raises(ValueError, match="known must have the shape"):
        auroc(labels, scores, labels[:3])
    with pytest.raises(ValueError, match="decisions must be boolean"):
        f1(labels, scores)
    with pytest.raises(ValueError, match="decisions must have the shape"):
        f1(labels, labels[:, :1])
    with pytest.raises(ValueError, match="3 class names"):
        classification_scores(labels, scores, labels, ["a", "b", "c"])
    with pytest.raises(ValueError, match="all different"):
        classification_scores(labels, scores, labels, ["a", "b", "c", "d", "a"])
    with pytest.raises(ValueError, match="class, 4"):
        count_scores(np.zeros((2, 3)))
