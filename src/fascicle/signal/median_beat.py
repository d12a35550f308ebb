"""The median beat of a record: every lead's QRS on top of each other, level at zero."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.signal import find_peaks

from fascicle.record import Signal
from fascicle.signal.filters import bandpass
from fascicle.signal.resample import resample

BEAT_HZ, LEAST_HZ = 250.0, 100.0
BEFORE_S, AFTER_S = 0.3, 0.45
"""How much of a beat lies before and after the middle of its QRS."""
LEAST_BEATS, MOST_S = 4, 600.0


class MedianBeat(NamedTuple):
    """`waves` (lead, sample) in mV at `BEAT_HZ`, and the median RR interval in seconds."""

    waves: Signal
    rr_s: float


def median_beat(signal: Signal, rate_hz: float) -> MedianBeat | None:
    """Return the median beat (0.5-40 Hz) of a signal (lead, sample); None where there is none.

    Beats are where the energy of all leads at 8-25 Hz peaks. Under four whole beats, or under
    100 Hz, there is no median beat. Of a long record the first ten minutes are used.
    """
    if rate_hz < LEAST_HZ or signal.shape[1] < 2:
        return None
    at_rate = resample(signal[:, : round(MOST_S * rate_hz)], rate_hz, BEAT_HZ)
    energy = np.abs(bandpass(at_rate, BEAT_HZ, 8.0, 25.0)).sum(axis=0)
    energy = np.convolve(energy, np.full(25, 1 / 25), mode="same")
    peaks, _ = find_peaks(energy, distance=75, height=0.35 * np.quantile(energy, 0.98))
    before, after = round(BEFORE_S * BEAT_HZ), round(AFTER_S * BEAT_HZ)
    whole = peaks[(peaks >= before) & (peaks <= at_rate.shape[1] - after)]
    if len(whole) < LEAST_BEATS:
        return None
    wide = bandpass(at_rate, BEAT_HZ, 0.5, 40.0)
    beat = np.median(wide[:, whole[:, None] + np.arange(-before, after)], axis=1)
    # Level between P and QRS, and in front of P: a wave in one of them does not shift the median.
    level = np.concatenate([beat[:, :10], beat[:, before - 22 : before - 15]], axis=1)
    beat = np.asarray(beat - np.median(level, axis=1, keepdims=True), dtype=np.float32)
    return MedianBeat(beat, float(np.median(np.diff(peaks))) / BEAT_HZ)
