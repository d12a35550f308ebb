"""Confidence intervals by patient: the cluster bootstrap with percentile limits.

Each resample draws as many patients as there are, with replacement, and takes all rows of each
(Field & Welsh, J R Stat Soc B 69, 2007). Three forms draw the same resamples from the same `rng`:
any statistic of row indices, statistics of sums of counts, and AUROC or AUPRC. A resample in
which a statistic is NaN does not count; if more than half are NaN, so are the limits.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fascicle.metrics.classification import (
    macro,
    validate_flags,
    validate_known,
    validate_scores,
    weighted_auprc,
    weighted_auroc,
)
from fascicle.metrics.counts import Floats

Groups = Sequence[Hashable] | NDArray[Any]
Limits = tuple[Floats, Floats]

_CELLS = 2_000_000  # weights held at once: 16 MB


class RankingIntervals(NamedTuple):
    """Lower and upper limits per class, (class,), and of the macro average."""

    low: Floats
    high: Floats
    macro_low: float
    macro_high: float


def interval(
    statistic: Callable[[NDArray[np.intp]], float],
    groups: Groups,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Return the limits (low, high) of a statistic of the rows.

    Parameters
    ----------
    statistic
        Takes row indices (a row stands as often as its patient was drawn), returns a number.
    groups
        (row,) the patient of each row.
    resamples, level
        Number of resamples, and the share of them between the limits.
    rng
        The only source of randomness.

    Raises
    ------
    ValueError
        If there are no rows, `resamples` is under 1, or `level` is not between 0 and 1.
    """
    member, patients = _members(groups, resamples, level)
    values = np.empty(resamples)
    done = 0
    for weights in _draws(patients, patients, resamples, rng):
        for column in weights.T:
            rows = np.repeat(np.arange(member.size), column[member].astype(np.intp))
            values[done] = statistic(rows)
            done += 1
    low, high = _limits(values[:, np.newaxis], level)
    return float(low[0]), float(high[0])


def sums_interval(
    statistic: Callable[[Floats], Floats],
    counts: NDArray[Any],
    groups: Groups,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> Limits:
    """Return the limits (low, high) of a statistic of summed counts, fast.

    Parameters
    ----------
    statistic
        Takes sums over rows, (resample, ...), and returns (resample,) or (resample, k): for
        instance `lambda sums: tally_scores(sums)["P.f1"]` or a ratio of two columns.
    counts
        (row, ...) what each row adds to the sums; finite.
    groups, resamples, level, rng
        As in `interval`.

    Returns
    -------
    low, high
        Shape () or (k,), as the statistic has.
    """
    member, patients = _members(groups, resamples, level)
    if counts.ndim < 1 or counts.shape[0] != member.size:
        raise ValueError(f"counts {counts.shape} must have a row for each of {member.size} groups")
    if not np.isfinite(counts).all():
        raise ValueError("counts must be finite")
    by_patient = np.zeros((patients, *counts.shape[1:]))
    np.add.at(by_patient, member, counts)
    flat = by_patient.reshape(patients, -1)
    sums = np.concatenate(
        [weights.T @ flat for weights in _draws(patients, patients, resamples, rng)]
    )
    values = np.asarray(statistic(sums.reshape(resamples, *counts.shape[1:])), dtype=np.float64)
    if values.shape[:1] != (resamples,):
        raise ValueError(f"statistic must keep the {resamples} resamples, gave {values.shape}")
    return _limits(values, level)


def ranking_intervals(
    measure: Literal["auroc", "auprc"],
    labels: NDArray[Any],
    scores: NDArray[Any],
    groups: Groups,
    *,
    known: NDArray[Any] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> RankingIntervals:
    """Return the limits of AUROC or AUPRC of each class and of their macro average, fast.

    In each resample the average is over the classes that have a positive and a negative there.
    `labels`, `scores`, `known` as in `classification.auroc`; the rest as in `interval`.
    """
    ranking = {"auroc": weighted_auroc, "auprc": weighted_auprc}[measure]
    flags = validate_flags("labels", labels)
    values = validate_scores("scores", scores, flags.shape)
    judged = validate_known(known, flags.shape)
    member, patients = _members(groups, resamples, level)
    if member.size != flags.shape[0]:
        raise ValueError(f"{member.size} groups do not fit {flags.shape[0]} records")
    drawn = []
    for weights in _draws(patients, member.size, resamples, rng):
        by_row = weights[member]  # (record, resample)
        columns = [
            ranking(flags[rows, k], values[rows, k], by_row[rows])
            for k, rows in enumerate(judged.T)
        ]
        drawn.append(np.stack(columns, axis=1))
    by_class = np.concatenate(drawn)
    low, high = _limits(by_class, level)
    macro_low, macro_high = _limits(macro(by_class), level)
    return RankingIntervals(low, high, float(macro_low), float(macro_high))


def _members(groups: Groups, resamples: int, level: float) -> tuple[NDArray[np.intp], int]:
    """Return the patient index of each row in order of appearance, and the number of patients."""
    if len(groups) == 0:
        raise ValueError("a bootstrap needs at least one row")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, not {resamples}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, not {level}")
    place: dict[Hashable, int] = {}
    member = [place.setdefault(group, len(place)) for group in groups]
    return np.array(member, dtype=np.intp), len(place)


def _draws(patients: int, rows: int, resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Yield how often each patient is drawn, (patient, resample), in blocks that fit in memory."""
    block = max(1, _CELLS // max(rows, patients))
    chance = np.full(patients, 1 / patients)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        counts = rng.multinomial(patients, chance, size=size)
        yield np.ascontiguousarray(counts.T, dtype=np.float64)


def _limits(values: Floats, level: float) -> Limits:
    """Return the limits over the first axis, leaving NaN out while at most half are NaN."""
    defined = ~np.isnan(values)
    enough = 2 * defined.sum(axis=0) >= values.shape[0]
    filled = np.where(enough, values, 0.0)  # quantiles of columns that are thrown away
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    low, high = np.nanquantile(filled, tails, axis=0)
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)
