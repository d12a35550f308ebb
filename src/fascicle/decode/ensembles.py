"""Answers of several nets to one question become one: the mean, or the vote of the majority.

Arrays are (member, class) per record; a decision is a probability that reaches its threshold.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Vote = Literal["mean", "majority"]
Array = NDArray[np.float32]
LOWEST = np.float32(-1.0)


def mean_thresholds(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the members' mean threshold per class, (class,), as a number of 32 bits up to 1."""
    mean = np.minimum(thresholds.mean(axis=0), 1.0).astype(np.float32)
    return np.asarray(mean, dtype=np.float64)


def combine(probabilities: Array, thresholds: NDArray[np.float64], vote: Vote) -> Array:
    """Return the members' mean or their `majority` per class, (class,), of (member, class)."""
    if vote == "majority":
        return majority(probabilities, thresholds)
    mean: Array = probabilities.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def majority(probabilities: Array, thresholds: NDArray[np.float64]) -> Array:
    """Return per class a number that reaches `mean_thresholds` where most members decide so.

    It is the mean threshold plus the margin (probability less own threshold) of the member whose
    vote turns the decision: more than half of the members have at least this margin. If all have
    one threshold, it is the median of their probabilities (of an even number, the lower one).

    Parameters
    ----------
    probabilities
        (member, class), 0..1.
    thresholds
        (member, class), each member's own.

    Raises
    ------
    ValueError
        If shapes differ.
    """
    if probabilities.shape != thresholds.shape or probabilities.ndim != 2:
        raise ValueError(
            f"probabilities {probabilities.shape} and thresholds {thresholds.shape} must have one "
            "shape (member, class)"
        )
    threshold = mean_thresholds(thresholds)
    margins = np.sort(probabilities.astype(np.float64) - thresholds, axis=0)
    turning = margins[(len(margins) - 1) // 2]  # of 3 the second, of 4 the second lowest
    value = np.clip(threshold + turning, 0.0, 1.0).astype(np.float32)
    # rounding must not turn a vote
    reached = threshold.astype(np.float32)
    below = np.nextafter(reached, LOWEST)
    found: Array = np.where(turning >= 0, np.maximum(value, reached), np.minimum(value, below))
    return found
