from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fascicle.errors import BadRequest
from fascicle.record import Beat, Record, Rhythm, Signal, Wave
from fascicle.signal.resample import resample, resample_record

RATES = [
    (100.0, 250.0), (128.0, 250.0), (250.0, 500.0), (257.0, 250.0), (300.0, 250.0),
    (360.0, 250.0), (500.0, 100.0), (500.0, 250.0), (1000.0, 250.0), (249.97, 250.0),
    (999.56, 250.0),
]  # fmt: skip


def pulse(rate_hz: float, at_s: float, duration_s: float = 10.0) -> Signal:
    time_s = np.arange(int(duration_s * rate_hz)) / rate_hz
    return np.exp(-(((time_s - at_s) / 0.03) ** 2)).astype(np.float32)[None]


@pytest.mark.parametrize(("rate_hz", "new_rate_hz"), RATES)
@pytest.mark.parametrize("at_s", [0.31, 5.0137, 9.6])
def test_a_peak_keeps_its_time_and_shape(rate_hz: float, new_rate_hz: float, at_s: float) -> None:
    result = resample(pulse(rate_hz, at_s), rate_hz, new_rate_hz)
    expected = pulse(new_rate_hz, at_s, result.shape[1] / new_rate_hz + 1e-9)
    np.testing.assert_allclose(result, expected, atol=0.003)
    assert abs(result.argmax() / new_rate_hz - at_s) <= 0.5 / new_rate_hz + 1e-9


@given(
    st.integers(1, 300), st.floats(60, 1000), st.floats(60, 1000), st.floats(-1e4, 1e4, width=32)
)
@settings(max_examples=60)
def test_length_is_right_and_a_constant_stays(
    samples: int, rate_hz: float, new_rate_hz: float, level: float
) -> None:
    result = resample(np.full((2, samples), level, dtype=np.float32), rate_hz, new_rate_hz)
    exact = samples * new_rate_hz / rate_hz
    assert math.ceil(exact - 1e-3) <= result.shape[1] <= math.ceil(exact + 1e-3)
    np.testing.assert_allclose(result, level, rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize(("rate_hz", "new_rate_hz"), RATES)
def test_the_edges_of_a_line_do_not_ring(rate_hz: float, new_rate_hz: float) -> None:
    line = (1 + 3 * np.arange(1000) / rate_hz).astype(np.float32)[None]
    result = resample(line, rate_hz, new_rate_hz)
    np.testing.assert_allclose(
        result[0], 1 + 3 * np.arange(result.shape[1]) / new_rate_hz, atol=1e-3
    )


def test_what_the_new_rate_cannot_hold_is_removed() -> None:
    time_s = np.arange(5000) / 500
    fast = np.sin(2 * np.pi * 200 * time_s).astype(np.float32)[None]
    assert np.abs(resample(fast, 500.0, 250.0)[:, 50:-50]).max() < 0.01
    slow = np.sin(2 * np.pi * 60 * time_s).astype(np.float32)[None]
    np.testing.assert_allclose(
        resample(slow, 500.0, 250.0)[:, 50:-50], slow[:, ::2][:, 50:-50], atol=0.005
    )


def test_the_phase_is_linear() -> None:
    signal = np.random.default_rng(0).normal(size=(1, 1001)).astype(np.float32)
    there = resample(signal, 500.0, 250.0)
    np.testing.assert_allclose(resample(signal[:, ::-1], 500.0, 250.0)[:, ::-1], there, atol=1e-5)


def test_there_and_back_is_the_same() -> None:
    signal = pulse(250.0, 4.0)
    back = resample(resample(signal, 250.0, 360.0), 360.0, 250.0)
    np.testing.assert_allclose(back[:, :2500], signal, atol=0.003)


def test_the_same_rate_changes_nothing() -> None:
    signal = pulse(250.0, 4.0)
    signal[0, 3] = np.nan
    np.testing.assert_array_equal(resample(signal, 250.0, 250.0), signal)


def test_gaps_stay_gaps() -> None:
    signal = np.ones((2, 1000), dtype=np.float32)
    signal[0, 400:600] = np.nan
    result = resample(signal, 500.0, 250.0)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(result[0])), np.arange(200, 300))
    assert np.isfinite(result[1]).all()


@pytest.mark.parametrize(
    ("rate_hz", "new_rate_hz"),
    [(0.0, 250.0), (250.0, -1.0), (float("nan"), 250.0), (0.001, 250.0), (1e9, 250.0)],
)
def test_an_impossible_rate_is_refused(rate_hz: float, new_rate_hz: float) -> None:
    with pytest.raises(BadRequest, match=r"rate|resample"):
        resample(np.ones((1, 10), dtype=np.float32), rate_hz, new_rate_hz)


def test_annotations_keep_their_times() -> None:
    record = Record(
        "a", pulse(360.0, 2.0), 360.0, ("II",),
        waves=(Wave("II", "QRS", 1.9, 2.0, 2.1),), beats=(Beat(2.0, "N"),),
        rhythms=(Rhythm(0.0, 10.0, "N"),), age=40.0,
    )  # fmt: skip
    moved = resample_record(record, 250.0)
    assert (moved.rate_hz, moved.samples) == (250.0, 2500)
    assert moved.signal[0].argmax() / moved.rate_hz == record.beats[0].time_s
    assert (moved.waves, moved.beats, moved.rhythms) == (record.waves, record.beats, record.rhythms)
    assert moved.age == 40.0
    assert record.rate_hz == 360.0
