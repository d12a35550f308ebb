"""Resampling: polyphase with a linear-phase low-pass, no shift in time.

Sample k of the result lies at k / new_rate_hz seconds. Annotations are in seconds and do not
change.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin, upfirdn

from fascicle.errors import BadRequest
from fascicle.record import Record, Signal
from fascicle.signal.filters import bridged, extended

HALF_LENGTH = 12
KAISER_BETA = 5.0
AT_ONCE = 100_000
"""Samples of the result that are made at once."""
LARGEST_FACTOR = 10_000
LARGEST_RATIO = 1_000


@lru_cache(maxsize=8)
def _antialias(up: int, down: int) -> NDArray[np.float32]:
    """Return the low-pass at the lower of both Nyquist rates: a Kaiser window, linear phase.

    Every polyphase branch has the gain 1, so that a constant stays exactly constant. Zeros in front
    make the delay a whole number of output samples.
    """
    half = HALF_LENGTH * max(up, down)
    taps = firwin(2 * half + 1, 1.0 / max(up, down), window=("kaiser", KAISER_BETA))
    for phase in range(up):
        taps[phase::up] /= taps[phase::up].sum()
    return np.concatenate([np.zeros(-half % down), taps]).astype(np.float32)


def _ratio(rate_hz: float, new_rate_hz: float) -> tuple[int, int]:
    """Return the factors up and down; both rates are checked."""
    for rate in (rate_hz, new_rate_hz):
        if not (math.isfinite(rate) and rate > 0):
            raise BadRequest(f"a rate must be positive and finite, not {rate} Hz")
    ratio = Fraction(new_rate_hz) / Fraction(rate_hz)
    if ratio > LARGEST_RATIO or ratio < Fraction(1, LARGEST_RATIO):
        raise BadRequest(f"cannot resample from {rate_hz} to {new_rate_hz} Hz")
    # The filter's length grows with the larger factor; a rate such as 249.97 is met to 1e-7.
    ratio = ratio.limit_denominator(int(LARGEST_FACTOR / max(float(ratio), 1.0)))
    return ratio.numerator, ratio.denominator


def resample(signal: Signal, rate_hz: float, new_rate_hz: float) -> Signal:
    """Return the signal at `new_rate_hz`, (lead, ceil(sample * new_rate_hz / rate_hz)).

    Beyond its ends the signal is taken as mirrored at its first and last sample (odd extension).
    Samples whose nearest original is missing are missing (NaN) again.

    Raises
    ------
    BadRequest
        A rate is not positive and finite, or the ratio is beyond 1 : 1000.
    """
    up, down = _ratio(rate_hz, new_rate_hz)
    filled = bridged(signal)
    if up == down:
        return np.array(signal, dtype=np.float32)
    samples = filled.shape[1]
    length = -(-samples * up // down)
    taps = _antialias(up, down)
    # The extension is a whole number of output samples too, and longer than the filter.
    front = down * math.ceil((HALF_LENGTH + 1) * max(up, down) / up / down)
    skip = (front * up + HALF_LENGTH * max(up, down) + down - 1) // down
    result = np.empty((filled.shape[0], length), dtype=np.float32)
    # stretches begin where an output falls on an input: the filter's phase is the same in each
    size = up * max(AT_ONCE // up, 1)
    for row, made in zip(filled, result, strict=True):
        for start in range(0, length, size):
            count = min(size, length - start)
            first = start // up * down
            last = samples if start + count == length else first + size // up * down
            seen = extended(row, first - front, last + front)
            made[start : start + count] = upfirdn(taps, seen, up, down)[skip : skip + count]
    if filled is not signal:
        missing = ~np.isfinite(signal)
        nearest = np.minimum(np.rint(np.arange(length) * (down / up)).astype(np.int64), samples - 1)
        result[missing[:, nearest]] = np.nan
    return result


def resample_record(record: Record, new_rate_hz: float) -> Record:
    """Return the record at another rate; waves, beats and rhythms, in seconds, stay as they are."""
    signal = resample(record.signal, record.rate_hz, new_rate_hz)
    return replace(record, signal=signal, rate_hz=float(new_rate_hz))
