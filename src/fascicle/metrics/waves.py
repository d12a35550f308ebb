"""Scores of delineation: boundaries of P, QRS and T, and the overlap of sample labels.

Conventions: the estimate's boundaries match the reference's one to one, nearest first, within a
tolerance, per lead and boundary type. A lead is judged on its annotated span only, from its first
to its last mark (LUDB leaves the waves around it unmarked): an estimate up to `MARGIN_S` outside
may match, and none outside counts as false. Errors are estimate - reference, late is positive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fascicle.metrics.counts import Floats, f1_score, predictivity, ratio, sensitivity
from fascicle.record import WAVE_KINDS, Wave, WaveKind

Side = Literal["onset", "offset"]
Boundary = tuple[WaveKind, Side]
Span = tuple[float, float]
Index = NDArray[np.intp]

SIDES: tuple[Side, ...] = ("onset", "offset")
BOUNDARIES: tuple[Boundary, ...] = tuple((kind, side) for kind in WAVE_KINDS for side in SIDES)
MARGIN_S = 0.150
"""How far outside the annotated span an estimate may still match (docs/metrics.md, LUDB)."""

_TICK_S = 1e-9  # times are compared in whole nanoseconds: sample / rate is not exact in binary


@dataclass(frozen=True, slots=True)
class Counts:
    """Hits, false alarms and misses of one boundary type, and each hit's error in seconds."""

    tp: int
    fp: int
    fn: int
    errors_s: tuple[float, ...] = ()


def validate_times(name: str, times: ArrayLike) -> Floats:
    """Return the times as float64, shape (time,). Raises ValueError unless finite and ascending."""
    values = np.asarray(times, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"{name} times must have shape (time,), not {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} times must be finite, found {values[~np.isfinite(values)][0]}")
    if (np.diff(values) < 0).any():
        place = int(np.argmax(np.diff(values) < 0))
        raise ValueError(f"{name} times must ascend, but time {place + 1} is before time {place}")
    return values


def match_times(
    reference: ArrayLike, estimate: ArrayLike, tolerance_s: float
) -> tuple[Index, Index]:
    """Return the indices (pair,) into `reference` and into `estimate` of the matched times.

    The nearest free pair is taken first, as long as it is within the tolerance (inclusive); each
    time is used once. Distances are compared in nanoseconds; of equal ones the earlier reference,
    then the earlier estimate wins. Pairs are in the order of the reference.

    Parameters
    ----------
    reference, estimate
        (time,) seconds, ascending; may be empty.
    tolerance_s
        Largest distance of a pair, at least 0.

    Raises
    ------
    ValueError
        For times that are not one-dimensional, finite and ascending, or a bad tolerance.
    """
    wanted, found = validate_times("reference", reference), validate_times("estimate", estimate)
    if not (np.isfinite(tolerance_s) and tolerance_s >= 0):
        raise ValueError(f"tolerance_s must be finite and at least 0, not {tolerance_s}")
    reach = tolerance_s + _TICK_S / 2
    first = np.searchsorted(found, wanted - reach, side="left")
    beyond = np.searchsorted(found, wanted + reach, side="right")
    near = beyond - first  # estimates within reach of each reference
    row = np.repeat(np.arange(wanted.size), near)
    column = np.arange(row.size) - np.repeat(np.cumsum(near) - near, near) + np.repeat(first, near)
    distance = np.rint(np.abs(wanted[row] - found[column]) / _TICK_S)
    free_row, free_column = [True] * wanted.size, [True] * found.size
    pairs: list[tuple[int, int]] = []
    nearest_first = np.argsort(distance, kind="stable")
    for i, j in zip(row[nearest_first].tolist(), column[nearest_first].tolist(), strict=True):
        if free_row[i] and free_column[j]:
            free_row[i] = free_column[j] = False
            pairs.append((i, j))
    matched = np.array(sorted(pairs), dtype=np.intp).reshape(-1, 2)
    return matched[:, 0], matched[:, 1]


def annotated_span(waves: Iterable[Wave]) -> Span | None:
    """Return the times (first, last) of one lead's marks, or None if it has no mark."""
    marks = [
        time
        for wave in waves
        for time in (wave.onset_s, wave.peak_s, wave.offset_s)
        if time is not None
    ]
    return (min(marks), max(marks)) if marks else None


def boundary_counts(
    reference_waves: Sequence[Wave],
    estimate_waves: Sequence[Wave],
    *,
    tolerance_s: float,
    span: Span | None,
) -> dict[Boundary, Counts]:
    """Return the counts of each of the six boundary types in one lead.

    A boundary that the reference leaves out of a marked wave (None) is neither missed, nor is an
    estimate false that puts it there: it has no truth to be judged by.

    Parameters
    ----------
    reference_waves, estimate_waves
        Waves of one lead each, in any order.
    tolerance_s
        Largest distance of a hit: 0.150 and 0.040 are usual.
    span
        Judged part of the lead: `annotated_span(reference_waves)` for LUDB, (0, duration) where
        all of a record is annotated; None judges nothing.

    Raises
    ------
    ValueError
        If waves of several leads come together, or a reference mark lies outside the span.
    """
    _validate_waves(reference_waves, estimate_waves, span)
    if span is None:
        return {boundary: Counts(0, 0, 0) for boundary in BOUNDARIES}
    counts = {}
    for kind, side in BOUNDARIES:
        wanted = [wave for wave in reference_waves if wave.kind == kind]
        found = [wave for wave in estimate_waves if wave.kind == kind]
        counts[kind, side] = _count_boundary(wanted, found, side, tolerance_s, span)
    return counts


def _validate_waves(
    reference_waves: Sequence[Wave], estimate_waves: Sequence[Wave], span: Span | None
) -> None:
    for name, waves in (("reference", reference_waves), ("estimate", estimate_waves)):
        leads = sorted({str(wave.lead) for wave in waves})
        if len(leads) > 1:
            raise ValueError(f"{name} waves must be of one lead, not of {', '.join(leads)}")
    marked = annotated_span(reference_waves)
    if span is None:
        if marked is not None:
            raise ValueError(f"span is None, but the reference has marks from {marked[0]} s on")
    elif not span[0] <= span[1] or (marked and not span[0] <= marked[0] <= marked[1] <= span[1]):
        raise ValueError(f"reference marks {marked} must lie inside an ordered span, not {span}")


def _count_boundary(
    wanted: list[Wave], found: list[Wave], side: Side, tolerance_s: float, span: Span
) -> Counts:
    """Count one boundary of one kind of wave in one lead."""
    reference = np.sort([time for wave in wanted if (time := _time(wave, side)) is not None])
    timed = [(time, wave) for wave in found if (time := _time(wave, side)) is not None]
    margin = MARGIN_S + _TICK_S
    timed = [pair for pair in timed if span[0] - margin <= pair[0] <= span[1] + margin]
    timed.sort(key=lambda pair: pair[0])
    estimate = np.array([time for time, _ in timed])
    rows, columns = match_times(reference, estimate, tolerance_s)
    unmarked = [wave for wave in wanted if _time(wave, side) is None]
    hit = set(columns.tolist())
    false = sum(
        span[0] <= time <= span[1] and not any(_overlap(one, wave, tolerance_s) for one in unmarked)
        for place, (time, wave) in enumerate(timed)
        if place not in hit
    )
    errors = tuple((estimate[columns] - reference[rows]).tolist())
    return Counts(len(hit), false, reference.size - len(hit), errors)


def _time(wave: Wave, side: Side) -> float | None:
    return wave.onset_s if side == "onset" else wave.offset_s


def _overlap(unmarked: Wave, estimate: Wave, tolerance_s: float) -> bool:
    """Whether a mark of the half-marked reference lies in the estimated wave, or just beside it."""
    first, last = annotated_span([estimate]) or (np.inf, -np.inf)
    start, end = annotated_span([unmarked]) or (np.inf, -np.inf)
    return start <= last + tolerance_s and end >= first - tolerance_s


def tally(counts: Mapping[Boundary, Counts]) -> Floats:
    """Return one lead's or record's counts as an array that can be summed, (boundary, 5).

    Rows follow `BOUNDARIES`; columns are tp, fp, fn, sum of errors (ms), sum of squares (ms^2).
    """
    rows = []
    for boundary in BOUNDARIES:
        one = counts[boundary]
        errors_ms = 1e3 * np.asarray(one.errors_s, dtype=np.float64)
        rows.append([one.tp, one.fp, one.fn, errors_ms.sum(), np.square(errors_ms).sum()])
    return np.array(rows, dtype=np.float64)


def tally_scores(tallies: Floats) -> dict[str, Floats]:
    """Return scores of summed tallies, for any leading axes: (..., boundary, 5) -> (...).

    Keys are "P.onset.f1" and so on, with f1, sensitivity, ppv, error_mean_ms and error_sd_ms
    (n - 1) per boundary, and the same per kind ("P.f1") over its onsets and offsets together.
    """
    if tallies.ndim < 2 or tallies.shape[-2:] != (len(BOUNDARIES), 5):
        raise ValueError(f"tallies must have shape (..., 6, 5), not {tallies.shape}")
    scores: dict[str, Floats] = {}
    for place, (kind, side) in enumerate(BOUNDARIES):
        scores |= _measures(f"{kind}.{side}", tallies[..., place, :])
    for place, kind in enumerate(WAVE_KINDS):
        scores |= _measures(kind, tallies[..., 2 * place : 2 * place + 2, :].sum(axis=-2))
    return scores


def _measures(name: str, columns: Floats) -> dict[str, Floats]:
    tp, fp, fn, error_sum, square_sum = np.moveaxis(columns, -1, 0)
    mean = ratio(error_sum, tp)
    spread = ratio(square_sum - error_sum * mean, np.maximum(tp - 1, 0))
    return {
        f"{name}.f1": f1_score(tp, fp, fn),
        f"{name}.sensitivity": sensitivity(tp, fn),
        f"{name}.ppv": predictivity(tp, fp, fn),
        f"{name}.error_mean_ms": mean,
        f"{name}.error_sd_ms": np.sqrt(np.maximum(spread, 0.0)),
    }


def wave_scores(counts: Iterable[Mapping[Boundary, Counts]]) -> dict[str, float]:
    """Return the scores of `tally_scores` over the sum of the leads' counts.

    Raises
    ------
    ValueError
        If there are no counts at all.
    """
    tallies = [tally(one) for one in counts]
    if not tallies:
        raise ValueError("wave_scores needs the counts of at least one lead")
    return {key: float(value) for key, value in tally_scores(np.sum(tallies, axis=0)).items()}


def dice_counts(
    reference_labels: NDArray[Any],
    estimate_labels: NDArray[Any],
    inside: NDArray[Any],
    *,
    classes: int = 4,
) -> NDArray[np.int64]:
    """Return per class the samples in both, in the reference and in the estimate, (class, 3).

    Parameters
    ----------
    reference_labels, estimate_labels
        Integer labels 0 .. classes - 1, of one shape such as (lead, sample).
    inside
        Boolean of the same shape: the annotated samples. Others count nowhere.
    classes
        Number of labels, "none" included.
    """
    if not (reference_labels.shape == estimate_labels.shape == inside.shape):
        raise ValueError(
            f"labels and inside must have one shape, not {reference_labels.shape}, "
            f"{estimate_labels.shape} and {inside.shape}"
        )
    if inside.dtype != np.bool_:
        raise ValueError(f"inside must be boolean, not {inside.dtype}")
    reference, estimate = reference_labels[inside], estimate_labels[inside]
    for name, labels in (("reference", reference), ("estimate", estimate)):
        if not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"{name} labels must be integers, not {labels.dtype}")
        if labels.size and not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError(f"{name} labels must be 0..{classes - 1}, found {np.unique(labels)}")
    return np.stack(
        [
            np.bincount(reference[reference == estimate], minlength=classes),
            np.bincount(reference, minlength=classes),
            np.bincount(estimate, minlength=classes),
        ],
        axis=1,
    ).astype(np.int64)


def dice_scores(counts: NDArray[Any]) -> Floats:
    """Return Dice, 2 |both| / (|reference| + |estimate|), from `dice_counts`.

    Shapes are (..., class, 3) -> (..., class); a class that is in neither is NaN.
    """
    return ratio(2 * counts[..., 0], counts[..., 1] + counts[..., 2])


def dice(
    reference_labels: NDArray[Any],
    estimate_labels: NDArray[Any],
    inside: NDArray[Any],
    *,
    classes: int = 4,
) -> Floats:
    """Return the Dice coefficient of each class over the annotated samples, (class,)."""
    return dice_scores(dice_counts(reference_labels, estimate_labels, inside, classes=classes))
