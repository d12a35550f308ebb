import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from fascicle.metrics.calibration import brier, calibration_error


def test_brier_equals_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    labels, probabilities = rng.random((50, 3)) < 0.4, rng.random((50, 3))
    values = brier(labels, probabilities)
    for k in range(3):
        assert values[k] == pytest.approx(brier_score_loss(labels[:, k], probabilities[:, k]))


def test_sure_and_right_is_zero_and_sure_and_wrong_is_one() -> None:
    labels = np.array([[1], [0], [1]])
    for measure in (brier, calibration_error):
        assert measure(labels, labels.astype(float))[0] == 0
        assert measure(labels, 1.0 - labels)[0] == 1


def test_calibration_error_by_hand() -> None:
    labels = np.array([1, 0, 1, 1])[:, np.newaxis]
    probabilities = np.array([0.1, 0.3, 0.6, 1.0])[:, np.newaxis]
    # two bins: |0.4 - 1| in the lower, |1.6 - 2| in the upper, over four records
    assert calibration_error(labels, probabilities, bins=2)[0] == pytest.approx((0.6 + 0.4) / 4)


def test_an_edge_belongs_to_the_upper_bin() -> None:
    labels = np.array([0, 1])[:, np.newaxis]
    probabilities = np.array([0.4, 0.5])[:, np.newaxis]
    assert calibration_error(labels, probabilities, bins=2)[0] == pytest.approx((0.4 + 0.5) / 2)


def test_the_base_rate_is_calibrated_but_not_sharp() -> None:
    labels = np.array([1, 0, 0, 0])[:, np.newaxis]
    even = np.full((4, 1), 0.25)
    assert calibration_error(labels, even)[0] == pytest.approx(0)
    assert brier(labels, even)[0] == pytest.approx(0.25 * 0.75)


def test_probabilities_true_to_themselves_have_a_small_error() -> None:
    rng = np.random.default_rng(4)
    probabilities = rng.random((20_000, 1))
    labels = rng.random((20_000, 1)) < probabilities
    assert calibration_error(labels, probabilities)[0] < 0.02
    assert calibration_error(labels, np.sqrt(probabilities))[0] > 0.1


def test_unknown_records_count_nowhere() -> None:
    labels = np.array([[1, 1], [0, 0], [1, 1]])
    probabilities = np.array([[0.9, 0.9], [0.2, 0.2], [0.0, 0.0]])
    known = np.array([[1, 0], [1, 0], [0, 0]])
    for measure in (brier, calibration_error):
        values = measure(labels, probabilities, known)
        assert values[0] == pytest.approx(measure(labels[:2], probabilities[:2])[0])
        assert np.isnan(values[1])


@given(st.integers(0, 2**32 - 1), st.integers(1, 20))
@settings(max_examples=25)
def test_bounds_and_permutations(seed: int, bins: int) -> None:
    rng = np.random.default_rng(seed)
    labels, probabilities = rng.random((30, 2)) < 0.5, rng.random((30, 2))
    order = rng.permutation(30)
    error = calibration_error(labels, probabilities, bins=bins)
    gap = np.abs(probabilities.mean(axis=0) - labels.mean(axis=0))
    assert (error >= gap - 1e-12).all()
    assert (error <= 1).all()
    shuffled = calibration_error(labels[order], probabilities[order], bins=bins)
    np.testing.assert_allclose(shuffled, error, atol=1e-12)


def test_refusals() -> None:
    labels, fine = np.array([[1], [0]]), np.array([[0.5], [0.5]])
    with pytest.raises(ValueError, match=r"probabilities must be in 0\.\.1, found -0.5"):
        brier(labels, fine - np.array([[1.0], [0.0]]))
    with pytest.raises(ValueError, match=r"found 0.5 to 1.5"):
        calibration_error(labels, fine + np.array([[1.0], [0.0]]))
    with pytest.raises(ValueError, match="probabilities must not be NaN"):
        brier(labels, fine * np.nan)
    with pytest.raises(ValueError, match="shape of the labels"):
        brier(labels, fine[:1])
    with pytest.raises(ValueError, match="bins must be at least 1"):
        calibration_error(labels, fine, bins=0)
