"""Faults put into simple ECGs of pulses are found; tests/real does the same on real leads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fascicle.errors import BadRequest
from fascicle.record import Record, Signal
from fascicle.signal.filters import bandpass
from fascicle.signal.quality import FAULTS, assess, lead_scores
from fascicle.synth import synthesize


def ecg(rate_hz: float = 300.0, duration_s: float = 10.0, bpm: float = 70.0) -> Signal:
    """One lead: P, QRS and T as pulses, a little noise and wander, steps of 1 uV."""
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    generator = np.random.default_rng(1)
    row = 0.008 * generator.normal(size=time_s.size) + 0.1 * np.sin(2 * np.pi * 0.3 * time_s)
    for beat in np.arange(0.4, duration_s, 60 / bpm):
        beat += generator.normal() * 0.02
        for shift, width, height in ((-0.16, 0.025, 0.12), (0, 0.012, 1.0), (0.28, 0.05, 0.25)):
            size = height * (1 + 0.03 * generator.normal())
            row += size * np.exp(-(((time_s - beat - shift) / width) ** 2) / 2)
    return np.round(row, 3).astype(np.float32)


def verdict(row: Signal, rate_hz: float = 300.0) -> tuple[str, tuple[str, ...]]:
    quality = assess(Record("a", row[None], rate_hz, ("I",)))["I"]
    return quality.status, quality.reasons


@pytest.mark.parametrize("rate_hz", [100.0, 250.0, 300.0, 500.0, 1000.0])
@pytest.mark.parametrize("bpm", [40.0, 70.0, 150.0])
def test_a_good_lead_is_good(rate_hz: float, bpm: float) -> None:
    assert verdict(ecg(rate_hz, 30.0, bpm), rate_hz) == ("good", ())


def flat(row: Signal) -> Signal:
    row[1000:1600] = 0.2
    return row


def almost_flat(row: Signal) -> Signal:
    row[900:2100] = np.random.default_rng(0).normal(0.1, 0.003, size=1200)
    return row


def clipped(row: Signal) -> Signal:
    return np.minimum(row, np.float32(0.6))


def zeroed(row: Signal) -> Signal:
    row[500:1000] = 0.0
    return row


def lost(row: Signal) -> Signal:
    row[500:1000] = np.nan
    return row


def weak(row: Signal) -> Signal:
    return row * np.float32(0.05)


def mains(row: Signal) -> Signal:
    return row + 0.3 * np.sin(2 * np.pi * 50 * np.arange(row.size) / 300).astype(np.float32)


def muscle(row: Signal) -> Signal:
    row[1500:] += 0.2 * np.random.default_rng(0).normal(size=row.size - 1500).astype(np.float32)
    return row


def motion(row: Signal) -> Signal:
    steps = np.random.default_rng(0).normal(size=10).repeat(row.size // 10)
    return row + 2 * steps.astype(np.float32)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (flat, "flat"), (almost_flat, "flat"), (clipped, "clipped"), (zeroed, "disconnected"),
        (lost, "disconnected"), (weak, "low amplitude"), (mains, "noisy: mains"),
        (muscle, "noisy: muscle"), (motion, "noisy: electrode motion"),
    ],
)  # fmt: skip
def test_a_fault_is_named(spoil: Callable[[Signal], Signal], reason: str) -> None:
    assert verdict(spoil(ecg())) == ("poor", (reason,))


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_lead_without_any_signal_is_missing(value: float) -> None:
    assert verdict(np.full(3000, value, dtype=np.float32)) == ("missing", ("disconnected",))


def test_a_lead_that_is_flat_throughout_is_missing() -> None:
    level = np.full(3000, 0.7, dtype=np.float32)
    noise = np.random.default_rng(0).normal(0, 0.004, 3000).astype(np.float32)
    for row in (level, noise, level + noise, level[:1]):
        assert verdict(row) == ("missing", ("flat",))
    level[:600] += ecg()[:600]
    status, reasons = verdict(level)
    assert status == "poor"
    assert "flat" in reasons


@pytest.mark.parametrize("condition", ["lbbb", "paced"])
def test_a_wide_qrs_is_no_electrode_motion(condition: str) -> None:
    heart = synthesize(condition, seed=5, noise=None)
    assert np.mean(lead_scores(heart.signal, 500.0)["electrode motion"] < 1) >= 11 / 12
    noise = np.random.default_rng(0).normal(size=heart.signal.shape).astype(np.float32)
    moved = heart.signal + 4 * bandpass(noise, 500.0, 0.5, 6.0)
    assert (lead_scores(moved, 500.0)["electrode motion"] >= 1).all()


def test_noise_alone_is_poor() -> None:
    for seed in range(5):
        row = np.random.default_rng(seed).normal(size=9000).astype(np.float32)
        assert verdict(row) == ("poor", ("noisy: muscle",))


def test_a_bad_lead_does_not_spoil_its_neighbours() -> None:
    signal = np.stack([ecg(), mains(ecg()), np.full(3000, np.nan, dtype=np.float32)])
    quality = assess(Record("a", signal, 300.0, ("I", "II", "V1")))
    assert [quality[lead].status for lead in ("I", "II", "V1")] == ["good", "poor", "missing"]


def test_more_noise_scores_higher() -> None:
    noise = np.random.default_rng(0).normal(size=3000).astype(np.float32)
    signal = np.stack([ecg() + level * noise for level in (0.0, 0.05, 0.1, 0.3)])
    assert (np.diff(lead_scores(signal, 300.0)["noisy"]) > 0).all()


@given(st.integers(1, 800), st.sampled_from([50.0, 100.0, 360.0, 1000.0]), st.integers(0, 5))
@settings(max_examples=60)
def test_any_length_gets_finite_scores(samples: int, rate_hz: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    signal = (generator.normal(size=(3, samples)) * 10.0**seed).astype(np.float32)
    signal[1] = np.nan
    signal[2, generator.random(samples) < 0.5] = np.nan
    scores = lead_scores(signal, rate_hz)
    assert tuple(scores) == FAULTS
    assert all(score.shape == (3,) and np.isfinite(score).all() for score in scores.values())
    record = Record("a", signal, rate_hz, ("I", "II", "V1"))
    assert assess(record)["II"].status == "missing"


def test_under_50_hz_noise_is_not_judged() -> None:
    slow = np.stack([mains(ecg())[::12], ecg()[::12] * 0])
    quality = assess(Record("a", slow, 25.0, ("I", "II")))
    assert [quality[lead].status for lead in ("I", "II")] == ["good", "missing"]


def test_a_rate_that_is_no_ecg_is_refused() -> None:
    with pytest.raises(BadRequest, match="2"):
        lead_scores(ecg()[None], 2.0)


def test_threads_change_nothing_in_a_long_record() -> None:
    record = synthesize("sinus", seed=1, duration_s=10.0, rate_hz=100.0, leads=("I", "V1", "V2"))
    signal = np.tile(record.signal, (1, 100))
    signal[1, : 30 * 100] = np.nan
    signal[2, 1000:] = 0
    long = replace(record, signal=signal)
    assert long.duration_s > 900
    alone, several = assess(long), assess(long, threads=2)
    assert alone == several
    assert alone["V2"].status == "missing"
