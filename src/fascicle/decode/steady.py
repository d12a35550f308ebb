"""Beats of one lead are alike: P and T begin and end where the beats around have them.

What the net says of a boundary strays by some milliseconds from beat to beat although nothing has
changed. So a boundary moves towards the median of its distance from the QRS in the beats around,
the less the more these distances differ by themselves, as those of P do in a Wenckebach period.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fascicle.decode.rules import QRS, P, Rules, T
from fascicle.decode.runs import Runs, within_neighbours

Floats = NDArray[np.float64]

AROUND = 5
"""Beats to each side."""
LEAST = 3
"""With fewer waves of a kind there is nothing to compare."""
SHARE = 0.5
"""At most so much of the way: what the net sees of this beat counts as well."""
FAR = 3.0
"""A boundary that lies this many times as far out as usual is another beat's, and stays."""
LIMIT = 1 / 3
"""Of a wave's length, how far one of its boundaries can move."""
DEVIATION = 1.4826
"""Standard deviation of normal values per median of their distances from the median."""


def steadied(
    runs: Runs, onset: Floats, offset: Floats, rate_hz: float, rules: Rules
) -> tuple[Floats, Floats]:
    """Return onsets and offsets (run,) in samples, those of P and T moved; their order stays."""
    middle = (onset + offset) / 2
    beats = middle[runs.kind == QRS]
    ends = np.stack([onset, offset])
    moved = ends.copy()
    for kind, next_beat, stray_s in ((P, 0, rules.stray_p_s), (T, -1, rules.stray_t_s)):
        own = np.flatnonzero(runs.kind == kind)
        beat = np.searchsorted(beats, middle[own]) + next_beat
        has_one = (beat >= 0) & (beat < beats.size)
        own, beat = own[has_one], beat[has_one]
        if own.size >= LEAST and stray_s > 0:
            distance = ends[:, own] - beats[beat]
            limit = LIMIT * (offset[own] - onset[own])
            moved[:, own] -= np.clip(_strays(distance, stray_s * rate_hz), -limit, limit)
    return within_neighbours(moved, onset, offset)


def _strays(distance: Floats, usual: float) -> Floats:
    """Return how far each of the distances (side, beat) is to move towards those around."""
    beats = distance.shape[1]
    size = min(2 * AROUND + 1, beats)
    first = np.clip(np.arange(beats) - size // 2, 0, beats - size)
    around = distance[:, first[:, None] + np.arange(size)]
    middle = _median(around)
    spread = DEVIATION * _median(np.abs(around - middle[..., None]))
    off = distance - middle
    share = np.minimum((usual / np.maximum(spread, 1e-6)) ** 2, SHARE)
    return np.where(np.abs(off) <= FAR * np.maximum(spread, usual), share * off, 0.0)


def _median(values: Floats) -> Floats:
    """Return the median along the last axis; for few values numpy's own takes ten times as long."""
    ranked = np.sort(values, axis=-1)
    size = values.shape[-1]
    return np.asarray((ranked[..., (size - 1) // 2] + ranked[..., size // 2]) / 2)
