"""One temperature per class makes probabilities mean what they say (Guo et al. 2017, eq. 9)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit

Floats = NDArray[np.float32] | NDArray[np.float64]
COLDEST, HOTTEST = 0.1, 10.0


def apply_temperature(logits: Floats, temperatures: Floats) -> NDArray[np.float32]:
    """Return sigmoid(logits / temperature), (record, class); safe for any finite logit."""
    return np.asarray(expit(logits.astype(np.float64) / temperatures), dtype=np.float32)


def fit_temperatures(
    labels: NDArray[np.bool_],
    logits: Floats,
    known: NDArray[np.bool_] | None = None,
    fewest: int = 10,
) -> NDArray[np.float64]:
    """Return per class the temperature in 0.1..10 with the least log loss, (class,).

    The loss is convex in 1 / temperature, so the bounded search finds its one minimum. A class
    with fewer than `fewest` known positives or negatives keeps 1.

    Parameters
    ----------
    labels, logits
        (record, class); what is true, and the net's output before the sigmoid.
    known
        (record, class); where the label is known. Everywhere if None.
    fewest
        Known positives, and negatives, that a temperature needs.

    Raises
    ------
    ValueError
        If shapes differ or a known logit is not finite.
    """
    known = np.ones(labels.shape, dtype=bool) if known is None else known
    if not labels.shape == logits.shape == known.shape or labels.ndim != 2:
        raise ValueError(
            f"labels {labels.shape}, logits {logits.shape} and known {known.shape} "
            "must have one shape (record, class)"
        )
    if not np.isfinite(logits[known]).all():
        raise ValueError("logits must be finite where labels are known")
    temperatures = np.ones(labels.shape[1])
    for index in range(labels.shape[1]):
        rows = known[:, index]
        positive = labels[rows, index].astype(bool)
        if min(positive.sum(), (~positive).sum()) >= max(fewest, 1):
            logit = logits[rows, index].astype(np.float64)
            temperatures[index] = _coolest(np.where(positive, logit, -logit))
    return temperatures


def _coolest(margin: NDArray[np.float64]) -> float:
    """Return the temperature with the least mean of log(1 + exp(-margin / temperature))."""

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0.0, -margin * math.exp(-log_temperature)).mean())

    bounds = (math.log(COLDEST), math.log(HOTTEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return math.exp(float(found.x))
