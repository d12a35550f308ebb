from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fascicle.errors import BadRequest
from fascicle.record import Signal
from fascicle.signal.baseline import amplify, remove_baseline, subtract_trimmed_mean, zscore
from fascicle.signal.filters import (
    bandpass,
    bridged,
    by_lead,
    extended,
    fill_gaps,
    highpass,
    lowpass,
    notch,
    remove_jumps,
)

RATE_HZ = 250.0
FILTERS: dict[str, Callable[[Signal], Signal]] = {
    "lowpass": lambda x: lowpass(x, RATE_HZ),
    "highpass": lambda x: highpass(x, RATE_HZ),
    "bandpass": lambda x: bandpass(x, RATE_HZ, 0.5, 40.0),
    "notch": lambda x: notch(x, RATE_HZ, 50.0),
    "remove_jumps": remove_jumps,
    "remove_baseline": lambda x: remove_baseline(x, RATE_HZ),
    "subtract_trimmed_mean": subtract_trimmed_mean,
    "amplify": amplify,
    "zscore": zscore,
}
LINEAR_PHASE = ("lowpass", "highpass", "bandpass", "notch", "remove_baseline")
EVERY = pytest.mark.parametrize("name", FILTERS)


def tone(frequency_hz: float, rate_hz: float = RATE_HZ, duration_s: float = 20.0) -> Signal:
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    return np.sin(2 * np.pi * frequency_hz * time_s).astype(np.float32)[None]


def gain(filtered: Signal, original: Signal) -> float:
    middle = slice(original.shape[1] // 4, 3 * original.shape[1] // 4)
    return float(filtered[:, middle].std() / original[:, middle].std())


def noise(samples: int, leads: int = 2, seed: int = 0) -> Signal:
    return np.random.default_rng(seed).normal(size=(leads, samples)).astype(np.float32)


@EVERY
@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.integers(1, 80)),
        elements=st.one_of(st.floats(-1e5, 1e5, width=32), st.just(float("nan"))),
    )
)
@settings(max_examples=25)
def test_every_filter_keeps_the_shape_and_is_finite(name: str, signal: Signal) -> None:
    before = signal.copy()
    result = FILTERS[name](signal)
    assert result.shape == signal.shape
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    np.testing.assert_array_equal(signal, before)


@EVERY
@pytest.mark.parametrize("level", [0.0, 0.3, -1000.0])
def test_a_constant_lead_stays_constant(name: str, level: float) -> None:
    result = FILTERS[name](np.full((1, 777), level, dtype=np.float32))
    assert np.ptp(result) <= 2e-5 * abs(level)


@EVERY
def test_a_lead_of_zeros_stays_zero_beside_others(name: str) -> None:
    signal = noise(900)
    signal[1] = 0.0
    assert not FILTERS[name](signal)[1].any()


@EVERY
def test_leads_are_filtered_alone(name: str) -> None:
    if name == "amplify":  # one gain for all leads
        return
    signal = noise(900, leads=3)
    np.testing.assert_allclose(FILTERS[name](signal)[1:2], FILTERS[name](signal[1:2]), atol=1e-6)


@pytest.mark.parametrize("name", LINEAR_PHASE)
def test_the_phase_is_zero(name: str) -> None:
    signal = noise(1500, leads=1)
    np.testing.assert_allclose(
        FILTERS[name](signal[:, ::-1])[:, ::-1], FILTERS[name](signal), atol=2e-5
    )


@pytest.mark.parametrize("name", LINEAR_PHASE)
def test_a_peak_keeps_its_time(name: str) -> None:
    time_s = np.arange(2500) / RATE_HZ
    signal = np.exp(-(((time_s - 5.0) / 0.02) ** 2)).astype(np.float32)[None]
    assert FILTERS[name](signal)[0].argmax() == 1250


def test_gaps_are_bridged_and_reported() -> None:
    signal = np.array([[np.nan, 1, np.nan, np.nan, 4, np.inf], [np.nan] * 6], dtype=np.float32)
    filled, missing = fill_gaps(signal)
    np.testing.assert_allclose(filled, [[1, 1, 2, 3, 4, 4], [0] * 6])
    np.testing.assert_array_equal(missing[0], [True, False, True, True, False, True])
    assert missing[1].all()


@pytest.mark.parametrize("shape", [(5,), (2, 0), (1, 2, 3)])
def test_a_signal_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadRequest, match="lead, sample"):
        fill_gaps(np.zeros(shape, dtype=np.float32))


@pytest.mark.parametrize("where", [slice(0, 1), slice(0, 3), slice(40, 41), slice(60, 67)])
def test_a_spike_is_removed_and_the_rest_untouched(where: slice) -> None:
    line = np.linspace(0, 1, 100, dtype=np.float32)[None]
    spiked = line.copy()
    spiked[0, where] += 30.0
    np.testing.assert_allclose(remove_jumps(spiked), line, atol=0.05)
    np.testing.assert_allclose(remove_jumps(spiked)[0, 68:], line[0, 68:], atol=1e-6)


def test_a_spike_at_the_end_is_removed() -> None:
    signal = np.zeros((1, 100), dtype=np.float32)
    signal[0, 97:] = -20.0
    assert not remove_jumps(signal).any()


def test_a_steep_qrs_and_a_lasting_step_stay() -> None:
    qrs = np.zeros((1, 100), dtype=np.float32)
    qrs[0, 50:55] = [1.5, 3.5, 5.0, 3.0, 1.0]
    np.testing.assert_array_equal(remove_jumps(qrs), qrs)
    step = np.repeat(np.array([[0, 10]], dtype=np.float32), 50, axis=1)
    assert remove_jumps(step)[0, 60] == 10.0


@pytest.mark.parametrize("rate_hz", [250.0, 360.0, 500.0, 1000.0])
def test_the_low_pass_keeps_its_two_edges(rate_hz: float) -> None:
    for frequency_hz, low, high in ((30, 0.99, 1.01), (50, 0.7, 1.0), (60, 0, 0.0101)):
        signal = tone(frequency_hz, rate_hz)
        assert low <= gain(lowpass(signal, rate_hz), signal) <= high


def test_the_low_pass_is_a_butterworth_forwards_and_backwards() -> None:
    signal = noise(4000)
    order, corner_hz = scipy.signal.buttord(50, 60, 1.5, 20, fs=RATE_HZ)
    sections = scipy.signal.butter(order, corner_hz, fs=RATE_HZ, output="sos")
    expected = scipy.signal.sosfiltfilt(sections, signal.astype(np.float64), padlen=1500)
    np.testing.assert_allclose(lowpass(signal, RATE_HZ), expected, atol=1e-5)


def test_the_notch_is_scipys_forwards_and_backwards() -> None:
    signal = noise(4000)
    top, bottom = scipy.signal.iirnotch(50, 30, fs=RATE_HZ)
    expected = scipy.signal.filtfilt(top, bottom, signal.astype(np.float64), padlen=2000)
    np.testing.assert_allclose(notch(signal, RATE_HZ, 50.0), expected, atol=1e-4)


@pytest.mark.parametrize("rate_hz", [100.0, 120.0])
def test_a_low_rate_needs_no_low_pass(rate_hz: float) -> None:
    signal = noise(500)
    np.testing.assert_array_equal(lowpass(signal, rate_hz), signal)
    np.testing.assert_array_equal(notch(signal, rate_hz, 60.0), signal)


def test_the_notch_takes_mains_and_leaves_its_neighbours() -> None:
    assert gain(notch(tone(50), RATE_HZ, 50.0), tone(50)) < 1e-3
    assert gain(notch(tone(40), RATE_HZ, 50.0), tone(40)) > 0.98


def test_the_band_pass_keeps_its_band() -> None:
    for frequency_hz, low, high in (
        (0.05, 0, 0.01),
        (0.5, 0.45, 0.55),
        (10, 0.98, 1),
        (110, 0, 0.05),
    ):
        signal = tone(frequency_hz, duration_s=60)
        assert low <= gain(bandpass(signal, RATE_HZ, 0.5, 40.0), signal) <= high
    signal = tone(10)
    np.testing.assert_array_equal(
        bandpass(signal, RATE_HZ, 0.5, 125.0), highpass(signal, RATE_HZ, 0.5)
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda x: lowpass(x, RATE_HZ, 60.0, 50.0),
        lambda x: highpass(x, RATE_HZ, 0.0),
        lambda x: highpass(x, RATE_HZ, 125.0),
        lambda x: bandpass(x, RATE_HZ, 40.0, 1.0),
        lambda x: notch(x, RATE_HZ, -50.0),
        lambda x: notch(x, RATE_HZ, 50.0, 0.0),
        lambda x: remove_baseline(x, RATE_HZ, 0.0),
        lambda x: subtract_trimmed_mean(x, 0.5),
        lambda x: amplify(x, 0.0),
        lambda x: amplify(x, 0.98, -1.0),
    ],
)
def test_an_impossible_filter_is_refused(call: Callable[[Signal], Signal]) -> None:
    with pytest.raises(BadRequest):
        call(noise(100))


def test_the_room_does_not_import_torch() -> None:
    code = (
        "import sys, scipy.signal, fascicle.signal.chain, fascicle.signal.electrodes, "
        "fascicle.signal.limbs, fascicle.signal.quality; "
        "assert 'torch' not in sys.modules; scipy.signal.butter(2, 0.1)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "clean",
    [
        lambda x: lowpass(x, 250.0),
        lambda x: highpass(x, 250.0),
        lambda x: bandpass(x, 250.0, 1.0, 40.0),
        lambda x: notch(x, 250.0, 50.0),
        lambda x: remove_baseline(x, 250.0),
    ],
)
def test_a_long_signal_in_stretches_is_filtered_as_one(
    clean: Callable[[Signal], Signal], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((2, 250 * 100 + 7))
    signal = (np.cumsum(noise, axis=1) / 10).astype(np.float32)
    whole = clean(signal)
    for room in ("filters", "baseline"):
        monkeypatch.setattr(f"fascicle.signal.{room}.LONG_S", 20.0)
        monkeypatch.setattr(f"fascicle.signal.{room}.STRETCH_S", 9.0)
    parts = clean(signal)
    assert not np.array_equal(parts, whole)  # it did go another way
    assert np.abs(parts - whole).max() < 1e-4 * np.abs(signal).max()


@pytest.mark.parametrize("spoil", [np.nan, np.inf, None])
def test_a_signal_is_copied_only_to_bridge_gaps(spoil: float | None) -> None:
    signal = np.random.default_rng(0).standard_normal((2, 50)).astype(np.float32)
    if spoil is not None:
        signal[1, 7:9] = spoil
    before = signal.copy()
    assert (bridged(signal) is signal) == (spoil is None)
    np.testing.assert_array_equal(bridged(signal), fill_gaps(signal)[0])
    np.testing.assert_array_equal(signal, before)
    with pytest.raises(BadRequest, match="samples"):
        bridged(signal[:, :0])


@pytest.mark.parametrize("start", [-30, -3, 0, 5, 70, 95])
@pytest.mark.parametrize("length", [1, 10, 40, 130])
def test_a_stretch_is_extended_as_the_whole_signal_is(start: int, length: int) -> None:
    row = np.random.default_rng(0).standard_normal(100).astype(np.float32)
    whole = np.pad(row, (50, 150), "reflect", reflect_type="odd")
    expected = whole[50 + start : 50 + start + length]
    np.testing.assert_array_equal(extended(row, start, start + length), expected)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_leads_come_in_order_from_any_number_of_threads(threads: int) -> None:
    signal = np.arange(6, dtype=np.float32).reshape(3, 2)
    made = by_lead(lambda lead: (lead.shape, float(lead.sum())), signal, threads)
    assert made == [((1, 2), 1.0), ((1, 2), 5.0), ((1, 2), 9.0)]
