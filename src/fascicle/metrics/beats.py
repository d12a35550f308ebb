"""Scores of beats: detection and AAMI classes, as ANSI/AAMI EC57 and WFDB's bxb define them.

Everything is counted in one table, (6, 6): rows are the reference classes N S V F Q and "no beat"
(an extra detection), columns the estimated ones and "no beat" (a miss). Tables of records add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fascicle.metrics.counts import Floats, f1_score, predictivity, ratio, sensitivity
from fascicle.metrics.waves import Index, Span, match_times, validate_times
from fascicle.record import BEAT_KINDS, BeatKind

NONE = len(BEAT_KINDS)
"""Row and column of "no beat" in a confusion table."""

LEARNING_S = 300.0
"""The learning period of EC57: pass it as `start_s` to score from 5:00 on."""

_TOLERANCE_S = 0.150
_Q = BEAT_KINDS.index("Q")
# EC57: these reference classes are no false positives of the key (bxb: VFP, SFP)
_EXCUSED: dict[BeatKind, tuple[BeatKind, ...]] = {"V": ("F", "Q"), "S": ("Q",)}


class BeatMatch(NamedTuple):
    """Indices into two lists of beats: pairs (two arrays), missed references, extra estimates."""

    reference: Index
    estimate: Index
    missed: Index
    extra: Index


def match_beats(
    reference_times: ArrayLike,
    estimate_times: ArrayLike,
    tolerance_s: float = _TOLERANCE_S,
    *,
    start_s: float = 0.0,
    skip: Iterable[Span] = (),
) -> BeatMatch:
    """Return which beats match, which are missed and which are extra, in the scored time.

    All beats are matched (nearest first, one to one); then a pair counts if its reference is in
    the scored time, and so does a beat without partner. So an estimate just before the start may
    match a beat after it, and nothing is false for lying across a limit from its partner.

    Parameters
    ----------
    reference_times, estimate_times
        (beat,) seconds, ascending.
    tolerance_s
        Largest distance of a pair; EC57 has 0.150.
    start_s
        Scoring starts here, inclusive; `LEARNING_S` for EC57.
    skip
        Spans [start, end) in seconds that are not scored, such as ventricular flutter.
    """
    reference = validate_times("reference", reference_times)
    estimate = validate_times("estimate", estimate_times)
    rows, columns = match_times(reference, estimate, tolerance_s)
    spans = list(skip)
    scored = _scored(reference, start_s, spans)
    alone_reference, alone_estimate = scored.copy(), _scored(estimate, start_s, spans)
    alone_reference[rows] = False
    alone_estimate[columns] = False
    kept = scored[rows]
    return BeatMatch(
        rows[kept],
        columns[kept],
        np.flatnonzero(alone_reference),
        np.flatnonzero(alone_estimate),
    )


def _scored(times: Floats, start_s: float, skip: list[Span]) -> NDArray[np.bool_]:
    inside = times >= start_s
    for start, end in skip:
        if not start <= end:
            raise ValueError(f"a skipped span must run forwards, not from {start} s to {end} s")
        inside &= (times < start) | (times >= end)
    return inside


def confusion(
    reference_kinds: Sequence[BeatKind | None],
    estimate_kinds: Sequence[BeatKind | None],
    match: BeatMatch | None = None,
) -> NDArray[np.int64]:
    """Return the table of classes, (6, 6): rows reference, columns estimate, "no beat" last.

    Parameters
    ----------
    reference_kinds, estimate_kinds
        AAMI class of each beat: "N", "S", "V", "F" or "Q". None marks a flutter wave: what matches
        it counts as extra or as missed, and itself as nothing (bxb).
    match
        Which beats belong together. None: the beats stand one by one at the same positions.

    Raises
    ------
    ValueError
        For an unknown class, lists that do not fit together, or a match of other lists.
    """
    reference, estimate = _codes("reference", reference_kinds), _codes("estimate", estimate_kinds)
    if match is None:
        if reference.size != estimate.size:
            raise ValueError(
                f"{reference.size} reference and {estimate.size} estimated beats do not pair up: "
                "pass match"
            )
        every, nothing = np.arange(reference.size), np.arange(0)
        match = BeatMatch(every, every, nothing, nothing)
    for name, size, used in (
        ("reference", reference.size, np.concatenate([match.reference, match.missed])),
        ("estimate", estimate.size, np.concatenate([match.estimate, match.extra])),
    ):
        if used.size and used.max() >= size:
            raise ValueError(f"match names {name} beat {used.max()}, but there are {size}")
    table = np.zeros((NONE + 1, NONE + 1), dtype=np.int64)
    np.add.at(table, (reference[match.reference], estimate[match.estimate]), 1)
    table[:, NONE] += np.bincount(reference[match.missed], minlength=NONE + 1)
    table[NONE] += np.bincount(estimate[match.extra], minlength=NONE + 1)
    table[NONE, NONE] = 0
    return table


def _codes(name: str, kinds: Sequence[BeatKind | None]) -> Index:
    unknown = {kind for kind in kinds if kind is not None} - set(BEAT_KINDS)
    if unknown:
        raise ValueError(f"{name} classes must be among {BEAT_KINDS}, found {sorted(unknown)}")
    return np.array([NONE if k is None else BEAT_KINDS.index(k) for k in kinds], dtype=np.intp)


def detection_scores(table: NDArray[Any]) -> dict[str, Floats]:
    """Return sensitivity, ppv and f1 of finding beats of any class, for (..., 6, 6) -> (...)."""
    table = _validate_table(table)
    tp = table[..., :NONE, :NONE].sum(axis=(-2, -1))
    fn = table[..., :NONE, NONE].sum(axis=-1)
    fp = table[..., NONE, :NONE].sum(axis=-1)
    return {
        "sensitivity": sensitivity(tp, fn),
        "ppv": predictivity(tp, fp, fn),
        "f1": f1_score(tp, fp, fn),
    }


def aami_counts(table: NDArray[Any]) -> dict[BeatKind, tuple[Floats, Floats, Floats, Floats]]:
    """Return tp, fp, fn and tn of each class after EC57, from tables (..., 6, 6) to (...).

    Misses and extra detections count. False positives of V leave out F and Q beats called V, those
    of S leave out Q beats called S.
    """
    table = _validate_table(table)
    counts: dict[BeatKind, tuple[Floats, Floats, Floats, Floats]] = {}
    for place, kind in enumerate(BEAT_KINDS):
        rows = np.arange(NONE + 1) != place
        columns = rows.copy()
        columns[NONE] = False  # a missed beat of another class is no true negative (bxb)
        tn = table[..., rows, :][..., columns].sum(axis=(-2, -1))
        for excused in _EXCUSED.get(kind, ()):
            rows[BEAT_KINDS.index(excused)] = False
        tp = table[..., place, place]
        fp = table[..., rows, place].sum(axis=-1)
        counts[kind] = (tp, fp, table[..., place, :].sum(axis=-1) - tp, tn)
    return counts


def aami_scores(table: NDArray[Any]) -> dict[str, Floats]:
    """Return the AAMI scores of tables (..., 6, 6), each of shape (...).

    Per class "V.sensitivity", "V.ppv", "V.fpr" and "V.f1" after EC57: misses and extra detections
    count, false positives of V leave out F and Q beats called V, those of S leave out Q beats
    called S. Then "accuracy" (right class over all reference beats, missed ones included),
    "kappa" and "j_kappa" (see `j_kappa`).
    """
    scores: dict[str, Floats] = {}
    for kind, (tp, fp, fn, tn) in aami_counts(table).items():
        scores[f"{kind}.sensitivity"] = sensitivity(tp, fn)
        scores[f"{kind}.ppv"] = predictivity(tp, fp, fn)
        scores[f"{kind}.fpr"] = ratio(fp, fp + tn)
        scores[f"{kind}.f1"] = f1_score(tp, fp, fn)
    right = np.trace(table[..., :NONE, :NONE], axis1=-2, axis2=-1)
    scores["accuracy"] = ratio(right, table[..., :NONE, :].sum(axis=(-2, -1)))
    scores["kappa"], scores["j_kappa"] = j_kappa(table)
    return scores


def j_kappa(table: NDArray[Any]) -> tuple[Floats, Floats]:
    """Return Cohen's kappa and j-kappa of tables (..., 6, 6), each of shape (...).

    j-kappa = kappa / 2 + (Se_S + PPV_S + Se_V + PPV_V) / 8, at reference beats other than Q
    (Mar et al., IEEE Trans Biomed Eng 58(8), 2011). Extra detections do not enter; a beat that is
    missed or called Q is an error. All other errors count: nothing is left out as in EC57's PPV.
    """
    judged = _validate_table(table)[..., :_Q, :]
    total = judged.sum(axis=(-2, -1))
    by_reference, by_estimate = judged.sum(axis=-1), judged.sum(axis=-2)
    agreed = ratio(np.trace(judged, axis1=-2, axis2=-1), total)
    chance = ratio((by_reference * by_estimate[..., :_Q]).sum(axis=-1), np.square(total))
    kappa = ratio(agreed - chance, 1 - chance)
    index = np.zeros(total.shape)
    for kind in ("S", "V"):
        place = BEAT_KINDS.index(kind)
        tp = judged[..., place, place]
        fn, fp = by_reference[..., place] - tp, by_estimate[..., place] - tp
        index = index + sensitivity(tp, fn) + predictivity(tp, fp, fn)
    return kappa, kappa / 2 + index / 8


def _validate_table(table: NDArray[Any]) -> Floats:
    if table.ndim < 2 or table.shape[-2:] != (NONE + 1, NONE + 1):
        raise ValueError(f"a table of beats has shape (..., 6, 6), not {table.shape}")
    if not (np.isfinite(table).all() and (table >= 0).all()):
        raise ValueError("a table of beats holds counts: finite and not negative")
    return table.astype(np.float64)
