"""Scores of multi-label statements: AUROC, AUPRC, F1, precision and recall per class.

Arrays are (record, class). `known` says for which records a class was judged at all (a data set
without a label system leaves it unknown); the others count nowhere. A class needs a positive and
a negative among its known records, else its scores are NaN; `scorable` tells which, and `macro`
averages the rest. Tied scores share their rank: half a win in AUROC, one threshold in AUPRC.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fascicle.metrics.counts import Floats, f1_score, predictivity, ratio, sensitivity

Bools = NDArray[np.bool_]
Ranking = Callable[[Bools, Floats, Floats], Floats]


def validate_flags(name: str, values: NDArray[Any]) -> Bools:
    """Return boolean or 0/1 values as booleans (record, class). Raises ValueError."""
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"{name} must have shape (record, class), not empty, not {values.shape}")
    if values.dtype != np.bool_ and not np.isin(values, (0, 1)).all():
        raise ValueError(f"{name} must be boolean or 0 and 1")
    return values.astype(np.bool_)


def validate_scores(name: str, scores: NDArray[Any], shape: tuple[int, ...]) -> Floats:
    """Return scores as float64. Raises ValueError for another shape or any NaN."""
    if scores.shape != shape:
        raise ValueError(f"{name} must have the shape of the labels, {shape}, not {scores.shape}")
    values = scores.astype(np.float64)
    if np.isnan(values).any():
        record, column = np.argwhere(np.isnan(values))[0]
        raise ValueError(f"{name} must not be NaN: record {record}, class {column}")
    return values


def validate_known(known: NDArray[Any] | None, shape: tuple[int, ...]) -> Bools:
    """Return the mask of judged (record, class) pairs; None means all. Raises ValueError."""
    if known is None:
        return np.ones(shape, dtype=np.bool_)
    if known.shape != shape:
        raise ValueError(f"known must have the shape of the labels, {shape}, not {known.shape}")
    return validate_flags("known", known)


def scorable(labels: NDArray[Any], known: NDArray[Any] | None = None) -> Bools:
    """Return which classes have a positive and a negative among their known records, (class,)."""
    flags = validate_flags("labels", labels)
    judged = validate_known(known, flags.shape)
    return np.asarray((flags & judged).any(axis=0) & (~flags & judged).any(axis=0))


def weighted_auroc(labels: Bools, scores: Floats, weights: Floats) -> Floats:
    """Return the AUROC of one class under each column of weights, (record, draw) -> (draw,).

    The share of (positive, negative) pairs in order, ties half (Hanley & McNeil 1982). NaN where
    a draw has no positive or no negative. With weights that are counts the result is exact.
    """
    positives, negatives = _ordered(labels, scores, weights), _ordered(~labels, scores, weights)
    below = _accumulate(negatives[1])
    first = np.searchsorted(negatives[0], positives[0], side="left")
    beyond = np.searchsorted(negatives[0], positives[0], side="right")
    wins = (positives[1] * (below[first] + below[beyond])).sum(axis=0) / 2
    return ratio(wins, positives[1].sum(axis=0) * below[-1])


def weighted_auprc(labels: Bools, scores: Floats, weights: Floats) -> Floats:
    """Return the average precision of one class under each column of weights -> (draw,).

    The mean over positives of the precision at their own score, which is the sum of recall steps
    times precision without interpolation. NaN where a draw has no positive or no negative.
    """
    positives, negatives = _ordered(labels, scores, weights), _ordered(~labels, scores, weights)
    hits, alarms = _accumulate(positives[1]), _accumulate(negatives[1])
    tp = hits[-1] - hits[np.searchsorted(positives[0], positives[0], side="left")]
    fp = alarms[-1] - alarms[np.searchsorted(negatives[0], positives[0], side="left")]
    precision = np.divide(tp, tp + fp, out=np.zeros_like(tp), where=tp + fp > 0)
    value = ratio((positives[1] * precision).sum(axis=0), hits[-1])
    return np.where(alarms[-1] > 0, value, np.nan)


def _ordered(chosen: Bools, scores: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return the chosen scores ascending, and their rows of weights."""
    rows = np.flatnonzero(chosen)
    rows = rows[np.argsort(scores[rows], kind="stable")]
    return scores[rows], weights[rows]


def _accumulate(weights: Floats) -> Floats:
    """Return sums of the first 0, 1, .. rows: (row, draw) -> (row + 1, draw)."""
    sums = np.zeros((weights.shape[0] + 1, weights.shape[1]))
    np.cumsum(weights, axis=0, out=sums[1:])
    return sums


def _per_class(
    measure: Ranking, labels: NDArray[Any], scores: NDArray[Any], known: NDArray[Any] | None
) -> Floats:
    flags = validate_flags("labels", labels)
    values = validate_scores("scores", scores, flags.shape)
    judged = validate_known(known, flags.shape)
    once = np.ones((flags.shape[0], 1))
    result = np.empty(flags.shape[1])
    for column, rows in enumerate(judged.T):
        result[column] = measure(flags[rows, column], values[rows, column], once[rows])[0]
    return result


def auroc(labels: NDArray[Any], scores: NDArray[Any], known: NDArray[Any] | None = None) -> Floats:
    """Return the area under the ROC curve of each class, (class,).

    Parameters
    ----------
    labels
        (record, class), boolean or 0 and 1.
    scores
        (record, class), higher means more likely; any monotone scale, infinite is allowed.
    known
        (record, class), False leaves the record out for that class; None knows all.

    Raises
    ------
    ValueError
        For other shapes, no records, labels that are not 0 or 1, or a NaN score.
    """
    return _per_class(weighted_auroc, labels, scores, known)


def auprc(labels: NDArray[Any], scores: NDArray[Any], known: NDArray[Any] | None = None) -> Floats:
    """Return the average precision of each class, (class,). Parameters as `auroc`."""
    return _per_class(weighted_auprc, labels, scores, known)


def decision_counts(
    labels: NDArray[Any], decisions: NDArray[Any], known: NDArray[Any] | None = None
) -> NDArray[np.int64]:
    """Return tp, fp, fn and tn of each class, (class, 4): sums over records add up.

    `decisions` are boolean or 0 and 1, (record, class); `labels` and `known` as in `auroc`.
    """
    wanted, found = validate_flags("labels", labels), validate_flags("decisions", decisions)
    if found.shape != wanted.shape:
        raise ValueError(
            f"decisions must have the shape of the labels, {wanted.shape}, not {found.shape}"
        )
    judged = validate_known(known, wanted.shape)
    cells = (wanted & found, ~wanted & found, wanted & ~found, ~wanted & ~found)
    return np.stack([(cell & judged).sum(axis=0) for cell in cells], axis=1)


def count_scores(counts: NDArray[Any]) -> dict[str, Floats]:
    """Return f1, precision and recall from (..., class, 4) tp, fp, fn, tn -> (..., class).

    NaN without a positive or without a negative. Precision is 0 where nothing was predicted.
    """
    if counts.ndim < 1 or counts.shape[-1] != 4:
        raise ValueError(f"counts must have shape (..., class, 4), not {counts.shape}")
    tp, fp, fn, tn = np.moveaxis(counts, -1, 0)
    judged = (tp + fn > 0) & (fp + tn > 0)
    values = {
        "f1": f1_score(tp, fp, fn),
        "precision": predictivity(tp, fp, fn),
        "recall": sensitivity(tp, fn),
    }
    return {key: np.where(judged, value, np.nan) for key, value in values.items()}


def f1(labels: NDArray[Any], decisions: NDArray[Any], known: NDArray[Any] | None = None) -> Floats:
    """Return F1 of each class, (class,). Parameters as `decision_counts`."""
    return count_scores(decision_counts(labels, decisions, known))["f1"]


def precision(
    labels: NDArray[Any], decisions: NDArray[Any], known: NDArray[Any] | None = None
) -> Floats:
    """Return the precision (PPV) of each class, (class,). Parameters as `decision_counts`."""
    return count_scores(decision_counts(labels, decisions, known))["precision"]


def recall(
    labels: NDArray[Any], decisions: NDArray[Any], known: NDArray[Any] | None = None
) -> Floats:
    """Return the recall (sensitivity) of each class, (class,). Parameters as `decision_counts`."""
    return count_scores(decision_counts(labels, decisions, known))["recall"]


def macro(values: Floats) -> Floats:
    """Return the mean over the classes (last axis) that are not NaN; NaN if all are."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))


def classification_scores(
    labels: NDArray[Any],
    scores: NDArray[Any],
    decisions: NDArray[Any],
    classes: Sequence[str],
    known: NDArray[Any] | None = None,
) -> dict[str, float]:
    """Return all scores by name: "macro.auroc", "NORM.f1", ... and "macro.classes".

    "macro.classes" is the number of classes that entered the averages; a class that did not has
    NaN in each of its own scores. Parameters as `auroc` and `decision_counts`.
    """
    if len(classes) != labels.shape[-1] or len(set(classes)) != len(classes):
        raise ValueError(f"{len(classes)} class names, all different, must fit {labels.shape}")
    by_measure = {"auroc": auroc(labels, scores, known), "auprc": auprc(labels, scores, known)}
    by_measure |= count_scores(decision_counts(labels, decisions, known))
    result = {"macro.classes": float(scorable(labels, known).sum())}
    for measure, values in by_measure.items():
        result[f"macro.{measure}"] = float(macro(values))
        for name, value in zip(classes, values, strict=True):
            result[f"{name}.{measure}"] = float(value)
    return result
