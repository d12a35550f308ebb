import numpy as np
import pytest

from fascicle.metrics.counts import f1_score, predictivity, ratio, sensitivity


def test_ratios_of_known_counts() -> None:
    assert sensitivity(8, 2) == pytest.approx(0.8)
    assert predictivity(8, 8, 2) == pytest.approx(0.5)
    assert f1_score(8, 8, 2) == pytest.approx(16 / 26)


def test_no_case_is_nan_and_silence_is_zero() -> None:
    assert np.isnan(sensitivity(0, 0))
    assert np.isnan(predictivity(0, 0, 0))
    assert np.isnan(f1_score(0, 0, 0))
    assert predictivity(0, 0, 3) == 0
    assert f1_score(0, 0, 3) == 0


def test_a_false_alarm_without_cases_is_zero_not_nan() -> None:
    assert predictivity(0, 4, 0) == 0
    assert np.isnan(sensitivity(0, 0))


def test_ratio_broadcasts_and_keeps_shape() -> None:
    values = ratio(np.array([1, 2, 3]), np.array([[2], [0]]))
    np.testing.assert_array_equal(values[0], [0.5, 1, 1.5])
    assert np.isnan(values[1]).all()
