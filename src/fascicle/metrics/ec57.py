"""Beat-by-beat comparison after ANSI/AAMI EC57, with the matching rule of WFDB's `bxb`.

Beats are matched walking both lists once, in whole samples, so that counts equal those of `bxb`
(`beats.match_beats` takes the nearest pairs first; the two differ only where beats crowd).
G. Moody, WFDB Applications Guide, bxb(1), sumstats(1); none of that program is here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fascicle.metrics.beats import LEARNING_S, NONE, BeatMatch, aami_counts
from fascicle.metrics.counts import Floats, ratio

WINDOW_S = 0.150
_FAR = 2**62
"""A sample after every file's end."""


def match_as_bxb(
    reference: ArrayLike,
    estimate: ArrayLike,
    rate_hz: float,
    *,
    start_s: float = LEARNING_S,
    samples: int | None = None,
    flutter: Iterable[tuple[int, int]] = (),
) -> BeatMatch:
    """Return which beats match, which are missed and which are extra, as `bxb` decides it.

    The earlier of the two beats in hand is judged: it is paired with the later one if that is
    within 150 ms and either nearer than to the next beat of the earlier one's list, or that next
    beat lies nearer to the next of the other list. An estimate just before `start_s` may be paired
    with the first reference beat after it.

    Parameters
    ----------
    reference, estimate
        (beat,) samples, ascending. Reference beats inside flutter are left out.
    rate_hz
        Samples per second.
    start_s
        End of the learning period, which is not scored; EC57 has 5:00.
    samples
        Length of the record. None: it ends with the last reference beat.
    flutter
        Spans [first, last] in samples in which the reference marks ventricular flutter or
        fibrillation: an estimate in one of them is not extra.

    Raises
    ------
    ValueError
        For beats that are not whole, ascending and not negative, a bad rate or start.
    """
    if not (math.isfinite(rate_hz) and rate_hz > 0 and math.isfinite(start_s) and start_s >= 0):
        raise ValueError(f"rate_hz and start_s must be positive, not {rate_hz} and {start_s}")
    spans = list(flutter)
    wanted, found = _samples("reference", reference), _samples("estimate", estimate)
    outside = np.array([not any(a < s < b for a, b in spans) for s in wanted], dtype=np.bool_)
    kept = np.flatnonzero(outside)
    window, start = int(WINDOW_S * rate_hz + 0.5), int(start_s * rate_hz + 0.5)
    pairs, missed, extra = _walk(wanted[kept].tolist(), found.tolist(), window, start, samples)
    scored = [place for place in extra if not any(a <= found[place] <= b for a, b in spans)]
    matched = np.array(pairs, dtype=np.intp).reshape(-1, 2)
    return BeatMatch(
        kept[matched[:, 0]],
        matched[:, 1],
        kept[np.array(missed, dtype=np.intp)],
        np.array(scored, dtype=np.intp),
    )


def _samples(name: str, values: ArrayLike) -> NDArray[np.int64]:
    beats = np.asarray(values)
    if beats.ndim != 1 or (beats.size and not np.issubdtype(beats.dtype, np.integer)):
        raise ValueError(f"{name} beats must be whole samples (beat,), not {beats.dtype}")
    if (np.diff(beats) < 0).any() or (beats < 0).any():
        raise ValueError(f"{name} beats must ascend from sample 0 on")
    return beats.astype(np.int64)


def _walk(
    reference: Sequence[int], estimate: Sequence[int], window: int, start: int, samples: int | None
) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Return pairs (reference, estimate), missed references and extra estimates."""
    ref, est = [*reference, _FAR, _FAR], [*estimate, _FAR, _FAR, _FAR]
    i = next(n for n, sample in enumerate(ref) if sample >= start)
    j = next(n for n, sample in enumerate(est) if sample >= start)
    pairs: list[tuple[int, int]] = []
    missed: list[int] = []
    extra: list[int] = []
    if start > 0:
        before = ref[i] - est[j - 1] if j else _FAR
        if before <= window and before < abs(ref[i] - est[j]):
            pairs.append((i, j - 1))
            i += 1
        elif est[j] - start <= window and abs(ref[i] - est[j + 1]) < abs(ref[i] - est[j]):
            j += 1  # its partner may lie in the learning period
    while ref[i] != _FAR if samples is None else min(ref[i], est[j]) <= samples:
        first = est[j] < ref[i]  # the estimate is earlier
        early, late = (est[j], ref[i]) if first else (ref[i], est[j])
        after_early, after_late = (est[j + 1], ref[i + 1]) if first else (ref[i + 1], est[j + 1])
        rival = abs(late - after_early)
        if late - early <= window and (
            late - early < rival or abs(after_late - after_early) < rival
        ):
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif first:
            extra.append(j)
            j += 1
        else:
            missed.append(i)
            i += 1
    return pairs, missed, extra


def ec57_scores(table: NDArray[Any]) -> dict[str, Floats]:
    """Return the ratios that `bxb` prints, from tables (..., 6, 6) to (...): NaN where it has "-".

    "QRS.sensitivity" and "QRS.ppv", and per class "V.sensitivity", "V.ppv" and "V.fpr". They differ
    from `aami_scores` in one point: PPV without a beat so called is NaN here, not 0.
    """
    counts = aami_counts(table)
    tp = table[..., :NONE, :NONE].sum(axis=(-2, -1))
    scores = {
        "QRS.sensitivity": ratio(tp, table[..., :NONE, :].sum(axis=(-2, -1))),
        "QRS.ppv": ratio(tp, table[..., :, :NONE].sum(axis=(-2, -1))),
    }
    for kind, (tp, fp, fn, tn) in counts.items():
        scores[f"{kind}.sensitivity"] = ratio(tp, tp + fn)
        scores[f"{kind}.ppv"] = ratio(tp, tp + fp)
        scores[f"{kind}.fpr"] = ratio(fp, fp + tn)
    return scores


def average(scores: dict[str, Floats]) -> dict[str, float]:
    """Return the mean of each score over the records (record,) in which it is defined.

    EC57 calls this "average", and the scores of the summed table "gross".
    """
    return {
        key: float(ratio(np.nansum(values), np.count_nonzero(~np.isnan(values))))
        for key, values in scores.items()
    }
