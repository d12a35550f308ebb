"""Ratios of hit counts, shared by every score of this room.

`tp` are hits, `fp` false alarms and `fn` misses: arrays of one shape, or numbers. A ratio without
a case to judge is NaN. Where cases exist but nothing was predicted, PPV is 0, not NaN, so that
silence is never rewarded by an average that leaves NaN out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """Return numerator / denominator, NaN where the denominator is zero."""
    top = np.asarray(numerator, dtype=np.float64)
    bottom = np.asarray(denominator, dtype=np.float64)
    top, bottom = np.broadcast_arrays(top, bottom)
    result = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=result, where=bottom != 0)
    return result


def sensitivity(tp: ArrayLike, fn: ArrayLike) -> Floats:
    """Return tp / (tp + fn), also called recall; NaN without reference cases."""
    return ratio(tp, np.add(tp, fn))


def predictivity(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike) -> Floats:
    """Return tp / (tp + fp), also called PPV or precision.

    Without predictions it is 0 where reference cases exist (`fn` > 0), and NaN where none do.
    """
    value = ratio(tp, np.add(tp, fp))
    return np.where(np.isnan(value) & (np.asarray(fn) > 0), 0.0, value)


def f1_score(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike) -> Floats:
    """Return 2 tp / (2 tp + fp + fn); NaN where there is neither a case nor a prediction."""
    doubled = np.multiply(2, tp)
    return ratio(doubled, np.add(doubled, np.add(fp, fn)))
