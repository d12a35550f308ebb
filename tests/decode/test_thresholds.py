from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from fascicle.decode.thresholds import (
    Metric,
    decide,
    fit_global_threshold,
    fit_thresholds,
    search_threshold,
    search_thresholds,
)


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)[:, None]


def truth(*values: int) -> np.ndarray:
    return np.array(values, dtype=bool)[:, None]


def score(label: np.ndarray, decided: np.ndarray, weight: np.ndarray, metric: Metric) -> float:
    hit = weight[label & decided].sum()
    alarm = weight[~label & decided].sum()
    if metric == "f1":
        return float(2 * hit / (hit + alarm + weight[label].sum()))
    return float(hit / weight[label].sum() - alarm / weight[~label].sum())


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.sampled_from(["f1", "youden"]))
def test_no_threshold_does_better(seed: int, records: int, metric: Metric) -> None:
    generator = np.random.default_rng(seed)
    label = generator.random(records) < 0.4
    label[:2] = [True, False]
    scores = generator.integers(0, 8, records) / 7  # many ties, and exact 0 and 1
    weight = generator.integers(1, 4, records).astype(np.float64)
    (found,) = fit_thresholds(label[:, None], scores[:, None], None, metric, weight)
    reached = score(label, scores >= found, weight, metric)
    for cut in np.linspace(-0.1, 1.1, 121):
        assert score(label, scores >= cut, weight, metric) <= reached + 1e-12


def test_the_threshold_lies_midway_between_scores() -> None:
    assert fit_thresholds(truth(1, 1, 0, 0), column(0.9, 0.7, 0.3, 0.1)) == pytest.approx([0.5])
    assert fit_thresholds(truth(0, 0, 1), column(0.2, 0.3, 0.3)) == pytest.approx([0.25])


def test_all_present_may_be_best() -> None:
    (found,) = fit_thresholds(truth(1, 0, 1), column(0.4, 0.5, 0.2))
    assert 0 < found < 0.2


def test_neighbouring_floats_are_told_apart() -> None:
    low = 0.3
    high = np.nextafter(low, 1)
    found = fit_thresholds(truth(1, 0), column(high, low))
    assert decide(column(high, low), found).ravel().tolist() == [True, False]


def test_weights_move_the_threshold() -> None:
    label, scores = truth(1, 0, 1, 0, 0), column(0.9, 0.7, 0.5, 0.3, 0.1)
    assert fit_thresholds(label, scores) == pytest.approx([0.4])
    heavy = np.array([1.0, 9.0, 1.0, 1.0, 1.0])
    assert fit_thresholds(label, scores, weights=heavy) == pytest.approx([0.8])


def test_unknown_labels_do_not_count() -> None:
    label, scores = truth(1, 0, 1, 1), column(0.9, 0.7, 0.5, np.nan)
    known = truth(1, 0, 1, 0)
    assert fit_thresholds(label, scores, known) == pytest.approx([0.5])  # no negative is left
    known = truth(1, 1, 0, 0)
    assert fit_thresholds(label, scores, known) == pytest.approx([0.8])


@pytest.mark.parametrize("label", [(0, 0, 0), (1, 1, 1)])
def test_a_class_of_one_kind_gets_one_half(label: tuple[int, ...]) -> None:
    assert fit_thresholds(truth(*label), column(0.9, 0.7, 0.1)) == [0.5]


def test_no_record_gets_one_half() -> None:
    assert fit_thresholds(np.zeros((0, 2), bool), np.zeros((0, 2))).tolist() == [0.5, 0.5]


def test_classes_are_independent_and_equal_to_sklearn() -> None:
    generator = np.random.default_rng(5)
    label = generator.random((60, 3)) < [0.1, 0.3, 0.6]
    scores = np.clip(generator.normal(0.35 + 0.2 * label, 0.2), 0, 1).astype(np.float32)
    found = fit_thresholds(label, scores)
    decided = decide(scores, found)
    for index in range(3):
        best = max(
            f1_score(label[:, index], scores[:, index] >= cut)
            for cut in np.unique(scores[:, index])
        )
        assert f1_score(label[:, index], decided[:, index]) == pytest.approx(best)


def test_deciding_includes_the_threshold() -> None:
    assert decide(np.array([[0.5, 0.49]]), np.array([0.5, 0.5])).tolist() == [[True, False]]


@pytest.mark.parametrize(
    "changed",
    [
        {"labels": np.zeros((3, 2), bool)},
        {"known": np.ones((2, 1), bool)},
        {"probabilities": column(np.nan, 0.1, 0.2)},
        {"weights": np.array([-1.0, 1.0, 1.0])},
        {"weights": np.ones(2)},
        {"metric": "accuracy"},
        {"labels": np.zeros(3, bool), "probabilities": np.zeros(3), "known": np.ones(3, bool)},
    ],
)
def test_impossible_arguments_are_refused(changed: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"labels": truth(1, 0, 1), "probabilities": column(0.3, 0.1, 0.2)}
    with pytest.raises(ValueError):
        fit_thresholds(**(arguments | changed))


@pytest.mark.parametrize("function", [fit_thresholds, fit_global_threshold])
@pytest.mark.parametrize("weight", [np.nan, np.inf, -1.0])
def test_a_weight_that_is_none_is_refused(function: Any, weight: float) -> None:
    weights = np.array([1.0, weight, 1.0])
    with pytest.raises(ValueError, match="weights"):
        function(truth(1, 0, 1), column(0.3, 0.1, 0.2), weights=weights)


def hospital(seed: int, records: int = 25, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and scores, with ties within and between classes."""
    generator = np.random.default_rng(seed)
    labels = generator.random((records, classes)) < 0.4
    labels[:2] = np.array([[True], [False]])
    scores = np.clip(labels * 0.2 + generator.random((records, classes)), 0, 1).round(2)
    return labels, scores


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["f1", "youden"]))
def test_no_global_threshold_does_better(seed: int, metric: Metric) -> None:
    labels, scores = hospital(seed)
    weight = np.random.default_rng(seed).integers(1, 5, len(labels)).astype(np.float64)

    def mean(cut: float) -> float:
        parts = zip(labels.T, scores.T, strict=True)
        return float(np.mean([score(y, s >= cut, weight, metric) for y, s in parts]))

    reached = mean(fit_global_threshold(labels, scores, None, metric, weight))
    for cut in np.linspace(-0.005, 1.005, 102):
        assert mean(cut) <= reached + 1e-9


def test_a_global_threshold_lies_midway_between_scores_of_all_classes() -> None:
    labels = np.array([[1, 0], [0, 1]], dtype=bool)
    scores = np.array([[0.9, 0.2], [0.3, 0.6]])
    assert fit_global_threshold(labels, scores) == pytest.approx(0.45)


def test_a_global_threshold_leaves_classes_without_examples_out() -> None:
    labels, scores = hospital(1)
    alone = fit_global_threshold(labels, scores)
    more = np.column_stack([labels, np.zeros(len(labels), bool)])
    assert fit_global_threshold(more, np.column_stack([scores, scores[:, 0]])) == alone
    assert fit_global_threshold(np.zeros((3, 2), bool), np.zeros((3, 2))) == 0.5


def test_a_weight_is_a_repetition() -> None:
    labels, scores = hospital(2)
    times = np.random.default_rng(2).integers(0, 4, len(labels))
    again = np.repeat(labels, times, axis=0), np.repeat(scores, times, axis=0)
    heavy = times.astype(np.float64)
    found = fit_global_threshold(labels, scores, weights=heavy)
    assert np.array_equal(scores >= found, scores >= fit_global_threshold(*again))


def test_an_unknown_label_does_not_move_a_global_threshold() -> None:
    labels, scores = hospital(3)
    known = np.ones_like(labels)
    known[5:9, 1] = False
    changed = scores.copy()
    changed[5:9, 1] = np.nan
    found = fit_global_threshold(labels, changed, known)
    assert found == fit_global_threshold(labels ^ ~known, changed, known)
    with pytest.raises(ValueError, match="finite"):
        fit_global_threshold(labels, changed)


@pytest.mark.parametrize("seed", range(5))
def test_searching_any_score_finds_what_the_closed_form_finds(seed: int) -> None:
    labels, scores = hospital(seed)

    def macro(outputs: np.ndarray) -> float:
        return float(f1_score(labels, outputs, average="macro", zero_division=0.0))

    assert search_threshold(scores, macro) == fit_global_threshold(labels, scores)
    found = search_thresholds(scores, macro, start=0.5)
    assert np.array_equal(scores >= found, decide(scores, fit_thresholds(labels, scores)))


def test_a_search_may_let_nothing_in() -> None:
    scores = column(0.2, 0.8)
    assert search_threshold(scores, lambda outputs: -float(outputs.sum())) == pytest.approx(0.9)
    found = search_threshold(column(0.2, 1.0), lambda outputs: -float(outputs.sum()))
    assert 1 < found < 1.001


def test_a_search_goes_around_what_is_undefined() -> None:
    scores = column(0.2, 0.4, 0.8)

    def precision(outputs: np.ndarray) -> float:
        return outputs[1, 0] / outputs.sum() if outputs.sum() > 1 else float("nan")

    assert search_threshold(scores, precision) == pytest.approx(0.3)
    assert search_thresholds(scores, precision, start=0.9) == pytest.approx([0.3])
    assert search_threshold(scores, lambda outputs: float("nan")) == 0.5
    assert search_threshold(np.zeros((0, 1)), lambda outputs: 1.0) == 0.5


def test_a_search_keeps_a_start_that_is_best() -> None:
    _, scores = hospital(4)
    found = search_thresholds(scores, lambda outputs: 1.0, start=np.array([0.1, 0.2, 0.3]))
    assert found.tolist() == [0.1, 0.2, 0.3]
    with pytest.raises(ValueError, match="finite"):
        search_thresholds(np.full((2, 1), np.nan), lambda outputs: 1.0, start=0.5)


def test_neighbouring_short_floats_are_told_apart_by_one_number() -> None:
    low = np.float32(0.3)
    scores = np.array([[low], [np.nextafter(low, np.float32(1))]])
    for found in (
        fit_global_threshold(truth(0, 1), scores),
        search_threshold(scores, lambda outputs: float(outputs[1, 0]) - float(outputs[0, 0])),
    ):
        assert decide(scores, found).ravel().tolist() == [False, True]
