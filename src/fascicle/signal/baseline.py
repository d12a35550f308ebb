"""Baseline and scale: LOWESS, trimmed mean, gain, z-score; signals are (lead, sample) in mV."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from fascicle.errors import BadRequest
from fascicle.record import Signal
from fascicle.signal.filters import LONG_S, STRETCH_S, bridged, fill_gaps

SILENT_MV = 0.01
EDGE_ROWS = 512


def _tricube(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (1 - d^3)^3 for distances 0..1."""
    rest = 1.0 - distance * distance * distance
    return rest * rest * rest


@lru_cache(maxsize=4)
def _edge_weights(width: int, start: int, stop: int) -> NDArray[np.float32]:
    """Return (point, width) weights of the local line through the first `width` samples.

    Row i gives the line's value at sample `start + i`, which is not the middle of its window. With
    moments S_k = sum(w d^k) of the distances d, the weight of a sample is w (S2 - S1 d) / (S0 S2 -
    S1^2) (Cleveland 1979, degree 1).
    """
    point = np.arange(start, stop, dtype=np.float64)[:, None]
    reach = np.maximum(np.maximum(point, width - 1 - point), 1.0)
    distance = (np.arange(width) - point) / reach
    weight = _tricube(np.abs(distance))
    zeroth = weight.sum(axis=1, keepdims=True)
    first = (weight * distance).sum(axis=1, keepdims=True)
    second = (weight * distance * distance).sum(axis=1, keepdims=True)
    spread = zeroth * second - first * first
    flat = spread <= 1e-12  # a window with one sample of any weight: that sample
    line = weight * (second - first * distance) / np.where(flat, 1.0, spread)
    weights: NDArray[np.float32] = np.where(flat, weight / zeroth, line).astype(np.float32)
    return weights


def _edge(head: Signal, width: int, points: int) -> Signal:
    """Return the local lines at the first `points` samples of `head` (lead, width)."""
    blocks = [
        head @ _edge_weights(width, start, min(start + EDGE_ROWS, points)).T
        for start in range(0, points, EDGE_ROWS)
    ]
    return np.concatenate(blocks, axis=1)


def lowess_baseline(signal: Signal, rate_hz: float, span_s: float = 2.0) -> Signal:
    """Return the LOWESS curve of every lead: local lines, tricube weights, no robust pass.

    Every point takes the 2 * floor(span_s * rate_hz / 2) + 1 nearest samples. On an even grid the
    local line in the middle of its window is a weighted mean with fixed weights, hence one
    convolution; the half windows at both ends are fitted as lines (Cleveland 1979, f = span /
    duration, t = 0). Exact.
    """
    if not span_s > 0:
        raise BadRequest(f"the LOWESS span must be positive, not {span_s} s")
    signal = bridged(signal)
    offset = signal.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    # local lines keep constants; float32 sums are exact to more digits near zero
    filled: Signal = signal - offset
    samples = filled.shape[1]
    half = math.floor(span_s * rate_hz / 2)
    width = 2 * half + 1
    if samples <= width:
        width, left, right = samples, (samples + 1) // 2, samples // 2
    else:
        left = right = half
    curve = np.empty_like(filled)
    if samples > width or half == 0:
        kernel = _tricube(np.abs(np.arange(-half, half + 1)) / max(half, 1)).astype(np.float32)
        kernel /= kernel.sum()
        inner = samples - left - right
        size = inner if samples <= LONG_S * rate_hz else max(round(STRETCH_S * rate_hz), width)
        for lead, row in enumerate(filled):
            for start in range(0, inner, size):  # a whole day at once would take much memory
                stop = min(start + size, inner)
                part = oaconvolve(row[start : stop + width - 1], kernel, mode="valid")
                curve[lead, left + start : left + stop] = part
    if left:
        curve[:, :left] = _edge(filled[:, :width], width, left)
    if right:
        tail = np.ascontiguousarray(filled[:, ::-1][:, :width])
        curve[:, samples - right :] = _edge(tail, width, right)[:, ::-1]
    curve += offset
    return curve


def remove_baseline(signal: Signal, rate_hz: float, span_s: float = 2.0) -> Signal:
    """Return the signal minus its LOWESS curve."""
    signal = bridged(signal)
    curve = lowess_baseline(signal, rate_hz, span_s)
    np.subtract(signal, curve, out=curve)
    return curve


def subtract_trimmed_mean(signal: Signal, share: float = 0.1) -> Signal:
    """Return every lead minus its mean without the lowest and highest `share` of its samples."""
    if not 0 <= share < 0.5:
        raise BadRequest(f"the trimmed share must be in [0, 0.5), not {share}")
    signal = bridged(signal)
    samples = signal.shape[1]
    cut = int(share * samples)
    ordered = np.partition(signal, sorted({cut, samples - cut - 1}), axis=1)
    mean = ordered[:, cut : samples - cut].mean(axis=1, keepdims=True, dtype=np.float64)
    np.subtract(signal, mean.astype(np.float32), out=ordered)
    return ordered


def amplify(signal: Signal, quantile: float = 0.98, target_mv: float = 1.0) -> Signal:
    """Return the signal with one gain for all leads, so that a weak ECG reaches `target_mv`.

    The gain lifts the quantile of the absolute values, over all leads that are not all zero, to
    `target_mv`; an ECG that is there already, or so weak that it is only noise (under 0.01 mV),
    stays as it is.
    """
    if not (0 < quantile <= 1 and target_mv > 0):
        raise BadRequest(f"impossible quantile {quantile} or target {target_mv} mV")
    filled, _ = fill_gaps(signal)
    magnitude = np.abs(filled[filled.any(axis=1)])
    if not magnitude.size:
        return filled
    level = float(np.quantile(magnitude, quantile))
    return filled * np.float32(target_mv / level) if SILENT_MV <= level < target_mv else filled


def zscore(signal: Signal) -> Signal:
    """Return every lead with mean 0 and standard deviation 1; a constant lead becomes zeros."""
    filled, _ = fill_gaps(signal)
    centred = filled - filled.mean(axis=1, keepdims=True, dtype=np.float64)
    spread = centred.std(axis=1, keepdims=True)
    # Rounding of a constant's mean is not a spread.
    constant = spread <= 1e-6 * np.abs(filled).max(axis=1, keepdims=True)
    return np.where(constant, 0.0, centred / np.where(constant, 1.0, spread)).astype(np.float32)
