"""Rules from physiology that repair runs of wave classes along one lead.

Each rule is a field of `Rules` and a function here; `apply_rules` shows their order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fascicle.decode.runs import Runs, class_means, joined_runs, pick, spaced, swallowed

P, QRS, T = 1, 2, 3
T_REACH_S = 0.6
"""After the end of a QRS, how far its T is looked for."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Post-processing of waves; 0 (or False) switches a rule off.

    Parameters
    ----------
    merge_p_s, merge_qrs_s, merge_t_s
        Fragments of one kind with a gap of at most this become one wave, unless a QRS lies
        between.
    min_p_s, min_qrs_s, min_t_s
        Shorter waves are dropped: no atrial or ventricular activation is as short.
    min_probability
        A wave whose own class has a lower mean probability inside is dropped.
    qrs_distance_s
        Of two QRS that begin closer than this the lighter is dropped: ventricles are refractory.
    t_distance_s
        A ventricle repolarises once per beat: of two T without a QRS between them that begin
        closer than this the lighter is dropped. T farther apart belong to two beats, one of which
        shows no QRS in this lead.
    p_distance_s
        Of two P that begin closer than this the lighter is dropped.
    faint_t
        What was activated repolarises: a QRS that no T follows gets one where the net holds it
        likeliest, if T's mean probability there is at least this.
    refine
        Boundaries lie between samples; without, on the first and last sample of the class.
    expected_p
        Boundaries of P lie where they are to be expected: at the mean, not at the median, of where
        the net holds them possible.
    likely_t_s
        Boundaries of T lie where the net holds it likeliest that they are within this.
    stray_p_s, stray_t_s
        How far boundaries of P and T stray from beat to beat although nothing changes; they move
        towards where the beats around have them (`steady.py`).
    lone_p_leads, most_leads
        Of four leads or more (`agreement.py`): a P that at most the first share shows is dropped; a
        P or T that at least the second share shows is set in the others too, where they hint at it.
    far_t_s
        Of four leads or more: a boundary of T that lies farther than this from the median over the
        leads is brought as near as this.
    """

    merge_p_s: float = 0.03
    merge_qrs_s: float = 0.03
    merge_t_s: float = 0.03
    min_p_s: float = 0.04
    min_qrs_s: float = 0.03
    min_t_s: float = 0.05
    min_probability: float = 0.5
    qrs_distance_s: float = 0.24
    t_distance_s: float = 0.6
    p_distance_s: float = 0.25
    faint_t: float = 0.1
    refine: bool = True
    expected_p: bool = True
    likely_t_s: float = 0.04
    stray_p_s: float = 0.015
    stray_t_s: float = 0.025
    lone_p_leads: float = 0.25
    most_leads: float = 0.5
    far_t_s: float = 0.07


NO_RULES = Rules(
    merge_p_s=0,
    merge_qrs_s=0,
    merge_t_s=0,
    min_p_s=0,
    min_qrs_s=0,
    min_t_s=0,
    min_probability=0,
    qrs_distance_s=0,
    t_distance_s=0,
    p_distance_s=0,
    faint_t=0,
    refine=False,
    expected_p=False,
    likely_t_s=0,
    stray_p_s=0,
    stray_t_s=0,
    lone_p_leads=0,
    most_leads=0,
    far_t_s=0,
)
"""Every rule off: the runs of the most probable class as they are."""


def without(rule: str, rules: Rules | None = None) -> Rules:
    """Return the rules with one field at its value in `NO_RULES`, for an ablation."""
    return replace(Rules() if rules is None else rules, **{rule: getattr(NO_RULES, rule)})


def apply_rules(
    runs: Runs, probabilities: NDArray[np.float32], rate_hz: float, rules: Rules
) -> tuple[Runs, NDArray[np.float64]]:
    """Return the repaired runs and the mean probability of each class in each, (class, run)."""
    runs = _merge(runs, rules, rate_hz)
    runs = _drop_short(runs, rules, rate_hz)
    means = class_means(probabilities, runs)
    runs, means = _drop_doubtful(runs, means, rules)
    runs, means = _space(runs, means, QRS, rules.qrs_distance_s * rate_hz)
    runs, means = _space(runs, means, T, rules.t_distance_s * rate_hz, within_beats=True)
    runs, means = _space(runs, means, P, rules.p_distance_s * rate_hz)
    faint = _faint_t(runs, probabilities, rate_hz, rules) if rules.faint_t > 0 else None
    if faint is None:
        return runs, means
    runs = joined_runs(runs, faint)
    return runs, class_means(probabilities, runs)


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
    runs: Runs, means: NDArray[np.float64], kind: int, distance: float, within_beats: bool = False
) -> tuple[Runs, NDArray[np.float64]]:
    """Drop the lighter of two waves of a kind that begin closer than `distance` samples.

    Within beats: unless a QRS begins between them.
    """
    own = np.flatnonzero(runs.kind == kind)
    start = runs.start[own]
    if within_beats and own.size:
        beat = np.searchsorted(runs.start[runs.kind == QRS], start)
        start = start + beat * (runs.stop[-1] + round(distance) + 1)  # other beats are out of reach
    weight = means[kind, own] * (runs.stop - runs.start)[own]
    keep = np.ones(runs.kind.size, dtype=bool)
    keep[own] = spaced(start, weight, distance)
    return pick(runs, keep), means[:, keep]


def _faint_t(
    runs: Runs, probabilities: NDArray[np.float32], rate_hz: float, rules: Rules
) -> Runs | None:
    """Return a T for each QRS that none follows, where the net hints at one rather than at a P."""
    qrs = np.flatnonzero(runs.kind == QRS)
    ends = np.append(qrs, runs.kind.size)
    shown = np.concatenate([[0], np.cumsum(runs.kind == T)])
    lacks = np.flatnonzero(shown[ends[1:]] == shown[qrs])
    after = np.append(runs.start[qrs[1:]], probabilities.shape[1])
    reach = round(T_REACH_S * rate_hz)
    found: list[tuple[int, int, int]] = []
    for beat in lacks.tolist():
        first = int(runs.stop[qrs[beat]])
        place = slice(first, min(first + reach, after[beat]))
        course = probabilities[T, place].copy()
        course[probabilities[P, place] >= course] = 0
        for other in range(ends[beat] + 1, ends[beat + 1]):  # P waves
            course[runs.start[other] - first : runs.stop[other] - first] = 0
        begin, end = _about_highest(course)
        if end - begin >= rules.min_t_s * rate_hz and course[begin:end].mean() >= rules.faint_t:
            found.append((first + begin, first + end, T))
    return Runs(*np.array(found, dtype=np.intp).T) if found else None


def _about_highest(course: NDArray[np.float32]) -> tuple[int, int]:
    """Return the stretch [begin, end) about the highest value in which none is under half of it."""
    if not course.size:
        return 0, 0
    top = int(course.argmax())
    low = np.flatnonzero(course < course[top] / 2)
    place = int(np.searchsorted(low, top))
    begin = int(low[place - 1]) + 1 if place else 0
    return begin, int(low[place]) if place < low.size else course.size
