"""Rules from physiology that repair runs of wave classes along one lead.

Each rule is a field of `Rules` and a function here; `apply_rules` shows their order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fascicle.decode.runs import Runs, class_means, pick, spaced, swallowed

P, QRS, T = 1, 2, 3


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
    relabel_probability
        A P or T at the other's place becomes the other if that has this mean probability.
    t_distance_s
        A ventricle repolarises once per beat: of two T without a QRS between them that begin
        closer than this the heavier stays; a later one becomes P by the rule above or is dropped.
        T farther apart belong to two beats, one of which shows no QRS in this lead.
    st_probability
        A P between a QRS and its T, seen in AV dissociation, needs this mean probability.
    p_distance_s
        Of two P that begin closer than this the lighter is dropped.
    refine
        Boundaries lie between samples; without, on the first and last sample of the class.
    expected_p
        Boundaries of P lie where they are to be expected: at the mean, not at the median, of where
        the net holds them possible.
    stray_p_s, stray_t_s
        How far boundaries of P and T stray from beat to beat although nothing changes; they move
        towards where the beats around have them (`steady.py`).
    lone_p_leads, most_leads
        Of four leads or more (`agreement.py`): a P that at most the first share shows is dropped; a
        P or T that at least the second share shows is set in the others too, where they hint at it.
    """

    merge_p_s: float = 0.03
    merge_qrs_s: float = 0.03
    merge_t_s: float = 0.03
    min_p_s: float = 0.04
    min_qrs_s: float = 0.03
    min_t_s: float = 0.05
    min_probability: float = 0.5
    qrs_distance_s: float = 0.24
    relabel_probability: float = 0.25
    t_distance_s: float = 0.6
    st_probability: float = 0.8
    p_distance_s: float = 0.25
    refine: bool = True
    expected_p: bool = True
    stray_p_s: float = 0.015
    stray_t_s: float = 0.025
    lone_p_leads: float = 0.25
    most_leads: float = 0.5


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
    t_distance_s=0,
    st_probability=0,
    p_distance_s=0,
    refine=False,
    expected_p=False,
    stray_p_s=0,
    stray_t_s=0,
    lone_p_leads=0,
    most_leads=0,
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
    runs = _relabel_misplaced(runs, means, rules)
    runs, means = _space_t(runs, means, rules, rate_hz)
    runs, means = _drop_p_in_st(runs, means, rules)
    return _space(runs, means, P, rules.p_distance_s * rate_hz)


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


def _space_t(
    runs: Runs, means: NDArray[np.float64], rules: Rules, rate_hz: float
) -> tuple[Runs, NDArray[np.float64]]:
    gap, count = _gaps(runs)
    t = np.flatnonzero(runs.kind == T)
    if rules.t_distance_s <= 0 or t.size == 0:
        return runs, means
    distance = rules.t_distance_s * rate_hz
    weight = means[T, t] * (runs.stop - runs.start)[t]
    beyond = runs.stop[-1] + round(distance) + 1  # moves the T of other beats out of reach
    stays = spaced(runs.start[t] + gap[t] * beyond, weight, distance)
    first = np.full(count + 1, runs.kind.size)
    np.minimum.at(first, gap[t[stays]], t[stays])
    extra = t[~stays]
    likely = (rules.relabel_probability > 0) & (means[P, extra] >= rules.relabel_probability)
    becomes_p = likely & (extra > first[gap[extra]])
    kind = runs.kind.copy()
    kind[extra[becomes_p]] = P
    keep = np.ones(kind.size, dtype=bool)
    keep[extra[~becomes_p]] = False
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
