"""Equality with the organisers' program; the golden file and its script are in golden/."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fascicle.metrics.challenge import challenge_score, challenge_scores

GOLDEN = Path(__file__).with_name("golden") / "official_cases.npz"
CASES = (
    "random",
    "ties",
    "emptyclass",
    "no_labels",
    "no_outputs",
    "nothing",
    "everything",
    "all_labels",
    "only_sinus",
    "sinus_or_nothing",
    "whole_classes",
    "constant_scores",
    "huge_scores",
    "infinite_scores",
    "one_record",
)
WEIGHTS = np.array([[1.0, 0.5, 0.3], [0.5, 1.0, 0.2], [0.3, 0.2, 1.0]])


@pytest.fixture(scope="module")
def golden() -> dict[str, NDArray[Any]]:
    with np.load(GOLDEN) as file:
        return dict(file)


def test_every_golden_case_is_tried(golden: dict[str, NDArray[Any]]) -> None:
    assert {key.split("/")[0] for key in golden if "/" in key} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_equals_the_official_program(name: str, golden: dict[str, NDArray[Any]]) -> None:
    ours = challenge_scores(
        golden[f"{name}/labels"],
        golden[f"{name}/outputs"],
        golden[f"{name}/scores"],
        golden["weights"],
        int(golden["normal_index"]),
    )
    for value, key in (
        (ours.auroc, "auroc"),
        (ours.auprc, "auprc"),
        (ours.accuracy, "accuracy"),
        (ours.f_measure, "f_measure"),
        (ours.challenge_metric, "challenge"),
        (ours.auroc_classes, "auroc_classes"),
        (ours.auprc_classes, "auprc_classes"),
        (ours.f_measure_classes, "f_classes"),
    ):
        np.testing.assert_allclose(value, golden[f"{name}/{key}"], rtol=0, atol=1e-9, err_msg=key)


def test_metric_by_hand() -> None:
    labels = np.array([[1, 1, 0], [0, 0, 1]])
    outputs = np.array([[1, 0, 1], [0, 0, 1]])
    observed = (1 + 0.3 + 0.5 + 0.2) / 3 + 1
    correct = (1 + 0.5 + 0.5 + 1) / 2 + 1
    inactive = (1 + 0.5) / 2 + 0.3 / 2
    expected = (observed - inactive) / (correct - inactive)
    assert challenge_score(labels, outputs, WEIGHTS, 0) == pytest.approx(expected)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_right_is_one_inactive_is_zero_and_order_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, outputs = rng.random((20, 3)) < 0.5, rng.random((20, 3)) < 0.5
    labels[0] = [False, True, False]
    inactive = np.tile([True, False, False], (20, 1))
    order = rng.permutation(20)
    assert challenge_score(labels, labels, WEIGHTS, 0) == pytest.approx(1)
    assert challenge_score(labels, inactive, WEIGHTS, 0) == pytest.approx(0)
    assert challenge_score(labels[order], outputs[order], WEIGHTS, 0) == pytest.approx(
        challenge_score(labels, outputs, WEIGHTS, 0)
    )


def test_rows_of_the_weights_are_labels() -> None:
    oneway = np.eye(3)
    oneway[1, 2] = 0.5
    labels, outputs = np.array([[0, 1, 0]]), np.array([[0, 0, 1]])
    assert challenge_score(labels, outputs, oneway, 0) == pytest.approx(0.25)
    assert challenge_score(outputs, labels, oneway, 0) == pytest.approx(0)


def test_refusals() -> None:
    flags, scores = np.array([[1, 0, 0], [0, 1, 0]]), np.full((2, 3), 0.5)
    with pytest.raises(ValueError, match="outputs must have the labels' shape"):
        challenge_score(flags, flags[:1], WEIGHTS, 0)
    with pytest.raises(ValueError, match=r"weights must be finite, \(3, 3\)"):
        challenge_score(flags, flags, WEIGHTS[:2], 0)
    with pytest.raises(ValueError, match="weights must be finite"):
        challenge_score(flags, flags, WEIGHTS * np.nan, 0)
    with pytest.raises(ValueError, match=r"normal_index must be in 0\.\.2"):
        challenge_score(flags, flags, WEIGHTS, 3)
    with pytest.raises(ValueError, match="labels must be boolean"):
        challenge_score(flags * 0.5, flags, WEIGHTS, 0)
    with pytest.raises(ValueError, match="empty"):
        challenge_score(flags[:0], flags[:0], WEIGHTS, 0)
    with pytest.raises(ValueError, match="scores must not be NaN: record 0, class 0"):
        challenge_scores(flags, flags, scores * np.nan, WEIGHTS, 0)
    with pytest.raises(ValueError, match="scores must have the shape"):
        challenge_scores(flags, flags, scores[:, :2], WEIGHTS, 0)
