from __future__ import annotations

import numpy as np
import pytest

from fascicle.record import Signal
from fascicle.signal.baseline import (
    amplify,
    lowess_baseline,
    remove_baseline,
    subtract_trimmed_mean,
    zscore,
)


def slow_lowess(row: Signal, rate_hz: float, span_s: float) -> list[float]:
    """Local lines by least squares, one point after the other (Cleveland 1979)."""
    samples = row.astype(np.float64)
    width = min(2 * int(span_s * rate_hz / 2) + 1, len(samples))
    values = []
    for point in range(len(samples)):
        first = min(max(point - width // 2, 0), len(samples) - width)
        nearest = np.arange(first, first + width)
        reach = max(point - first, first + width - 1 - point, 1)
        root = np.sqrt((1 - (np.abs(nearest - point) / reach) ** 3) ** 3)
        line = np.stack([np.ones(width), nearest - point], axis=1)
        fit, *_ = np.linalg.lstsq(line * root[:, None], samples[nearest] * root, rcond=None)
        values.append(float(fit[0]))
    return values


@pytest.mark.parametrize("samples", [1, 2, 3, 4, 5, 49, 100, 101, 102, 150, 401])
def test_lowess_equals_local_lines_point_by_point(samples: int) -> None:
    generator = np.random.default_rng(samples)
    signal = (generator.normal(size=(2, samples)) + np.linspace(3, 9, samples)).astype(np.float32)
    expected = [slow_lowess(row, 50.0, 2.0) for row in signal]
    np.testing.assert_allclose(lowess_baseline(signal, 50.0), expected, atol=5e-6)


def test_long_edges_are_fitted_in_blocks() -> None:
    signal = np.random.default_rng(0).normal(size=(1, 2600)).astype(np.float32)
    whole = lowess_baseline(signal, 1000.0, 2.2)
    points = [0, 511, 512, 1099, 1100, 2100]
    expected = np.array(slow_lowess(signal[0], 1000.0, 2.2))[points]
    np.testing.assert_allclose(whole[0, points], expected, atol=5e-6)


def test_a_straight_line_is_its_own_baseline() -> None:
    signal = np.linspace(-3, 5, 700, dtype=np.float32)[None]
    np.testing.assert_allclose(remove_baseline(signal, 100.0), 0, atol=1e-5)


def test_wander_goes_and_a_beat_stays() -> None:
    time_s = np.arange(5000) / 500
    beat = np.exp(-(((time_s - 5) / 0.02) ** 2))
    signal = (beat + 1.5 * np.sin(2 * np.pi * 0.1 * time_s)).astype(np.float32)[None]
    clean = remove_baseline(signal, 500.0)[0]
    assert abs(clean.max() - 1) < 0.1
    assert np.abs(clean[:2000]).max() < 0.1


def test_a_large_offset_costs_no_precision() -> None:
    signal = np.random.default_rng(0).normal(size=(1, 1000)).astype(np.float32)
    lifted = remove_baseline(signal + np.float32(300), 250.0)
    np.testing.assert_allclose(lifted, remove_baseline(signal, 250.0), atol=2e-4)


def test_the_trimmed_mean_ignores_peaks() -> None:
    signal = np.full((1, 100), 2.0, dtype=np.float32)
    signal[0, :9] = 50.0
    assert subtract_trimmed_mean(signal)[0, 50] == 0.0
    assert subtract_trimmed_mean(signal, 0.0)[0, 50] == pytest.approx(2 - signal.mean())


def test_a_weak_ecg_is_amplified_with_one_gain() -> None:
    signal = np.random.default_rng(0).normal(size=(3, 1000)).astype(np.float32) * 0.1
    signal[1] *= 3
    louder = amplify(signal)
    assert np.quantile(np.abs(louder), 0.98) == pytest.approx(1.0, rel=1e-5)
    np.testing.assert_allclose(louder / signal, (louder / signal)[0, 0], rtol=1e-5)


def test_a_strong_ecg_silence_and_noise_are_not_amplified() -> None:
    strong = np.random.default_rng(0).normal(size=(1, 1000)).astype(np.float32) * 2
    for signal in (strong, strong * 0, strong * np.float32(1e-4)):
        np.testing.assert_array_equal(amplify(signal), signal)


def test_absent_leads_do_not_change_the_gain() -> None:
    signal = np.random.default_rng(0).normal(size=(2, 1000)).astype(np.float32) * 0.1
    with_absent = np.concatenate([signal, np.zeros((10, 1000), dtype=np.float32)])
    np.testing.assert_array_equal(amplify(with_absent)[:2], amplify(signal))


def test_the_z_score_has_mean_0_and_deviation_1() -> None:
    signal = np.random.default_rng(0).normal(5, 3, size=(2, 1000)).astype(np.float32)
    signal[1] = 0.1
    score = zscore(signal)
    assert score[0].mean() == pytest.approx(0, abs=1e-5)
    assert score[0].std() == pytest.approx(1, abs=1e-5)
    assert not score[1].any()
