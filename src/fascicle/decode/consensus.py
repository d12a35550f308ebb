"""The waves of several leads become one set of waves, as global intervals need it.

A wave stands where enough leads show one of its kind at the same time. Its onset is the earliest
and its offset the latest over the leads, a tenth of the leads left out at either end so that one
stray lead moves nothing (the field's global intervals: earliest onset to latest offset).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fascicle.record import WAVE_KINDS, Wave, WaveKind

Floats = NDArray[np.float64]


class _Marks(NamedTuple):
    """Waves of one kind over the leads: times (wave,), lead numbers (wave,)."""

    onset: Floats
    peak: Floats
    offset: Floats
    probability: Floats
    lead: NDArray[np.intp]


def consensus(
    waves: Mapping[str, Sequence[Wave]], share: float = 0.5, stray: float = 0.1
) -> tuple[Wave, ...]:
    """Return the waves that the leads agree on, with lead None, in order of time.

    Parameters
    ----------
    waves
        Good leads and their waves; a good lead without waves must be there too: it counts.
    share
        A wave stands where at least this share of the leads show it, rounded up: 6 of 12, 2 of 3,
        1 of 2, 1 of 1. In LUDB cardiologists mark 99 % of waves in at least 8 of 12 leads.
    stray
        Share of the leads left out at the early and at the late end, in 0..0.5: the onset is this
        quantile of the onsets, the offset its counterpart, linear between leads.

    Raises
    ------
    ValueError
        If a share is out of range, or a wave lacks one of its times.
    """
    if not (0 < share <= 1 and 0 <= stray <= 0.5):
        raise ValueError(f"share must lie in 0..1 and stray in 0..0.5, not {share} and {stray}")
    need = max(1, math.ceil(share * len(waves) - 1e-9))
    found: list[Wave] = []
    for kind, marks in _collect(waves).items():
        found += _agreed(kind, marks, need, stray)
    return _apart(sorted(found, key=lambda wave: (wave.onset_s or 0.0, wave.kind)))


def _collect(waves: Mapping[str, Sequence[Wave]]) -> dict[WaveKind, _Marks]:
    every = [wave for own in waves.values() for wave in own]
    lead = np.repeat(np.arange(len(waves)), [len(own) for own in waves.values()])
    kinds = np.array([wave.kind for wave in every], dtype="U3")
    # column by column: a tuple per wave would keep the garbage collector busy
    onset = np.array([wave.onset_s for wave in every], dtype=np.float64)
    peak = np.array([wave.peak_s for wave in every], dtype=np.float64)
    offset = np.array([wave.offset_s for wave in every], dtype=np.float64)
    probability = np.array([wave.probability for wave in every], dtype=np.float64)
    for place in np.flatnonzero(np.isnan(onset + peak + offset)):  # None becomes NaN
        raise ValueError(f"a consensus needs all three times of a wave, not {every[place]}")
    found = {}
    for kind in WAVE_KINDS:
        own = kinds == kind
        found[kind] = _Marks(onset[own], peak[own], offset[own], probability[own], lead[own])
    return found


def _agreed(kind: WaveKind, marks: _Marks, need: int, stray: float) -> list[Wave]:
    group, groups = grouped(marks.onset, marks.offset, need)
    if groups == 0:
        return []
    member = group >= 0
    group = group[member]
    leads = int(marks.lead.max()) + 1
    waves = np.bincount(group * leads + marks.lead[member], minlength=groups * leads)
    enough = (waves.reshape(-1, leads) > 0).sum(axis=1) >= need
    onset = group_quantile(marks.onset[member], group, stray)
    peak = group_quantile(marks.peak[member], group, 0.5)
    offset = group_quantile(marks.offset[member], group, 1 - stray)
    count = np.bincount(group)
    mean = np.bincount(group, marks.probability[member]) / count
    chosen = np.flatnonzero(enough)
    return [
        Wave(None, kind, on, min(max(top, on), off), off, probability)
        for on, top, off, probability in zip(
            onset[chosen].tolist(),
            peak[chosen].tolist(),
            offset[chosen].tolist(),
            mean[chosen].tolist(),
            strict=True,
        )
        if off > on
    ]


def grouped(onset: Floats, offset: Floats, need: int) -> tuple[NDArray[np.intp], int]:
    """Return the group (wave,) of waves of one kind over several leads, and how many there are.

    A group is the waves about a stretch in which at least `need` leads show one; it has a wave or
    more. -1 is a wave beside all stretches.
    """
    start, stop = _cores(onset, offset, need)
    if start.size == 0:
        return np.full(onset.size, -1), 0
    core = _nearest_core(onset, offset, start, stop)
    used = np.unique(core[core >= 0])
    return np.where(core >= 0, np.searchsorted(used, core), -1), used.size


def _cores(onset: Floats, offset: Floats, need: int) -> tuple[Floats, Floats]:
    """Return start and stop of the stretches in which at least `need` leads show the wave."""
    time = np.concatenate([onset, offset])
    step = np.repeat([1, -1], onset.size)
    order = np.lexsort((step, time))  # at one time, offsets first: to touch is not to overlap
    time, cover = time[order], np.cumsum(step[order])
    over = np.concatenate([[False], cover >= need])
    change = over[1:] != over[:-1]
    return time[change & over[1:]], time[change & ~over[1:]]


def _nearest_core(onset: Floats, offset: Floats, start: Floats, stop: Floats) -> NDArray[np.intp]:
    """Return per wave the core nearest to its middle, or -1 if it does not overlap that core."""
    middle = (onset + offset) / 2
    after = np.clip(np.searchsorted(start, middle), 0, start.size - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.maximum(middle - stop[before], 0) <= np.maximum(start[after] - middle, 0)
    core = np.where(nearer, before, after)
    overlaps = (onset <= stop[core]) & (offset >= start[core])
    return np.where(overlaps, core, -1)


def group_quantile(values: Floats, group: NDArray[np.intp], share: float) -> Floats:
    """Return the quantile of the values of each group 0, 1 ..., linear between neighbours."""
    order = np.lexsort((values, group))
    values = values[order]
    count = np.bincount(group)
    first = np.cumsum(count) - count
    place = share * (count - 1)
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, count - 1)
    lower, upper = values[first + low], values[first + high]
    return np.asarray(lower + (place - low) * (upper - lower))


def _apart(waves: list[Wave]) -> tuple[Wave, ...]:
    """Return the waves without overlap: a P or T yields to a QRS, P and T meet in the middle."""
    kept: list[Wave] = []
    for wave in waves:
        rest: Wave | None = wave
        while rest and kept and _end(kept[-1]) > _begin(rest):
            before = kept.pop()
            border = _border(before, rest)
            earlier = _trim(before, _begin(before), min(_end(before), border))
            rest = _trim(rest, max(_begin(rest), border), _end(rest))
            if earlier:
                kept.append(earlier)
        if rest:
            kept.append(rest)
    return tuple(kept)


def _border(before: Wave, after: Wave) -> float:
    if before.kind == "QRS":
        return _end(before)
    if after.kind == "QRS":
        return _begin(after)
    return (_end(before) + _begin(after)) / 2


def _trim(wave: Wave, onset: float, offset: float) -> Wave | None:
    if offset <= onset:
        return None
    peak = min(max(wave.peak_s or onset, onset), offset)
    return Wave(None, wave.kind, onset, peak, offset, wave.probability)


def _begin(wave: Wave) -> float:
    assert wave.onset_s is not None
    return wave.onset_s


def _end(wave: Wave) -> float:
    assert wave.offset_s is not None
    return wave.offset_s
