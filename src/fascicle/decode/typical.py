"""The typical beat of a record: what all its leads show once the beats are laid on each other.

The median over the beats that the atria began leaves out noise, wander and ectopic beats, and the
time within the beat tells what each part is. What a median cannot show, how the beats follow each
other, stands beside it in a few numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fascicle.record import BEAT_KINDS

Floats = NDArray[np.float32]

STEP_S = 0.01
BEFORE_S, AFTER_S = 0.35, 0.64
CLOCK_S = np.arange(-round(BEFORE_S / STEP_S), round(AFTER_S / STEP_S) + 1) * STEP_S
"""Times of the typical beat's samples around its R peak."""
RHYTHM_NUMBERS = ("rr", "shortest", "longest", "spread", "jumps", "ventricular", "supraventricular")
"""What is told of the rhythm: `rhythm_numbers` has it in this order."""
SHORTEST_S, LONGEST_S = 0.15, 4.0
_N, _S, _V = (BEAT_KINDS.index(kind) for kind in "NSV")


def typical_beat(
    signal: Floats, times: NDArray[np.float64], kinds: NDArray[np.intp], rate_hz: float
) -> Floats:
    """Return the median beat (lead, sample) in mV, 100 samples a second from `CLOCK_S`.

    Beats that the atria began (N, S) count, or all where there are none; of these the ones that
    lie in the signal as a whole, or all, with the signal's ends repeated.

    Parameters
    ----------
    signal
        (lead, sample) prepared leads, mV.
    times, kinds
        (beat,) R peaks in seconds, and the index of each one's kind in `BEAT_KINDS`.
    rate_hz
        Samples per second of the signal.

    Raises
    ------
    ValueError
        If there is no beat, or shapes do not match.
    """
    if signal.ndim != 2 or not signal.shape[1] or not times.size or times.shape != kinds.shape:
        raise ValueError(
            f"a signal (lead, sample) and beats (beat,) are needed, not {signal.shape}, "
            f"{times.shape} and {kinds.shape}"
        )
    usual = np.isin(kinds, (_N, _S))
    times = times[usual] if usual.any() else times
    inside = (times + CLOCK_S[0] >= 0) & (times + CLOCK_S[-1] <= (signal.shape[1] - 1) / rate_hz)
    times = times[inside] if inside.any() else times
    place = np.rint((times[:, None] + CLOCK_S) * rate_hz).astype(np.intp)
    beats = signal[:, np.clip(place, 0, signal.shape[1] - 1)]
    return np.asarray(np.median(beats, axis=1), dtype=np.float32)


def rhythm_numbers(times: NDArray[np.float64], kinds: NDArray[np.intp]) -> Floats:
    """Return how the beats follow each other, (7,), in the order of `RHYTHM_NUMBERS`.

    Logarithms of the median RR interval in seconds, of its 10 and 90 % quantiles over it, the
    spread of the logarithms and the mean step between successive ones; the shares of V and S beats.
    Intervals that are not there leave zeros.
    """
    found = np.zeros(len(RHYTHM_NUMBERS), dtype=np.float32)
    intervals = np.log(np.clip(np.diff(times), SHORTEST_S, LONGEST_S))
    if intervals.size:
        low, middle, high = np.quantile(intervals, [0.1, 0.5, 0.9])
        found[:4] = middle, low - middle, high - middle, intervals.std()
    if intervals.size > 1:
        found[4] = np.abs(np.diff(intervals)).mean()
    if kinds.size:
        found[5:] = (kinds == _V).mean(), (kinds == _S).mean()
    return found
