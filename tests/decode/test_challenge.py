from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fascicle.decode.challenge import (
    fit_challenge_threshold,
    fit_challenge_thresholds,
    record_weights,
)
from fascicle.decode.thresholds import decide, search_threshold, search_thresholds
from fascicle.labels import challenge_classes, challenge_weights
from fascicle.metrics.challenge import challenge_score

SINUS = 0


def hospital(seed: int, records: int = 30, classes: int = 4) -> tuple[np.ndarray, ...]:
    """Return labels, scores with ties within and between classes, and rewards."""
    generator = np.random.default_rng(seed)
    labels = generator.random((records, classes)) < 0.35
    labels[0] = np.arange(classes) == classes - 1
    scores = np.clip(labels * 0.2 + generator.random((records, classes)), 0, 1).round(2)
    reward = generator.random((classes, classes)).round(1)
    reward = (reward + reward.T) / 2
    np.fill_diagonal(reward, 1.0)
    return labels, scores, reward


def grid(scores: np.ndarray) -> np.ndarray:
    """Return one threshold for each way to cut these scores."""
    levels = np.unique(scores)
    return np.append(levels, levels[-1] + 1)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_no_global_threshold_scores_higher(seed: int) -> None:
    labels, scores, reward = hospital(seed)
    found = fit_challenge_threshold(labels, scores, reward, SINUS)
    reached = challenge_score(labels, scores >= found, reward, SINUS)
    for cut in grid(scores):
        assert challenge_score(labels, scores >= cut, reward, SINUS) <= reached + 1e-9


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_no_threshold_of_one_class_scores_higher(seed: int) -> None:
    labels, scores, reward = hospital(seed)
    found = fit_challenge_thresholds(labels, scores, reward, SINUS)
    reached = challenge_score(labels, decide(scores, found), reward, SINUS)
    for index in range(labels.shape[1]):
        for cut in grid(scores[:, index]):
            other = found.copy()
            other[index] = cut
            value = challenge_score(labels, decide(scores, other), reward, SINUS)
            assert value <= reached + 1e-9
    everywhere = fit_challenge_threshold(labels, scores, reward, SINUS)
    assert reached >= challenge_score(labels, scores >= everywhere, reward, SINUS) - 1e-12


@pytest.mark.parametrize("seed", range(6))
def test_it_finds_what_calls_of_the_official_score_find(seed: int) -> None:
    labels, scores, reward = hospital(seed)

    def official(outputs: np.ndarray) -> float:
        return challenge_score(labels, outputs, reward, SINUS)

    assert fit_challenge_threshold(labels, scores, reward, SINUS) == search_threshold(
        scores, official
    )
    found = fit_challenge_thresholds(labels, scores, reward, SINUS, start=0.5)
    assert found == pytest.approx(search_thresholds(scores, official, start=0.5), abs=0)


def test_the_best_of_all_thresholds_is_reached_from_some_start() -> None:
    labels, scores, reward = hospital(3, records=8, classes=3)
    best = max(
        challenge_score(labels, decide(scores, np.array(cuts)), reward, SINUS)
        for cuts in product(*(grid(column) for column in scores.T))
    )
    reached = [
        challenge_score(labels, decide(scores, found), reward, SINUS)
        for start in grid(scores)
        for found in [fit_challenge_thresholds(labels, scores, reward, SINUS, start=float(start))]
    ]
    assert max(reached) == pytest.approx(best)


def test_the_official_classes_and_rewards_gain_by_thresholds_per_class() -> None:
    generator = np.random.default_rng(5)
    reward = challenge_weights()
    sinus = [term.code for term in challenge_classes().terms].index("426783006")
    labels = generator.random((300, 26)) < 0.1
    noise = generator.normal(np.linspace(-2, 2, 26), 1, (300, 26))
    scores = (1 / (1 + np.exp(-noise - 3 * labels))).astype(np.float32)
    everywhere = fit_challenge_threshold(labels, scores, reward, sinus)
    each = fit_challenge_thresholds(labels, scores, reward, sinus)
    values = [
        challenge_score(labels, scores >= cut, reward, sinus) for cut in (0.5, everywhere, each)
    ]
    assert values[0] < values[1] < values[2] - 0.05


def test_a_weight_is_a_repetition() -> None:
    labels, scores, reward = hospital(6)
    times = np.random.default_rng(6).integers(0, 5, len(labels))
    again = np.repeat(labels, times, axis=0), np.repeat(scores, times, axis=0)
    heavy = times.astype(np.float64)
    for function in (fit_challenge_threshold, fit_challenge_thresholds):
        found = function(labels, scores, reward, SINUS, heavy)
        assert decide(scores[times > 0], found).tolist() == (
            decide(scores[times > 0], function(*again, reward, SINUS)).tolist()
        )
    light = fit_challenge_thresholds(labels, scores, reward, SINUS)
    moved = fit_challenge_thresholds(labels, scores, reward, SINUS, heavy)
    assert light.tolist() != moved.tolist()


def test_georgia_counts_21_times_and_cpsc_7_times() -> None:
    keys = ["cinc2021/E00001", "cinc2021/A0001", "cinc2021/Q0001", "ptbxl/00001", "mitdb/100"]
    assert record_weights(keys).tolist() == [21, 7, 1, 1, 1]
    assert record_weights([]).tolist() == []


def test_a_class_that_only_costs_is_never_let_in() -> None:
    labels = np.array([[1, 0], [0, 1], [0, 1]], dtype=bool)
    scores = np.array([[0.2, 0.1], [0.9, 0.8], [0.8, 0.9]])
    reward = np.eye(2)
    found = fit_challenge_thresholds(labels, scores, reward, SINUS, start=0.5)
    assert decide(scores, found).tolist() == [[False, False], [False, True], [False, True]]
    assert found[0] == pytest.approx(0.95)


def test_where_all_labels_are_sinus_rhythm_nothing_is_fitted() -> None:
    labels, scores, reward = hospital(7)
    labels = np.zeros_like(labels)
    labels[:, SINUS] = True
    assert fit_challenge_threshold(labels, scores, reward, SINUS) == 0.5
    start = np.array([0.1, 0.2, 0.3, 0.4])
    kept = fit_challenge_thresholds(labels, scores, reward, SINUS, start=start)
    assert kept.tolist() == start.tolist()
    nobody = np.zeros((0, 4))
    assert fit_challenge_thresholds(nobody > 0, nobody, reward, SINUS).tolist() == [0.5] * 4


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": np.zeros((3, 4), bool)}, "one shape"),
        ({"labels": np.zeros((30, 4))}, "booleans"),
        ({"probabilities": np.full((30, 4), np.nan)}, "finite"),
        ({"reward": np.ones((3, 4))}, "reward"),
        ({"reward": np.full((4, 4), np.inf)}, "reward"),
        ({"normal_index": 4}, "normal_index"),
        ({"normal_index": -1}, "normal_index"),
        ({"weights": -np.ones(30)}, "weights"),
        ({"weights": np.ones(29)}, "weights"),
    ],
)
@pytest.mark.parametrize("function", [fit_challenge_threshold, fit_challenge_thresholds])
def test_impossible_arguments_are_refused(
    function: Any, changed: dict[str, Any], message: str
) -> None:
    labels, scores, reward = hospital(8)
    given = {"labels": labels, "probabilities": scores, "reward": reward, "normal_index": SINUS}
    with pytest.raises(ValueError, match=message):
        function(**(given | changed))
