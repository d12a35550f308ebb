"""Decision thresholds, found exactly on validation records: every distinct score is a cut.

One per class, or one for all; for F1 and Youden's index in closed form, for any other score by
trial. The thresholds of the Challenge score are in `challenge`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Metric = Literal["f1", "youden"]
Floats = NDArray[np.float32] | NDArray[np.float64]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]
WITHOUT_EXAMPLES = 0.5
ROUNDING = 1e-12
"""Two values are equally good if they differ by less, relative to the largest."""


def decide(probabilities: Floats, thresholds: Floats | float) -> Bools:
    """Return where a probability reaches its class's threshold, (record, class)."""
    return np.asarray(probabilities.astype(np.float64) >= thresholds)  # float32 would round them


def fit_thresholds(
    labels: Bools,
    probabilities: Floats,
    known: Bools | None = None,
    metric: Metric = "f1",
    weights: Floats | None = None,
) -> Doubles:
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
    known, weights = _validate(labels, probabilities, known, metric, weights)
    thresholds = np.full(labels.shape[1], WITHOUT_EXAMPLES)
    for index in range(labels.shape[1]):
        rows = known[:, index]
        found = _curve(labels[rows, index], probabilities[rows, index], weights[rows], metric)
        if found is not None:
            thresholds[index] = best_cut(*found)
    return thresholds


def fit_global_threshold(
    labels: Bools,
    probabilities: Floats,
    known: Bools | None = None,
    metric: Metric = "f1",
    weights: Floats | None = None,
) -> float:
    """Return the one threshold with the best mean of the classes' metric (macro F1, ...).

    Parameters, cuts and refusals are those of `fit_thresholds`. Classes without a known positive
    or negative do not count; if there is no other class, the threshold is 0.5.
    """
    known, weights = _validate(labels, probabilities, known, metric, weights)
    scores, gains = [], []
    for index in range(labels.shape[1]):
        rows = known[:, index]
        found = _curve(labels[rows, index], probabilities[rows, index], weights[rows], metric)
        if found is not None:
            scores.append(found[0])
            gains.append(np.diff(found[1], prepend=0.0))
    if not scores:
        return WITHOUT_EXAMPLES
    return best_cut(*accumulate(np.concatenate(scores), np.concatenate(gains)))


def search_threshold(probabilities: Floats, score: Callable[[Bools], float]) -> float:
    """Return the one threshold with the best score of the outputs, for any score.

    Slow: `score` is called with the outputs (record, class) of each distinct probability. One that
    is not a number (NaN) counts as the worst; if all are, or there is no record, it is 0.5.

    Raises
    ------
    ValueError
        If a probability is not finite.
    """
    if not np.isfinite(probabilities).all():
        raise ValueError("probabilities must be finite")
    cuts = np.append(np.inf, np.unique(probabilities)[::-1].astype(np.float64))
    values = np.nan_to_num([score(decide(probabilities, cut)) for cut in cuts], nan=-np.inf)
    if probabilities.size == 0 or not np.isfinite(values).any():
        return WITHOUT_EXAMPLES
    return best_cut(cuts[1:], values[1:], none=float(values[0]))


def search_thresholds(
    probabilities: Floats, score: Callable[[Bools], float], start: Floats | float
) -> Doubles:
    """Return one threshold per class, (class,), by coordinate ascent on any score of the outputs.

    For one class after the other all its cuts are tried, until no class improves: no change of one
    threshold is better, a change of several may be. Slow, as `search_threshold`, for every class.
    """
    thresholds = np.full(probabilities.shape[1], start, dtype=np.float64)
    outputs = decide(probabilities, thresholds)
    best, improved = score(outputs), True
    while improved:
        improved = False
        for index, column in enumerate(probabilities.T):

            def score_column(flags: Bools, index: int = index) -> float:
                changed = outputs.copy()
                changed[:, index] = flags[:, 0]
                return score(changed)

            cut = search_threshold(column[:, None], score_column)
            value = score_column(decide(column[:, None], cut))
            if value > best + ROUNDING * abs(value) or (np.isnan(best) and not np.isnan(value)):
                best, improved, thresholds[index] = value, True, cut
                outputs[:, index] = decide(column, cut)
    return thresholds


def accumulate(scores: Doubles, gains: Doubles) -> tuple[Doubles, Doubles]:
    """Return the distinct scores, falling, and the sum of all gains down to each."""
    order = np.argsort(-scores, kind="stable")
    scores = scores[order]
    last = np.append(scores[1:] < scores[:-1], True)  # a cut only below the last of equal scores
    return scores[last], np.cumsum(gains[order])[last]


def best_cut(scores: Doubles, values: Doubles, none: float = -np.inf) -> float:
    """Return the threshold of the highest of the best values.

    Parameters
    ----------
    scores
        Distinct, falling; the highest is the first to be let in.
    values
        What is reached if everything from this score on is let in.
    none
        What is reached if nothing is.
    """
    top = max(float(values.max()), none)
    least = top - ROUNDING * max(1.0, abs(top))
    if none >= least:
        above = scores[0] + (1.0 - scores[0]) / 2
        return float(above if above > scores[0] else np.nextafter(scores[0], np.inf))
    best = int(np.argmax(values >= least))
    upper = float(scores[best])
    lower = float(scores[best + 1]) if best + 1 < len(scores) else min(0.0, upper)
    middle = lower + (upper - lower) / 2
    return middle if middle > lower else upper


def _validate(
    labels: Bools,
    probabilities: Floats,
    known: Bools | None,
    metric: Metric,
    weights: Floats | None,
) -> tuple[Bools, Doubles]:
    known = np.ones(labels.shape, dtype=bool) if known is None else known
    if not labels.shape == probabilities.shape == known.shape or labels.ndim != 2:
        raise ValueError(
            f"labels {labels.shape}, probabilities {probabilities.shape} and known {known.shape} "
            "must have one shape (record, class)"
        )
    if not np.isfinite(probabilities[known]).all():
        raise ValueError("probabilities must be finite where labels are known")
    if metric not in get_args(Metric):
        raise ValueError(f"metric must be one of {get_args(Metric)}, not {metric!r}")
    return known, validate_weights(weights, len(labels))


def validate_weights(weights: Floats | None, records: int) -> Doubles:
    """Return weights (record,), 1 if None. Raises ValueError for another shape or negative ones."""
    found = np.ones(records) if weights is None else weights.astype(np.float64)
    if found.shape != (records,) or not (found >= 0).all() or not np.isfinite(found).all():
        raise ValueError("weights must be one finite number of at least 0 per record")
    return found


def _curve(
    labels: Bools, scores: Floats, weights: Doubles, metric: Metric
) -> tuple[Doubles, Doubles] | None:
    """Return one class's distinct scores, falling, and the metric at each; None if undefined."""
    positive, score = labels.astype(bool), scores.astype(np.float64)
    positives, negatives = weights[positive].sum(), weights[~positive].sum()
    if positives == 0 or negatives == 0:
        return None
    cuts, hits = accumulate(score, weights * positive)
    _, alarms = accumulate(score, weights * ~positive)
    if metric == "f1":
        return cuts, 2 * hits / (hits + alarms + positives)
    return cuts, hits / positives - alarms / negatives
