"""Beat probabilities become beats: where the R peaks are, and of which AAMI class each is."""

from __future__ import annotations

from bisect import bisect
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from fascicle.record import BEAT_KINDS, Beat

BUMP_S = 0.04
"""The net is taught a bump that falls to a seventh this far to both sides of an R peak."""

THRESHOLD = 0.5
SUPPORTED, SURE_QRS, QRS_NEAR_S, APART_S = 0.1, 0.8, 0.06, 0.4
"""In an unseen patient's wide beats the net is surer of the beat than of its time. So a peak from
`SUPPORTED` on counts where the leads agree on a QRS near it, and no other beat is near. Chosen on
MIT-BIH's paced records, which taught no net that was tested (docs/decode.md)."""


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
    refractory_s: float = 0.2,
    signal: NDArray[np.float32] | None = None,
    qrs: NDArray[np.float32] | None = None,
) -> tuple[Beat, ...]:
    """Return the beats in order of time; their probability is that of a beat of that class.

    Parameters
    ----------
    detection
        (sample,) probability that a beat's R peak is here, a bump of about 40 ms to each side.
    kinds
        (5, sample) softmax over `BEAT_KINDS`, valid near R peaks.
    rate_hz
        Samples per second.
    threshold
        Peaks of `detection` below this are no beats, unless `qrs` supports them.
    refractory_s
        Of two peaks closer than this the lower is no beat.
    signal
        (sample,) cleaned lead, mV. With it a beat's time is that of the largest deflection within
        40 ms, without it the centre of gravity of the bump, between samples.
    qrs
        (sample,) probability of a QRS, the mean over the leads.

    Raises
    ------
    ValueError
        If shapes do not match or a value is not a probability.
    """
    return name_beats(beat_peaks(detection, kinds, rate_hz, threshold, refractory_s, signal, qrs))


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
    refractory_s: float = 0.2,
    signal: NDArray[np.float32] | None = None,
    qrs: NDArray[np.float32] | None = None,
) -> BeatPeaks:
    """Return what `find_beats` does, as numbers."""
    _check(detection, kinds, rate_hz, signal, qrs)
    walled = np.concatenate([[0.0], detection, [0.0]])  # so that a peak at an edge is a peak
    distance = max(1.0, refractory_s * rate_hz)
    lowest = threshold if qrs is None else min(threshold, SUPPORTED)
    tops = find_peaks(walled, height=lowest, distance=distance)[0] - 1
    if qrs is not None:
        tops = _supported(tops, detection, qrs, rate_hz, threshold)
    reach = max(1, round(BUMP_S * rate_hz))
    index = tops[:, None] + np.arange(-reach, reach + 1)
    inside = (index >= 0) & (index < detection.size)
    index = np.clip(index, 0, detection.size - 1)
    weight = np.where(inside, detection[index], 0.0)
    total = weight.sum(axis=1)
    shares = (kinds[:, index] * weight).sum(axis=2) / total
    if signal is None:
        time = (index * weight).sum(axis=1) / total
    else:
        time = _largest_deflection(signal, index, inside)
    order = np.argsort(time, kind="stable")
    return BeatPeaks(time[order] / rate_hz, detection[tops[order]], shares[:, order])


def _supported(
    tops: NDArray[np.intp],
    detection: NDArray[np.float32],
    qrs: NDArray[np.float32],
    rate_hz: float,
    threshold: float,
) -> NDArray[np.intp]:
    """Return the peaks from the threshold on, and lower ones alone at a QRS, the highest first."""
    near = max(1, round(QRS_NEAR_S * rate_hz))
    around = np.clip(tops[:, None] + np.arange(-near, near + 1), 0, max(qrs.size - 1, 0))
    sure = detection[tops] >= threshold
    doubtful = tops[~sure & (qrs[around].max(axis=1, initial=0.0) >= SURE_QRS)]
    kept = tops[sure].tolist()
    for top in doubtful[np.argsort(-detection[doubtful], kind="stable")].tolist():
        place = bisect(kept, top)
        neighbours = kept[max(place - 1, 0) : place + 1]
        if all(abs(top - other) >= APART_S * rate_hz for other in neighbours):
            kept.insert(place, top)
    return np.array(kept, dtype=np.intp)


def _check(
    detection: NDArray[np.float32],
    kinds: NDArray[np.float32],
    rate_hz: float,
    signal: NDArray[np.float32] | None,
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
    for name, other in {"signal": signal, "qrs": qrs}.items():
        if other is not None and other.shape != detection.shape:
            raise ValueError(f"{name} {other.shape} does not match {detection.shape}")


def _largest_deflection(
    signal: NDArray[np.float32], index: NDArray[np.intp], inside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the sample in each window where the signal is farthest from the window's median."""
    values = np.nan_to_num(signal[index].astype(np.float64))
    distance = np.abs(values - np.median(values, axis=1, keepdims=True))
    top = np.where(inside, distance, -1.0).argmax(axis=1)
    return np.take_along_axis(index, top[:, None], axis=1)[:, 0].astype(np.float64)
