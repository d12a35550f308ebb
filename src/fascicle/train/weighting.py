"""Weights of classes that follow the validation: (weights, scores) -> new weights.

Weights are float64 (class,), above 0, with mean 1. They multiply the weights that
`losses.normalise` gives, and as a tensor they travel in checkpoints.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]


def raised(
    weights: Weights,
    scores: NDArray[np.float64],
    *,
    strength: float = 1.0,
    limit: float = 4.0,
) -> Weights:
    """Return weights that are raised for classes whose score is below the mean, lowered above it.

    w_k <- w_k exp(strength (mean(scores) - scores_k)), scaled to mean 1 and kept in
    [1 / limit, limit]. Ren et al. 2021 (3.1) raise the weights of the classes that are weak in
    validation by hand; this is our rule for it. F1 or AUPRC tells weak classes; accuracy does not,
    because saying no to a rare class is nearly always right.

    Parameters
    ----------
    weights
        (class,) of the last validation; ones at the start.
    scores
        (class,), more is better, 0 to 1; a class whose score is NaN is not moved.
    strength
        How fast; 1 raises a class that is 0.1 below the mean by a tenth.
    limit
        Largest weight, and one over the smallest; at least 1.

    Raises
    ------
    ValueError
        For other shapes, weights that are not above 0, infinite scores, a negative strength, or a
        limit below 1.
    """
    if weights.ndim != 1 or weights.shape != scores.shape or not len(weights):
        raise ValueError(
            f"expected weights and scores (class,), not {weights.shape} and {scores.shape}"
        )
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise ValueError("weights must be finite and above 0")
    if np.isinf(scores).any():
        raise ValueError("scores must be finite, or NaN where undefined")
    if not (0 <= strength < np.inf and 1 <= limit < np.inf):
        raise ValueError(f"strength {strength} must be at least 0 and limit {limit} at least 1")
    known = ~np.isnan(scores)
    gap = np.zeros(len(scores))
    if known.any():
        gap[known] = scores[known].mean() - scores[known]
    return _scaled(np.log(weights) + strength * gap, limit)


def _scaled(logs: Weights, limit: float) -> Weights:
    """Return exp(logs + c) kept within the limits, with the c that gives it mean 1."""
    edge = np.log(limit)
    low, high = -edge - logs.max(), edge - logs.min()  # all at the lower, all at the upper limit
    for _ in range(60):
        middle = (low + high) / 2
        if np.exp(np.clip(logs + middle, -edge, edge)).mean() < 1:
            low = middle
        else:
            high = middle
    return np.asarray(np.exp(np.clip(logs + high, -edge, edge)), dtype=np.float64)
