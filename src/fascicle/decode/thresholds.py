"""Decision thresholds per class, found exactly on validation records."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Metric = Literal["f1", "youden"]
Floats = NDArray[np.float32] | NDArray[np.float64]
WITHOUT_EXAMPLES = 0.5


def decide(probabilities: Floats, thresholds: Floats) -> NDArray[np.bool_]:
    """Return where a probability reaches its class's threshold, (record, class)."""
    return np.asarray(probabilities >= thresholds)


def fit_thresholds(
    labels: NDArray[np.bool_],
    probabilities: Floats,
    known: NDArray[np.bool_] | None = None,
    metric: Metric = "f1",
    weights: Floats | None = None,
) -> NDArray[np.float64]:
    """Return per class the threshold with the best metric, (class,).

    Every cut between two distinct scores is tried; the threshold is the midpoint between them. Of
    equally good cuts the highest is taken. A class without a known positive or negative gets 0.5.

    Parameters
    ----------
    labels, probabilities
        (record, class); what is true, and scores in 0..1.
    known
        (record, class); where the label is known. Everywhere if None.
    metric
        "f1", or "youden" (sensitivity + specificity - 1).
    weights
        (record,); how often a record counts. 1 if None.

    Raises
    ------
    ValueError
        If shapes differ, a known probability is not finite, or a weight is negative.
    """
    known = np.ones(labels.shape, dtype=bool) if known is None else known
    weights = np.ones(labels.shape[0]) if weights is None else weights
    if not labels.shape == probabilities.shape == known.shape or labels.ndim != 2:
        raise ValueError(
            f"labels {labels.shape}, probabilities {probabilities.shape} and known {known.shape} "
            "must have one shape (record, class)"
        )
    if weights.shape != labels.shape[:1] or not (weights >= 0).all():
        raise ValueError("weights must be one number of at least 0 per record")
    if not np.isfinite(probabilities[known]).all():
        raise ValueError("probabilities must be finite where labels are known")
    if metric not in get_args(Metric):
        raise ValueError(f"metric must be one of {get_args(Metric)}, not {metric!r}")
    thresholds = np.full(labels.shape[1], WITHOUT_EXAMPLES)
    for index in range(labels.shape[1]):
        rows = known[:, index]
        thresholds[index] = _best_cut(
            labels[rows, index].astype(bool),
            probabilities[rows, index].astype(np.float64),
            weights[rows].astype(np.float64),
            metric,
        )
    return thresholds


def _best_cut(
    positive: NDArray[np.bool_],
    score: NDArray[np.float64],
    weight: NDArray[np.float64],
    metric: Metric,
) -> float:
    positives, negatives = weight[positive].sum(), weight[~positive].sum()
    if positives == 0 or negatives == 0:
        return WITHOUT_EXAMPLES
    order = np.argsort(-score, kind="stable")
    score, weight, positive = score[order], weight[order], positive[order]
    cut = np.append(score[1:] < score[:-1], True)  # a cut only below the last of equal scores
    hits = np.cumsum(weight * positive)[cut]
    alarms = np.cumsum(weight * ~positive)[cut]
    if metric == "f1":
        value = 2 * hits / (hits + alarms + positives)
    else:
        value = hits / positives - alarms / negatives
    upper = score[cut]
    lower = np.append(upper[1:], min(0.0, float(upper[-1])))
    best = int(np.argmax(value))
    middle = lower[best] + (upper[best] - lower[best]) / 2
    return float(middle if middle > lower[best] else upper[best])
