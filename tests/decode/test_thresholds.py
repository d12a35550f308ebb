from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from fascicle.decode.thresholds import Metric, decide, fit_thresholds


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


@settings(deadline=None, max_examples=50)
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
