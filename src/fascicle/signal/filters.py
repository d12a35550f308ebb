"""Filters: pure functions on a (lead, sample) float32 signal in millivolts.

All are zero-phase. A Butterworth filter run forwards and backwards has the gain |H|^2 and no phase,
so it is applied in the frequency domain at once, on a signal extended by odd reflection. Gaps (NaN)
are bridged by a straight line first; `fill_gaps` tells where they were.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import buttord

from fascicle.errors import BadRequest
from fascicle.memory import give_back
from fascicle.record import Signal

Made = TypeVar("Made")
Gain = Callable[[NDArray[np.float64]], NDArray[np.float64]]

PASS_LOSS_DB = 3.0
STOP_LOSS_DB = 40.0
WIDEST_SPIKE = 10
MEMORY = 16.0  # time constants until an impulse response is forgotten
LONG_S = 900.0
"""A longer signal is filtered in stretches, lead by lead: a transform of a day is slow."""
STRETCH_S = 300.0


def fill_gaps(signal: Signal) -> tuple[Signal, NDArray[np.bool_]]:
    """Return the signal with missing samples interpolated, and where they were.

    Parameters
    ----------
    signal
        (lead, sample) mV; NaN or infinite where missing.

    Returns
    -------
    filled
        (lead, sample) float32, finite. A gap at an end takes the nearest value; a lead without any
        sample becomes zeros.
    was_missing
        (lead, sample) bool.

    Raises
    ------
    BadRequest
        The signal is not two-dimensional or has no samples.
    """
    if signal.ndim != 2 or signal.shape[1] == 0:
        raise BadRequest(f"a signal needs shape (lead, sample) and samples, not {signal.shape}")
    missing = ~np.isfinite(signal)
    filled = np.array(signal, dtype=np.float32)
    for lead in np.flatnonzero(missing.any(axis=1)):
        gaps = missing[lead]
        if gaps.all():
            filled[lead] = 0.0
        else:
            beside = np.zeros_like(gaps)
            beside[1:] |= gaps[:-1]
            beside[:-1] |= gaps[1:]
            there = np.flatnonzero(beside & ~gaps)  # between these the bridges stand
            filled[lead, gaps] = np.interp(np.flatnonzero(gaps), there, filled[lead, there])
    return filled, missing


def bridged(signal: Signal) -> Signal:
    """Return what `fill_gaps` does, to be read only: a signal without gaps is not copied."""
    whole = signal.ndim == 2 and signal.size > 0 and signal.dtype == np.float32
    return signal if whole and np.isfinite(signal).all() else fill_gaps(signal)[0]


def by_lead(work: Callable[[Signal], Made], signal: Signal, threads: int = 1) -> list[Made]:
    """Return what is made of each lead (1, sample), of as many leads at a time as threads."""
    rows = [row[None] for row in signal]
    if min(threads, len(rows)) <= 1:
        made = [work(row) for row in rows]
    else:
        with ThreadPoolExecutor(threads) as pool:
            made = list(pool.map(work, rows))
    give_back()
    return made


def remove_jumps(signal: Signal, limit_mv: float = 4.0, widest: int = WIDEST_SPIKE) -> Signal:
    """Return the signal without spikes: what lies behind a jump is removed and interpolated.

    A sample that differs from the one before by more than `limit_mv` is removed. A piece of at most
    `widest` samples between two such jumps, or between one and an end, is removed whole. A lasting
    step stays a step.
    """
    signal = bridged(signal)
    steps = np.diff(signal, axis=1)
    jumps = np.abs(steps, out=steps) > limit_mv
    del steps  # as large as the signal
    filled = np.array(signal)
    if not jumps.any():
        return filled
    for lead in np.flatnonzero(jumps.any(axis=1)):
        starts = np.flatnonzero(jumps[lead]) + 1
        lengths = np.diff(starts, prepend=0, append=filled.shape[1])
        removed = np.repeat(lengths <= widest, lengths)
        removed[starts] = True
        if not removed.all():
            filled[lead, removed] = np.nan
    return fill_gaps(filled)[0]


def _butterworth(rate_hz: float, corner_hz: float, order: int) -> Gain:
    """Return |H|^2 of a digital (bilinear) Butterworth low-pass over frequency in Hz."""
    largest = 10.0 ** (300 / (2 * order))  # its power still fits a float64

    def gain(frequency_hz: NDArray[np.float64]) -> NDArray[np.float64]:
        ratio = np.tan(np.pi * frequency_hz / rate_hz) / math.tan(math.pi * corner_hz / rate_hz)
        return 1.0 / (1.0 + np.clip(ratio, 0.0, largest) ** (2 * order))

    return gain


def _zero_phase(signal: Signal, rate_hz: float, gain: Gain, settle_s: float) -> Signal:
    """Return the signal with its spectrum times `gain`; `settle_s` is the filter's memory.

    A long signal goes in parts that see that much of their neighbours.
    """
    signal = bridged(signal)
    samples = signal.shape[1]
    pad = math.ceil(settle_s * rate_hz)
    size = samples
    if samples > LONG_S * rate_hz:
        size = max(round(STRETCH_S * rate_hz), 4 * pad)
    length = next_fast_len(size + 2 * pad, real=True)
    frequency_hz = np.arange(length // 2 + 1, dtype=np.float64) * (rate_hz / length)
    curve = gain(frequency_hz).astype(np.float32)
    filtered = np.empty_like(signal)
    for row, result in zip(signal, filtered, strict=True):
        for start in range(0, samples, size):
            seen = extended(row, start - pad, start - pad + length)
            part = irfft(rfft(seen) * curve, length)
            result[start : start + size] = part[pad : pad + min(size, samples - start)]
    return filtered


def extended(row: NDArray[np.float32], start: int, stop: int) -> NDArray[np.float32]:
    """Return row[start:stop], reflected oddly where that lies beyond its ends."""
    before, after = max(-start, 0), max(stop - row.size, 0)
    # as much of the row as the reflections show
    first, last = max(min(start, row.size - 1 - after), 0), max(stop, before + 1)
    padded = np.pad(row[first:last], (before, after), "reflect", reflect_type="odd")
    return padded[before + start - first :][: stop - start]


def lowpass(signal: Signal, rate_hz: float, pass_hz: float = 50.0, stop_hz: float = 60.0) -> Signal:
    """Return the signal without what lies above `stop_hz`.

    Zero-phase Butterworth that loses at most 3 dB at `pass_hz` and at least 40 dB at `stop_hz`,
    both passes together. A rate too low to hold `stop_hz` needs no filter: the signal comes back
    unchanged.

    Raises
    ------
    BadRequest
        Not 0 < pass_hz < stop_hz.
    """
    if not 0 < pass_hz < stop_hz:
        raise BadRequest(f"low-pass needs 0 < pass_hz < stop_hz, not {pass_hz} and {stop_hz}")
    if stop_hz >= rate_hz / 2:
        return fill_gaps(signal)[0]
    order, corner_hz = buttord(pass_hz, stop_hz, PASS_LOSS_DB / 2, STOP_LOSS_DB / 2, fs=rate_hz)
    # The slowest pole pair decays by exp(-2 pi corner sin(pi / 2 order) t).
    settle_s = MEMORY / (2 * math.pi * corner_hz * math.sin(math.pi / (2 * order)))
    return _zero_phase(signal, rate_hz, _butterworth(rate_hz, float(corner_hz), order), settle_s)


def highpass(signal: Signal, rate_hz: float, corner_hz: float = 0.5, order: int = 2) -> Signal:
    """Return the signal without what lies below `corner_hz` (6 dB there), zero-phase."""
    if not 0 < corner_hz < rate_hz / 2:
        raise BadRequest(f"high-pass at {corner_hz} Hz does not fit a rate of {rate_hz} Hz")
    lower = _butterworth(rate_hz, corner_hz, order)
    settle_s = MEMORY / (2 * math.pi * corner_hz * math.sin(math.pi / (2 * order)))
    return _zero_phase(signal, rate_hz, lambda hz: 1.0 - lower(hz), settle_s)


def bandpass(signal: Signal, rate_hz: float, low_hz: float, high_hz: float) -> Signal:
    """Return what lies between `low_hz` and `high_hz` (6 dB at both): zero-phase Butterworth.

    An upper corner at or above half the rate leaves only the high-pass.
    """
    if not 0 < low_hz < high_hz:
        raise BadRequest(f"band-pass needs 0 < low_hz < high_hz, not {low_hz} and {high_hz}")
    if high_hz >= rate_hz / 2:
        return highpass(signal, rate_hz, low_hz)
    below, above = _butterworth(rate_hz, low_hz, 2), _butterworth(rate_hz, high_hz, 2)
    settle_s = MEMORY / (2 * math.pi * low_hz * math.sin(math.pi / 4))
    return _zero_phase(signal, rate_hz, lambda hz: (1.0 - below(hz)) * above(hz), settle_s)


def notch(signal: Signal, rate_hz: float, mains_hz: float, quality: float = 30.0) -> Signal:
    """Return the signal without the mains frequency (50 or 60 Hz): zero-phase second-order notch.

    `quality` is `mains_hz` over the 3 dB width of one pass. Mains above half the rate need no
    filter.
    """
    if not mains_hz > 0 or not quality > 0:
        raise BadRequest(f"a notch needs a positive frequency, not {mains_hz} (quality {quality})")
    if mains_hz >= rate_hz / 2:
        return fill_gaps(signal)[0]
    half_width = math.tan(math.pi * mains_hz / quality / rate_hz)

    def gain(frequency_hz: NDArray[np.float64]) -> NDArray[np.float64]:
        angle = 2 * np.pi * frequency_hz / rate_hz
        away = (np.cos(angle) - math.cos(2 * math.pi * mains_hz / rate_hz)) ** 2
        return np.asarray(away / (away + (half_width * np.sin(angle)) ** 2))

    return _zero_phase(signal, rate_hz, gain, MEMORY * quality / (math.pi * mains_hz))
