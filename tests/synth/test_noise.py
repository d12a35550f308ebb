from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fascicle.errors import BadRequest
from fascicle.record import LEADS, Record
from fascicle.synth import NOISE_KINDS, Noise, add_noise, synthesize
from fascicle.synth.noise import breathing, draw_noise


@pytest.fixture(scope="module")
def clean() -> Record:
    return synthesize("sinus", seed=1, noise=None)


@pytest.mark.parametrize("kind", NOISE_KINDS)
@pytest.mark.parametrize("snr_db", [-6.0, 0.0, 20.0])
def test_ratio_is_the_one_asked_for(clean: Record, kind: str, snr_db: float) -> None:
    noisy = add_noise(clean, snr_db, kind, seed=3)
    added = noisy.signal.astype(float) - clean.signal
    power = ((clean.signal - clean.signal.mean(axis=1, keepdims=True)) ** 2).sum()
    assert 10 * np.log10(power / (added**2).sum()) == pytest.approx(snr_db, abs=0.01)
    assert noisy.waves == clean.waves
    np.testing.assert_allclose(added[2], added[1] - added[0], atol=1e-5)


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_same_seed_same_noise(clean: Record, kind: str) -> None:
    first, again, other = (add_noise(clean, 10.0, kind, seed=seed).signal for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [("baseline", 0.0, 0.7), ("mains", 49.0, 51.0), ("muscle", 5.0, 220.0), ("motion", 0.0, 12.0)],
)
def test_noise_lies_in_its_band(clean: Record, kind: str, low: float, high: float) -> None:
    added = add_noise(clean, 0.0, kind, seed=5).signal.astype(float) - clean.signal
    power = np.abs(np.fft.rfft(added * np.hanning(5000), axis=1)) ** 2
    hertz = np.fft.rfftfreq(5000, 1 / 500)
    assert power[:, (hertz >= low) & (hertz <= high)].sum() > 0.97 * power.sum()


def test_mains_has_the_frequency_of_the_country(clean: Record) -> None:
    added = add_noise(clean, 0.0, "mains", mains_hz=60.0).signal - clean.signal
    power = np.abs(np.fft.rfft(added[0]))
    assert np.fft.rfftfreq(5000, 1 / 500)[power.argmax()] == pytest.approx(60.0)


def test_missing_samples_stay_missing(clean: Record) -> None:
    signal = clean.signal.copy()
    signal[3, 100:300] = np.nan
    noisy = add_noise(replace(clean, signal=signal), 10.0, "white")
    assert np.array_equal(np.isnan(noisy.signal), np.isnan(signal))


def test_a_lead_without_standard_name_has_noise_of_its_own() -> None:
    rows = np.random.default_rng(0).standard_normal((3, 2000)).astype(np.float32)
    record = Record("x", rows, 250.0, ("II", "X", "Y"))
    added = add_noise(record, 0.0, "white").signal - rows
    assert np.abs(np.corrcoef(added) - np.eye(3)).max() < 0.15


@pytest.mark.parametrize(
    ("snr_db", "kind", "words"),
    [
        (10.0, "pink", "unknown noise 'pink': known are baseline, mains"),
        (float("nan"), "white", "snr_db must be finite"),
        (float("inf"), "white", "snr_db must be finite"),
    ],
)
def test_impossible_noise_is_refused(clean: Record, snr_db: float, kind: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        add_noise(clean, snr_db, kind)


def test_a_flat_record_has_no_ratio() -> None:
    flat = Record("flat", np.ones((1, 500), dtype=np.float32), 500.0, ("II",))
    with pytest.raises(BadRequest, match="flat"):
        add_noise(flat, 10.0, "white")


@pytest.mark.parametrize("size", [-0.1, float("nan"), float("inf")])
def test_noise_sizes_are_checked(size: float) -> None:
    with pytest.raises(BadRequest, match="noise must be finite"):
        Noise(baseline_mv=size)
    with pytest.raises(BadRequest, match="respiration"):
        Noise(respiration=size)


def test_mains_must_be_positive() -> None:
    with pytest.raises(BadRequest, match="mains_hz"):
        Noise(mains_hz=0.0)


@pytest.mark.parametrize("part", ["baseline_mv", "mains_mv", "muscle_mv"])
def test_size_is_root_mean_square_in_a_typical_lead(part: str) -> None:
    noise = replace(Noise(0.0, 0.0, 0.0, 50.0, 0.0), **{part: 0.1})
    drawn = [
        draw_noise(np.random.default_rng(seed), noise, LEADS, 5000, 500.0) for seed in range(12)
    ]
    assert np.sqrt(np.mean(np.square(drawn))) == pytest.approx(0.1, rel=0.35)


def test_no_noise_is_nothing() -> None:
    drawn = draw_noise(np.random.default_rng(0), Noise(0.0, 0.0, 0.0, 50.0, 0.0), LEADS, 100, 500.0)
    assert not drawn.any()


def test_breathing_scales_around_one() -> None:
    factor = breathing(np.random.default_rng(0), 0.1, np.arange(10000) / 500)
    assert factor.max() == pytest.approx(1.1, abs=1e-3)
    assert factor.min() == pytest.approx(0.9, abs=1e-3)
