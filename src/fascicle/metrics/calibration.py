"""How far probabilities can be believed: Brier score and expected calibration error.

Arrays are (record, class); `known` leaves (record, class) pairs out, as in `classification`.
Both need no negative or positive: a class is NaN only if nobody knows it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fascicle.metrics.classification import (
    Bools,
    validate_flags,
    validate_known,
    validate_scores,
)
from fascicle.metrics.counts import Floats, ratio


def brier(
    labels: NDArray[Any], probabilities: NDArray[Any], known: NDArray[Any] | None = None
) -> Floats:
    """Return the mean squared difference of probability and label (Brier 1950), (class,).

    Parameters
    ----------
    labels
        (record, class), boolean or 0 and 1.
    probabilities
        (record, class), 0..1.
    known
        (record, class), False leaves the record out for that class; None knows all.

    Raises
    ------
    ValueError
        For other shapes, no records, or probabilities that are NaN or outside 0..1.
    """
    flags, values, judged = _validate(labels, probabilities, known)
    squares = np.where(judged, np.square(values - flags), 0.0)
    return ratio(squares.sum(axis=0), judged.sum(axis=0))


def calibration_error(
    labels: NDArray[Any],
    probabilities: NDArray[Any],
    known: NDArray[Any] | None = None,
    *,
    bins: int = 15,
) -> Floats:
    """Return the expected calibration error of each class, (class,).

    The positive class's probabilities fall into `bins` of equal width, [k/bins, (k+1)/bins), the
    last one closed; the error is the mean over records of |mean probability - share of positives|
    of their bin (Naeini et al., AAAI 2015; Guo et al., ICML 2017, eq. 3). Parameters as `brier`.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")
    flags, values, judged = _validate(labels, probabilities, known)
    classes = flags.shape[1]
    place = np.minimum((values * bins).astype(np.intp), bins - 1)
    cell = place + bins * np.arange(classes)  # one run of bins per class
    surplus = np.bincount(
        cell[judged], weights=(values - flags)[judged], minlength=bins * classes
    ).reshape(classes, bins)
    return ratio(np.abs(surplus).sum(axis=1), judged.sum(axis=0))


def _validate(
    labels: NDArray[Any], probabilities: NDArray[Any], known: NDArray[Any] | None
) -> tuple[Bools, Floats, Bools]:
    flags = validate_flags("labels", labels)
    values = validate_scores("probabilities", probabilities, flags.shape)
    if values.min() < 0 or values.max() > 1:
        raise ValueError(f"probabilities must be in 0..1, found {values.min()} to {values.max()}")
    return flags, values, validate_known(known, flags.shape)
