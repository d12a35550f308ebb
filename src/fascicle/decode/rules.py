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
    t_distance_s
        A ventricle repolarises once per beat: of two T without a QRS between them that begin
        closer than this the lighter is dropped. T farther apart belong to two beats, one of which
        shows no QRS in this lead.
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
    t_distance_s: float = 0.6
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
    t_distance_s=0,
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
    runs, means = _space(runs, means, T, rules.t_distance_s * rate_hz, within_beats=True)
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
