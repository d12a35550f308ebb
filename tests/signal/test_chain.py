from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fascicle.errors import BadRequest
from fascicle.record import Signal
from fascicle.signal.chain import PAPER, Preprocessing, prepare

CHAINS = (
    Preprocessing(),
    PAPER,
    Preprocessing(baseline="highpass", notch_hz=50.0),
    Preprocessing(jump_mv=None, lowpass_hz=None, baseline="none", trimmed_mean=None),
)


def ecg(rate_hz: float, duration_s: float = 10.0, leads: int = 2) -> Signal:
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    beats = sum(np.exp(-(((time_s - at) / 0.015) ** 2)) for at in np.arange(0.5, duration_s, 0.8))
    wander = 0.8 * np.sin(2 * np.pi * 0.15 * time_s) + 2.0
    return np.stack([(lead + 1) * beats + wander for lead in range(leads)]).astype(np.float32)


@given(
    st.sampled_from(CHAINS),
    st.sampled_from([100.0, 128.0, 250.0, 257.0, 500.0, 1000.0]),
    st.integers(1, 400),
    st.integers(0, 9),
)
@settings(max_examples=60)
def test_any_length_and_rate_is_finite(
    how: Preprocessing, rate_hz: float, samples: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    signal = (generator.normal(size=(4, samples)) * 10.0 ** (seed - 5)).astype(np.float32)
    signal[1] = np.nan
    signal[2] = 1.5
    signal[3, generator.random(samples) < 0.3] = np.nan
    result = prepare(signal, rate_hz, how)
    assert result.shape == (4, int(np.ceil(samples * how.rate_hz / rate_hz)))
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    assert not result[1].any()


@pytest.mark.parametrize("how", CHAINS)
@pytest.mark.parametrize("rate_hz", [100.0, 250.0, 360.0, 500.0])
def test_peaks_keep_their_times(how: Preprocessing, rate_hz: float) -> None:
    result = prepare(ecg(rate_hz), rate_hz, how)[1]
    for at_s in np.arange(1.3, 9.0, 0.8):
        near = slice(round((at_s - 0.2) * how.rate_hz), round((at_s + 0.2) * how.rate_hz))
        found_s = (near.start + int(result[near].argmax())) / how.rate_hz
        assert abs(found_s - at_s) <= 0.5 / how.rate_hz + 0.5 / rate_hz


def test_the_same_ecg_at_two_rates_becomes_the_same() -> None:
    slow, fast = (prepare(ecg(rate), rate, Preprocessing()) for rate in (250.0, 500.0))
    np.testing.assert_allclose(slow, fast, atol=0.02)


def test_baseline_offset_and_spikes_are_gone() -> None:
    signal = ecg(500.0)
    signal[0, 3000:3004] += 60.0
    clean = prepare(signal, 500.0, Preprocessing())
    between = [round(at * 250) for at in np.arange(1.7, 9.0, 0.8)]
    assert np.abs(clean[:, between]).max() < 0.2
    assert clean[0].max() < 1.1
    kept = prepare(signal, 500.0, Preprocessing(jump_mv=None, lowpass_hz=None))
    assert kept[0].max() > 10.0


def test_amplify_lifts_only_where_it_is_asked_for() -> None:
    weak = ecg(500.0) * np.float32(0.01)
    assert np.abs(prepare(weak, 500.0, replace(PAPER, amplify=False))).max() < 0.05
    assert np.quantile(np.abs(prepare(weak * 20, 500.0, PAPER)), 0.98) == pytest.approx(1.0)


@pytest.mark.parametrize("how", CHAINS)
def test_it_survives_json(how: Preprocessing) -> None:
    fields: dict[str, Any] = json.loads(json.dumps(asdict(how)))
    assert Preprocessing(**fields) == how
    hash(Preprocessing(**fields))


def test_it_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        PAPER.rate_hz = 100.0  # type: ignore[misc]


@pytest.mark.parametrize(
    "fields",
    [
        {"rate_hz": 0.0},
        {"rate_hz": float("inf")},
        {"baseline": "median"},
        {"lowpass_hz": (60.0, 50.0)},
        {"trimmed_mean": 0.5},
        {"baseline_span_s": 0.0},
    ],
)
def test_impossible_fields_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        prepare(ecg(500.0), 500.0, Preprocessing(**fields))


def test_an_empty_signal_is_refused() -> None:
    with pytest.raises(BadRequest, match="samples"):
        prepare(np.zeros((2, 0), dtype=np.float32), 500.0, Preprocessing())


def test_threads_change_nothing() -> None:
    signal = np.tile(ecg(100.0), (1, 100))
    assert signal.shape[1] > 900 * 100
    alone, several = (prepare(signal, 100.0, Preprocessing(), threads) for threads in (1, 2))
    np.testing.assert_array_equal(alone, several)
