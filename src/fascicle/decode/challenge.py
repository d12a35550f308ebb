"""Thresholds with the best official score of the PhysioNet/CinC Challenge 2021.

A record with labels y and outputs x earns y W x / n, n = max(1, classes in y or x), W the rewards;
the score is the weighted sum over records, shifted and scaled by constants of the labels (Reyna et
al., "Will two do?", Computing in Cardiology 2021), so that the best sum has the best score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fascicle.decode.thresholds import (
    ROUNDING,
    WITHOUT_EXAMPLES,
    Bools,
    Doubles,
    Floats,
    accumulate,
    best_cut,
    validate_weights,
)

RECORD_WEIGHTS: Mapping[str, float] = MappingProxyType({"cinc2021/E": 21.0, "cinc2021/A": 7.0})
"""Beginning of a key -> how often the record counts: Georgia 21 times, CPSC 7 times, so that
validation looks more like the hidden test (Ren, Xiong, Hooi, Computing in Cardiology 2021)."""


def record_weights(keys: Iterable[str]) -> Doubles:
    """Return how often each record counts, (record,), by its key; 1 if not in RECORD_WEIGHTS."""
    return np.array(
        [next((w for s, w in RECORD_WEIGHTS.items() if key.startswith(s)), 1.0) for key in keys]
    )


def fit_challenge_threshold(
    labels: Bools,
    probabilities: Floats,
    reward: NDArray[np.float64],
    normal_index: int,
    weights: Floats | None = None,
) -> float:
    """Return the one threshold of all classes with the best score.

    Every cut between two distinct scores is tried, and the one above all; of equally good ones the
    highest is taken. 0.5 if the labels earn no more than sinus rhythm everywhere would.

    Parameters
    ----------
    labels, probabilities
        (record, class); what is true, and scores in 0..1.
    reward
        (class, class); rows are labels.
    normal_index
        Column of sinus rhythm.
    weights
        (record,); how often a record counts. 1 if None.

    Raises
    ------
    ValueError
        If shapes do not fit, a number is not finite, or a weight is negative.
    """
    earned, weights = _validate(labels, probabilities, reward, normal_index, weights)
    if not _is_defined(labels, earned, weights, normal_index):
        return WITHOUT_EXAMPLES
    # per record, its classes by falling score: what it earns when each of them has come in
    order = np.argsort(-probabilities, axis=1, kind="stable")
    numerator = np.cumsum(np.take_along_axis(earned, order, axis=1), axis=1)
    extra = np.cumsum(np.take_along_axis(~labels, order, axis=1), axis=1)
    value = numerator / np.maximum(labels.sum(axis=1, keepdims=True) + extra, 1)
    gains = weights[:, None] * np.diff(value, axis=1, prepend=0.0)
    scores = np.take_along_axis(probabilities, order, axis=1).astype(np.float64)
    return best_cut(*accumulate(scores.ravel(), gains.ravel()), none=0.0)


def fit_challenge_thresholds(
    labels: Bools,
    probabilities: Floats,
    reward: NDArray[np.float64],
    normal_index: int,
    weights: Floats | None = None,
    start: Floats | float | None = None,
) -> Doubles:
    """Return one threshold per class, (class,), by coordinate ascent on the score.

    For one class after the other all its cuts are tried exactly, until no class improves: no change
    of one threshold is better, a change of several may be.

    Parameters
    ----------
    start
        Thresholds to begin with, (class,) or one number; None: `fit_challenge_threshold`. A class
        that cannot gain keeps its own.
    others
        As `fit_challenge_threshold`, with its refusals.
    """
    earned, weights = _validate(labels, probabilities, reward, normal_index, weights)
    if start is None:
        start = fit_challenge_threshold(labels, probabilities, reward, normal_index, weights)
    thresholds = np.full(labels.shape[1], start, dtype=np.float64)
    if not _is_defined(labels, earned, weights, normal_index):
        return thresholds
    scores = probabilities.astype(np.float64)
    outputs = scores >= thresholds
    improved = True
    while improved:
        improved = False
        for index in range(labels.shape[1]):
            gain = weights * _gain(labels, outputs, earned, index)
            cuts, values = accumulate(scores[:, index], gain)
            now = float(gain[outputs[:, index]].sum())
            if max(float(values.max()), 0.0) > now + ROUNDING * weights.sum():
                thresholds[index] = best_cut(cuts, values, none=0.0)
                outputs[:, index] = scores[:, index] >= thresholds[index]
                improved = True
    return thresholds


def _gain(labels: Bools, outputs: Bools, earned: Doubles, index: int) -> Doubles:
    """Return what each record earns more with this class in its outputs than without, (record,).

    With numerator s and classes n of all the others: (s + e) / max(1, n + 1) - s / max(1, n), where
    n + 1 is n if the class is among the labels.
    """
    others = outputs.copy()
    others[:, index] = False
    numerator = (earned * others).sum(axis=1)
    without = (labels | others).sum(axis=1)
    with_it = without + ~labels[:, index]
    gain: Doubles = (numerator + earned[:, index]) / np.maximum(with_it, 1)
    gain -= numerator / np.maximum(without, 1)
    return gain


def _is_defined(labels: Bools, earned: Doubles, weights: Doubles, normal_index: int) -> bool:
    """Return whether the right answer earns more than "sinus rhythm" for every record."""
    count = labels.sum(axis=1)
    right = weights @ ((earned * labels).sum(axis=1) / np.maximum(count, 1))
    idle = weights @ (earned[:, normal_index] / np.maximum(count + ~labels[:, normal_index], 1))
    return bool(right > idle)


def _validate(
    labels: Bools,
    probabilities: Floats,
    reward: NDArray[np.float64],
    normal_index: int,
    weights: Floats | None,
) -> tuple[Doubles, Doubles]:
    """Return what each record earns by each output, before its divisor, and the weights."""
    if labels.dtype != np.bool_ or labels.ndim != 2 or labels.shape != probabilities.shape:
        raise ValueError(
            f"labels {labels.shape}, booleans, and probabilities {probabilities.shape} "
            "must have one shape (record, class)"
        )
    classes = labels.shape[1]
    if not np.isfinite(probabilities).all():
        raise ValueError("probabilities must be finite")
    if reward.shape != (classes, classes) or not np.isfinite(reward).all():
        raise ValueError(f"reward must be finite, ({classes}, {classes}), not {reward.shape}")
    if not 0 <= normal_index < classes:
        raise ValueError(f"normal_index must be in 0..{classes - 1}, not {normal_index}")
    return labels @ reward, validate_weights(weights, len(labels))
