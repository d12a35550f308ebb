"""Beat probabilities become beats: where the R peaks are, and of which AAMI class each is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d
from scipy.signal import find_peaks

from fascicle.decode.rules import QRS
from fascicle.record import BEAT_KINDS, Beat, Wave

BUMP_S = 0.04
"""The net is taught a bump that falls to a seventh this far to both sides of an R peak."""

THRESHOLD = 0.5
REFRACTORY_S = 0.24
"""As `Rules.qrs_distance_s`: ventricles are refractory."""
NARROW_QRS_S = 0.06
"""So long must a beat be likely, on average: as long as a narrow QRS lasts."""
SUREST = 0.99
"""No voice of an opinion pool is surer, so that none can outweigh all others."""
NEAR_S = 0.1
"""A QRS has a beat from so long before its onset to so long after its offset."""
TINY = 1e-6
"""Keeps the centre of gravity defined where `detection` is 0 throughout."""


class BeatPeaks(NamedTuple):
    """Beats in order of time: seconds and how sure (beat,), share of each kind (kind, beat)."""

    time_s: NDArray[np.float64]
    height: NDArray[np.float32]
    kinds: NDArray[np.floating[Any]]


def find_beats(
    detection: NDArray[np.float32],
    kinds: NDArray[np.float32],
    rate_hz: float,
    threshold: float = THRESHOLD,
    refractory_s: float = REFRACTORY_S,
    qrs: NDArray[np.float32] | None = None,
) -> tuple[Beat, ...]:
    """Return the beats in order of time; their probability is that of a beat of that class.

    A beat's time is the centre of gravity of its bump, between samples.

    Parameters
    ----------
    detection
        (sample,) probability that a beat's R peak is here, a bump of about 40 ms to each side.
    kinds
        (5, sample) softmax over `BEAT_KINDS`, valid near R peaks.
    rate_hz
        Samples per second.
    threshold
        Peaks below this are no beats.
    refractory_s
        Of two peaks closer than this the lower is no beat.
    qrs
        (sample,) probability of a QRS over all leads. With it a beat is where both say so, and
        `detection` alone tells where in its QRS the R peak is (docs/decode.md).

    Raises
    ------
    ValueError
        If shapes do not match or a value is not a probability.
    """
    return name_beats(beat_peaks(detection, kinds, rate_hz, threshold, refractory_s, qrs))


def name_beats(found: BeatPeaks) -> tuple[Beat, ...]:
    """Return the beats, each of its largest kind."""
    best = found.kinds.argmax(axis=0)
    probability = found.height * found.kinds[best, np.arange(best.size)]
    return tuple(
        Beat(when, BEAT_KINDS[kind], min(share, 1.0))
        for when, kind, share in zip(
            found.time_s.tolist(), best.tolist(), probability.tolist(), strict=True
        )
    )


def beat_peaks(
    detection: NDArray[np.float32],
    kinds: NDArray[np.float32],
    rate_hz: float,
    threshold: float = THRESHOLD,
    refractory_s: float = REFRACTORY_S,
    qrs: NDArray[np.float32] | None = None,
) -> BeatPeaks:
    """Return what `find_beats` does, as numbers."""
    _check(detection, kinds, rate_hz, qrs)
    sure = detection if qrs is None else _qrs_and_beat(detection, qrs, rate_hz)
    walled = np.concatenate([[0.0], sure, [0.0]])  # so that a peak at an edge is a peak
    distance = max(1.0, refractory_s * rate_hz)
    tops = find_peaks(walled, height=threshold, distance=distance)[0] - 1
    reach = max(1, round(BUMP_S * rate_hz))
    index = tops[:, None] + np.arange(-reach, reach + 1)
    inside = (index >= 0) & (index < detection.size)
    index = np.clip(index, 0, detection.size - 1)
    weight = np.where(inside, detection[index] + TINY, 0.0)
    total = weight.sum(axis=1)
    shares = (kinds[:, index] * weight).sum(axis=2) / total
    time = (index * weight).sum(axis=1) / total
    order = np.argsort(time, kind="stable")
    return BeatPeaks(time[order] / rate_hz, sure[tops[order]], shares[:, order])


def opinion_pool(voices: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probability (sample,) that voices (voice, sample) have together.

    The mean of their log odds (logarithmic opinion pool, Genest and Zidek 1986): a voice that is
    sure outweighs one that is not.
    """
    bounded = np.clip(voices, 1 - SUREST, SUREST)
    odds = np.log(bounded / (1 - bounded)).mean(axis=0)
    pooled: NDArray[np.float32] = (1 / (1 + np.exp(-odds))).astype(np.float32)
    return pooled


def pooled_qrs(waves: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the probability of a QRS (sample,) over the maps (4, sample) of all leads."""
    return opinion_pool(np.stack([lead[QRS] for lead in waves]))


def leave_out_qrs(waves: Iterable[Wave], beats: Iterable[Beat]) -> tuple[Wave, ...]:
    """Return the waves less each QRS that has no beat, which is noise of its lead.

    `beats` are in order of time.
    """
    every = tuple(waves)
    times = np.array([beat.time_s for beat in beats])
    spans = [
        (place, wave.onset_s, wave.offset_s)
        for place, wave in enumerate(every)
        if wave.kind == "QRS" and wave.onset_s is not None and wave.offset_s is not None
    ]
    place, onset, offset = np.array(spans, dtype=np.float64).reshape(-1, 3).T
    first = np.searchsorted(times, onset - NEAR_S)
    without = place[first == np.searchsorted(times, offset + NEAR_S, side="right")]
    noise = set(without.astype(int).tolist())
    return tuple(wave for number, wave in enumerate(every) if number not in noise)


def _qrs_and_beat(
    detection: NDArray[np.float32], qrs: NDArray[np.float32], rate_hz: float
) -> NDArray[np.float32]:
    """Return what both say together, as a mean over a narrow QRS."""
    wide = 2 * round(NARROW_QRS_S * rate_hz / 2) + 1
    both = opinion_pool(np.stack([maximum_filter1d(detection, wide), qrs]))
    return uniform_filter1d(both, wide)


def _check(
    detection: NDArray[np.float32],
    kinds: NDArray[np.float32],
    rate_hz: float,
    qrs: NDArray[np.float32] | None,
) -> None:
    if detection.ndim != 1 or kinds.shape != (len(BEAT_KINDS), detection.size):
        raise ValueError(
            f"detection must be (sample,) and kinds (5, sample), "
            f"not {detection.shape} and {kinds.shape}"
        )
    if not (np.isfinite(rate_hz) and rate_hz > 0):
        raise ValueError(f"rate_hz must be positive, not {rate_hz}")
    for array in (detection, kinds) if qrs is None else (detection, kinds, qrs):
        if array.size and not (array.min() >= 0 and array.max() <= 1.001):
            raise ValueError("probabilities must lie in 0..1; are these logits?")
    if qrs is not None and qrs.shape != detection.shape:
        raise ValueError(f"qrs {qrs.shape} does not match {detection.shape}")
