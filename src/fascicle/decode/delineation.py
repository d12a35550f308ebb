"""Per-sample wave probabilities of one lead become waves.

The most probable class per sample gives runs; rules from physiology repair them; boundaries are
placed between samples where the class and its competitor are equally probable. Each rule is a
field of `Rules` and a function of its own, in the order in which `delineate` applies them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fascicle.decode.runs import Runs, class_means, class_runs, pick, spaced, swallowed
from fascicle.record import WAVE_KINDS, Wave

P, QRS, T = 1, 2, 3
WAVE_CLASSES = ("none", "P", "QRS", "T")


@dataclass(frozen=True, slots=True)
class Rules:
    """Post-processing of waves; 0 (or False) switches a rule off.

    Parameters
    ----------
    merge_p_s, merge_qrs_s, merge_t_s
        Fragments of one kind with a gap of at most this become one wave, unless a QRS lies
        between. T has more room: a biphasic T crosses the baseline in its middle.
    min_p_s, min_qrs_s, min_t_s
        Shorter waves are dropped: no atrial or ventricular activation is as short.
    min_probability
        A wave whose own class has a lower mean probability inside is dropped.
    qrs_distance_s
        Of two QRS that begin closer than this the lighter is dropped: ventricles are refractory.
    relabel_probability
        A P or T at the other's place becomes the other if that has this mean probability.
    one_t
        A ventricle repolarises once per beat: of several T the heaviest stays, a later one becomes
        P by the rule above or is dropped.
    st_probability
        A P between a QRS and its T, seen in AV dissociation, needs this mean probability.
    p_distance_s
        Of two P that begin closer than this the lighter is dropped.
    refine
        Boundaries lie between samples; without, on the first and last sample of the class.
    """

    merge_p_s: float = 0.03
    merge_qrs_s: float = 0.03
    merge_t_s: float = 0.06
    min_p_s: float = 0.03
    min_qrs_s: float = 0.03
    min_t_s: float = 0.05
    min_probability: float = 0.5
    qrs_distance_s: float = 0.2
    relabel_probability: float = 0.25
    one_t: bool = True
    st_probability: float = 0.8
    p_distance_s: float = 0.2
    refine: bool = True


NO_RULES = Rules(
    merge_p_s=0,
    merge_qrs_s=0,
    merge_t_s=0,
    min_p_s=0,
    min_qrs_s=0,
    min_t_s=0,
    min_probability=0,
    qrs_distance_s=0,
    relabel_probability=0,
    one_t=False,
    st_probability=0,
    p_distance_s=0,
    refine=False,
)
"""Every rule off: the runs of the most probable class as they are."""


def delineate(
    probabilities: NDArray[np.float32],
    rate_hz: float,
    lead: str | None,
    rules: Rules | None = None,
    signal: NDArray[np.float32] | None = None,
) -> tuple[Wave, ...]:
    """Return the waves of one lead in order of time.

    Parameters
    ----------
    probabilities
        (4, sample) softmax over `WAVE_CLASSES`.
    rate_hz
        Samples per second of `probabilities` and `signal`.
    lead
        Name written into the waves.
    rules
        Post-processing; the defaults when None.
    signal
        (sample,) cleaned lead, mV: a wave's peak is where the signal is farthest from the line
        between onset and offset. Without a signal the peak is the middle.

    Raises
    ------
    ValueError
        If a shape, a rate or a value cannot be right.
    """
    _check(probabilities, rate_hz, signal)
    rules = Rules() if rules is None else rules
    label = probabilities.argmax(axis=0).astype(np.int8)
    runs = _merge(class_runs(label), rules, rate_hz)
    runs = _drop_short(runs, rules, rate_hz)
    means = class_means(probabilities, runs)
    runs, means = _drop_doubtful(runs, means, rules)
    runs, means = _space(runs, means, QRS, rules.qrs_distance_s * rate_hz)
    runs = _relabel_misplaced(runs, means, rules)
    runs, means = _keep_one_t(runs, means, rules)
    runs, means = _drop_p_in_st(runs, means, rules)
    runs, means = _space(runs, means, P, rules.p_distance_s * rate_hz)
    onset, offset = _boundaries(probabilities, label, runs, rules.refine)
    peak = _peaks(signal, runs, onset, offset)
    own = means[runs.kind, np.arange(runs.kind.size)]
    return tuple(
        Wave(lead, WAVE_KINDS[kind - 1], on, top, off, min(probability, 1.0))
        for kind, on, top, off, probability in zip(
            runs.kind.tolist(),
            (onset / rate_hz).tolist(),
            (peak / rate_hz).tolist(),
            (offset / rate_hz).tolist(),
            own.tolist(),
            strict=True,
        )
    )


def without(rule: str, rules: Rules | None = None) -> Rules:
    """Return the rules with one field at its value in `NO_RULES`, for an ablation."""
    return replace(Rules() if rules is None else rules, **{rule: getattr(NO_RULES, rule)})


def _check(
    probabilities: NDArray[np.float32], rate_hz: float, signal: NDArray[np.float32] | None
) -> None:
    if probabilities.ndim != 2 or probabilities.shape[0] != len(WAVE_CLASSES):
        raise ValueError(f"probabilities must be (4, sample), not {probabilities.shape}")
    if not (np.isfinite(rate_hz) and rate_hz > 0):
        raise ValueError(f"rate_hz must be positive, not {rate_hz}")
    if probabilities.size and not (probabilities.min() >= 0 and probabilities.max() <= 1.001):
        raise ValueError("probabilities must lie in 0..1; are these logits?")
    if signal is not None and signal.shape != probabilities.shape[1:]:
        raise ValueError(f"signal {signal.shape} does not match {probabilities.shape[1:]} samples")


def _merge(runs: Runs, rules: Rules, rate_hz: float) -> Runs:
    """Join fragments of a kind; what lay in the gap is part of the joined wave."""
    gaps = ((QRS, rules.merge_qrs_s), (T, rules.merge_t_s), (P, rules.merge_p_s))
    for kind, gap_s in gaps:
        if gap_s <= 0:
            continue
        own = pick(runs, runs.kind == kind)
        qrs = runs.start[runs.kind == QRS]
        between = np.searchsorted(qrs, own.start[1:]) > np.searchsorted(qrs, own.stop[:-1])
        joined = own.start[1:] - own.stop[:-1] <= gap_s * rate_hz
        if kind != QRS:
            joined &= ~between
        if joined.any():
            runs = swallowed(runs, own, joined)
    return runs


def _drop_short(runs: Runs, rules: Rules, rate_hz: float) -> Runs:
    shortest = np.array([0.0, rules.min_p_s, rules.min_qrs_s, rules.min_t_s]) * rate_hz
    return pick(runs, runs.stop - runs.start >= shortest[runs.kind])


def _drop_doubtful(
    runs: Runs, means: NDArray[np.float64], rules: Rules
) -> tuple[Runs, NDArray[np.float64]]:
    keep = means[runs.kind, np.arange(runs.kind.size)] >= rules.min_probability
    return pick(runs, keep), means[:, keep]


def _space(
    runs: Runs, means: NDArray[np.float64], kind: int, distance: float
) -> tuple[Runs, NDArray[np.float64]]:
    """Drop the lighter of two waves of a kind that begin closer than `distance` samples."""
    own = np.flatnonzero(runs.kind == kind)
    weight = means[kind, own] * (runs.stop - runs.start)[own]
    keep = np.ones(runs.kind.size, dtype=bool)
    keep[own] = spaced(runs.start[own], weight, distance)
    return pick(runs, keep), means[:, keep]


def _gaps(runs: Runs) -> tuple[NDArray[np.intp], int]:
    """Return for each run how many QRS began before it, and the number of QRS."""
    qrs = runs.start[runs.kind == QRS]
    return np.searchsorted(qrs, runs.start), int(qrs.size)


def _relabel_misplaced(runs: Runs, means: NDArray[np.float64], rules: Rules) -> Runs:
    """Turn a lone P just after a QRS into T, and a lone T just before a QRS into P.

    Lone: the only P or T between two QRS. Just after and before: nearer to that QRS.
    """
    if rules.relabel_probability <= 0:
        return runs
    gap, count = _gaps(runs)
    small = np.flatnonzero(runs.kind != QRS)
    alone = np.bincount(gap[small], minlength=count + 1) == 1
    lone = small[alone[gap[small]] & (gap[small] > 0) & (gap[small] < count)]
    qrs = pick(runs, runs.kind == QRS)
    after = runs.start[lone] - qrs.stop[gap[lone] - 1]
    before = qrs.start[gap[lone]] - runs.stop[lone]
    wanted = np.where(after < before, T, P)
    change = (wanted != runs.kind[lone]) & (means[wanted, lone] >= rules.relabel_probability)
    kind = runs.kind.copy()
    kind[lone[change]] = wanted[change]
    return Runs(runs.start, runs.stop, kind)


def _keep_one_t(
    runs: Runs, means: NDArray[np.float64], rules: Rules
) -> tuple[Runs, NDArray[np.float64]]:
    if not rules.one_t:
        return runs, means
    gap, count = _gaps(runs)
    t = np.flatnonzero(runs.kind == T)
    if count == 0 or t.size == 0:
        return runs, means
    weight = means[T, t] * (runs.stop - runs.start)[t]
    heaviest = np.full(count + 1, -1)
    ascending = t[np.argsort(weight, kind="stable")]
    heaviest[gap[ascending]] = ascending  # the last one written is the heaviest
    extra = t[heaviest[gap[t]] != t]
    late = extra > heaviest[gap[extra]]
    likely = (rules.relabel_probability > 0) & (means[P, extra] >= rules.relabel_probability)
    kind = runs.kind.copy()
    kind[extra[late & likely]] = P
    keep = np.ones(kind.size, dtype=bool)
    keep[extra[~(late & likely)]] = False
    return pick(Runs(runs.start, runs.stop, kind), keep), means[:, keep]


def _drop_p_in_st(
    runs: Runs, means: NDArray[np.float64], rules: Rules
) -> tuple[Runs, NDArray[np.float64]]:
    gap, count = _gaps(runs)
    t = np.flatnonzero(runs.kind == T)
    last_t = np.full(count + 1, -1)
    last_t[gap[t]] = t
    in_st = (runs.kind == P) & (gap > 0) & (np.arange(runs.kind.size) < last_t[gap])
    keep = ~(in_st & (means[P] < rules.st_probability))
    return pick(runs, keep), means[:, keep]


def _boundaries(
    probabilities: NDArray[np.float32], label: NDArray[np.int8], runs: Runs, refine: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return onsets and offsets in samples, between samples if `refine`."""
    first, last = runs.start, runs.stop - 1
    if not refine:
        return first.astype(np.float64), last.astype(np.float64)
    outside = np.clip(first - 1, 0, None)
    onset = first - _crossing(probabilities, label, first, outside)
    outside = np.clip(last + 1, None, label.size - 1)
    return onset, last + _crossing(probabilities, label, last, outside)


def _crossing(
    probabilities: NDArray[np.float32],
    label: NDArray[np.int8],
    inside: NDArray[np.intp],
    outside: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return how far towards `outside` (0..1 sample) the class of `inside` loses its lead.

    The lead is the class's probability less that of its strongest competitor, taken as linear
    between the two samples. At the edge of the record there is no outside: 0.
    """
    kind = label[inside]
    here = _lead(probabilities[:, inside], kind)
    there = _lead(probabilities[:, outside], kind)
    fall = here - there
    step = np.divide(here, fall, out=np.zeros_like(here), where=fall > 0)
    return np.where(inside == outside, 0.0, np.clip(step, 0.0, 1.0))


def _lead(columns: NDArray[np.float32], kind: NDArray[np.int8]) -> NDArray[np.float64]:
    index = np.arange(kind.size)
    rivals: NDArray[np.float64] = columns.astype(np.float64)
    own = rivals[kind, index].copy()
    rivals[kind, index] = -np.inf
    return np.asarray(own - rivals.max(axis=0))


def _peaks(
    signal: NDArray[np.float32] | None,
    runs: Runs,
    onset: NDArray[np.float64],
    offset: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the samples where the signal is farthest from the line onset..offset."""
    if signal is None or runs.start.size == 0:
        return np.asarray((onset + offset) / 2)
    length = runs.stop - runs.start
    begin = np.cumsum(length) - length
    wave = np.repeat(np.arange(length.size), length)
    within = np.arange(length.sum()) - begin[wave]
    values = np.nan_to_num(signal[runs.start[wave] + within].astype(np.float64))
    first, last = values[begin], values[begin + length - 1]
    slope = (last - first) / np.maximum(length - 1, 1)
    distance = np.abs(values - first[wave] - slope[wave] * within)
    highest = np.flatnonzero(distance == np.maximum.reduceat(distance, begin)[wave])
    _, position = np.unique(wave[highest], return_index=True)
    return np.asarray(runs.start + within[highest[position]], dtype=np.float64)
