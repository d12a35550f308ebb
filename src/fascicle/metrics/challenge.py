"""The official scores of the PhysioNet/CinC Challenge 2021, equal to the organisers' program.

Arrays are (record, class) over the scored classes. The definitions differ from `classification`
in corners, and those are kept: AUPRC of a class without negatives is 1, and F is defined
without negatives. Reyna et al., "Will two do?", Computing in Cardiology 2021;
github.com/physionetchallenges/evaluation-2021 (BSD 2-Clause) is the reference, none of it is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fascicle.metrics.classification import (
    Bools,
    auprc,
    auroc,
    macro,
    validate_flags,
    validate_scores,
)
from fascicle.metrics.counts import Floats, f1_score


@dataclass(frozen=True, slots=True, eq=False)
class ChallengeScores:
    """The five official scores, and three of them per class, (class,); undefined is NaN."""

    auroc: float
    auprc: float
    accuracy: float
    f_measure: float
    challenge_metric: float
    auroc_classes: Floats
    auprc_classes: Floats
    f_measure_classes: Floats


def challenge_score(
    labels: NDArray[Any], outputs: NDArray[Any], weights: NDArray[Any], normal_index: int
) -> float:
    """Return the Challenge metric: 1 for the right labels, 0 for always "sinus rhythm".

    Each record adds 1/n to A[j, k] for every label j and output k, n = max(1, classes that are
    label or output); the metric is sum(weights * A), scaled by the right and the inactive answer;
    0 where these two are equal.

    Parameters
    ----------
    labels, outputs
        (record, class), boolean or 0 and 1.
    weights
        (class, class) rewards, rows are labels.
    normal_index
        Column of sinus rhythm (426783006).

    Raises
    ------
    ValueError
        For other shapes, no records, or weights that are not finite.
    """
    wanted, found = validate_flags("labels", labels), validate_flags("outputs", outputs)
    classes = wanted.shape[1]
    if found.shape != wanted.shape:
        raise ValueError(f"outputs must have the labels' shape {wanted.shape}, not {found.shape}")
    if weights.shape != (classes, classes) or not np.isfinite(weights).all():
        raise ValueError(f"weights must be finite, ({classes}, {classes}), not {weights.shape}")
    if not 0 <= normal_index < classes:
        raise ValueError(f"normal_index must be in 0..{classes - 1}, not {normal_index}")
    inactive = np.zeros_like(wanted)
    inactive[:, normal_index] = True
    observed, right, idle = (
        _reward(wanted, answer, weights) for answer in (found, wanted, inactive)
    )
    return (observed - idle) / (right - idle) if right != idle else 0.0


def _reward(labels: Bools, outputs: Bools, weights: NDArray[Any]) -> float:
    share = labels / np.maximum((labels | outputs).sum(axis=1, keepdims=True), 1)
    return float(np.sum(weights * (share.T @ outputs)))


def challenge_scores(
    labels: NDArray[Any],
    outputs: NDArray[Any],
    scores: NDArray[Any],
    weights: NDArray[Any],
    normal_index: int,
) -> ChallengeScores:
    """Return all official scores.

    `scores` are floats (record, class), not NaN (the official program reads NaN as 0: decide that
    where files are read); the rest as in `challenge_score`.
    """
    metric = challenge_score(labels, outputs, weights, normal_index)
    wanted, found = validate_flags("labels", labels), validate_flags("outputs", outputs)
    values = validate_scores("scores", scores, wanted.shape)
    f_measures = f1_score(
        (wanted & found).sum(axis=0), (~wanted & found).sum(axis=0), (wanted & ~found).sum(axis=0)
    )
    rocs, prcs = auroc(wanted, values), auprc(wanted, values)
    prcs[wanted.all(axis=0)] = 1.0  # every threshold has precision 1
    return ChallengeScores(
        auroc=float(macro(rocs)),
        auprc=float(macro(prcs)),
        accuracy=float((wanted == found).all(axis=1).mean()),
        f_measure=float(macro(f_measures)),
        challenge_metric=metric,
        auroc_classes=rocs,
        auprc_classes=prcs,
        f_measure_classes=f_measures,
    )
