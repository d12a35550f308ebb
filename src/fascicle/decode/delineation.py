"""Per-sample wave probabilities become waves.

The most probable class per sample gives the runs of a lead; rules from physiology repair them
(`rules.py`); boundaries lie between samples, where the class and its competitor are equally
probable, those of P, which rises slowly, where they are to be expected, those of T where they are
likeliest to be near; P and T keep near to those of the beats around (`steady.py`). Then the leads
agree on which waves there are, and where (`agreement.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fascicle.decode.agreement import agreed
from fascicle.decode.rules import NO_RULES, P, Rules, T, apply_rules, without
from fascicle.decode.runs import Found, Runs, class_runs
from fascicle.decode.steady import steadied
from fascicle.record import WAVE_KINDS, Wave

__all__ = ["NO_RULES", "WAVE_CLASSES", "Rules", "delineate", "delineate_leads", "without"]

Lead = TypeVar("Lead", str, str | None)
REACH = 1.5
"""Of a wave's length, from its middle: where its boundaries can lie."""
NEARLY = 0.985
"""Of the highest: what is as high as makes no difference."""

WAVE_CLASSES = ("none", "P", "QRS", "T")


def delineate(
    probabilities: NDArray[np.float32],
    rate_hz: float,
    lead: str | None,
    rules: Rules | None = None,
    signal: NDArray[np.float32] | None = None,
) -> tuple[Wave, ...]:
    """Return the waves of one lead in order of time: `delineate_leads` of this lead alone."""
    found = delineate_leads({lead: probabilities}, rate_hz, rules, {lead: signal})
    return found[lead]


def delineate_leads(
    probabilities: Mapping[Lead, NDArray[np.float32]],
    rate_hz: float,
    rules: Rules | None = None,
    signals: Mapping[Lead, NDArray[np.float32] | None] | None = None,
    start_s: float = 0.0,
) -> dict[Lead, tuple[Wave, ...]]:
    """Return the waves of each lead in order of time; the leads of a record decide together.

    Parameters
    ----------
    probabilities
        Lead -> (4, sample) softmax over `WAVE_CLASSES`. Leads' names are written into the waves.
    rate_hz
        Samples per second of `probabilities` and `signals`.
    rules
        Post-processing; the defaults when None.
    signals
        Lead -> (sample,) cleaned lead, mV: a wave's peak is where the signal is farthest from the
        line between onset and offset. Without a signal the peak is the middle.
    start_s
        Time of the first sample.

    Raises
    ------
    ValueError
        If a shape, a rate or a value cannot be right.
    """
    rules = Rules() if rules is None else rules
    signals = {} if signals is None else signals
    for lead, columns in probabilities.items():
        _check(columns, rate_hz, signals.get(lead))
    if len({columns.shape for columns in probabilities.values()}) > 1:
        raise ValueError("the leads of a record must have equally many samples")
    every = [_found(columns, rate_hz, rules) for columns in probabilities.values()]
    together = agreed(every, list(probabilities.values()), rate_hz, rules)
    return {
        lead: _waves(found, rate_hz, lead, signals.get(lead), start_s)
        for lead, found in zip(probabilities, together, strict=True)
    }


def _found(probabilities: NDArray[np.float32], rate_hz: float, rules: Rules) -> Found:
    """Return what one lead shows by itself."""
    label = probabilities.argmax(axis=0).astype(np.int8)
    runs, means = apply_rules(class_runs(label), probabilities, rate_hz, rules)
    onset, offset = _boundaries(probabilities, runs, rules.refine)
    if rules.expected_p:
        onset, offset = _expected_p(probabilities[P], runs, onset, offset)
    within = round(rules.likely_t_s * rate_hz)
    if within > 0:
        onset, offset = _likely_t(probabilities, runs, onset, offset, within)
    ends = np.stack(steadied(runs, onset, offset, rate_hz, rules))
    onset, offset = np.clip(ends, 0, label.size - 1)  # a wave that the record's end cuts may move
    return Found(runs, onset, offset, means[runs.kind, np.arange(runs.kind.size)])


def _waves(
    found: Found,
    rate_hz: float,
    lead: str | None,
    signal: NDArray[np.float32] | None,
    start_s: float,
) -> tuple[Wave, ...]:
    runs, onset, offset, own = found
    peak = np.clip(_peaks(signal, runs, onset, offset), onset, offset)
    times = (start_s + place / rate_hz for place in (onset, peak, offset))
    return tuple(
        Wave(lead, WAVE_KINDS[kind - 1], on, top, off, min(probability, 1.0))
        for kind, on, top, off, probability in zip(
            runs.kind.tolist(), *(time.tolist() for time in times), own.tolist(), strict=True
        )
    )


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


def _boundaries(
    probabilities: NDArray[np.float32], runs: Runs, refine: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return onsets and offsets in samples, between samples if `refine`."""
    first, last = runs.start, runs.stop - 1
    if not refine:
        return first.astype(np.float64), last.astype(np.float64)
    outside = np.clip(first - 1, 0, None)
    onset = first - _crossing(probabilities, runs.kind, first, outside)
    outside = np.clip(last + 1, None, probabilities.shape[1] - 1)
    return onset, last + _crossing(probabilities, runs.kind, last, outside)


def _expected_p(
    probability: NDArray[np.float32],
    runs: Runs,
    onset: NDArray[np.float64],
    offset: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return boundaries, those of P where they are to be expected, by the net's own doubt.

    Each sample beside the middle of a P moves its boundary out by the probability that it belongs
    to the P. Samples beyond `REACH` of its length, and beyond the middle of a neighbour, do not.
    """
    middle = np.rint((onset + offset) / 2).astype(np.intp)
    reach = np.ceil(REACH * (offset - onset)).astype(np.intp)
    first = np.maximum(middle - reach, np.concatenate([[0], middle])[:-1])
    last = np.minimum(middle + reach, np.concatenate([middle, [probability.size]])[1:])
    total = np.concatenate([[0.0], np.cumsum(probability, dtype=np.float64)])
    begins = middle - 0.5 - (total[middle] - total[first])
    ends = middle - 0.5 + (total[last] - total[middle])
    own = runs.kind == P
    return np.where(own, begins, onset), np.where(own, ends, offset)


def _likely_t(
    probabilities: NDArray[np.float32],
    runs: Runs,
    onset: NDArray[np.float64],
    offset: NDArray[np.float64],
    within: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return boundaries, those of T where the net holds it likeliest that they are near.

    Near is `within` samples to each side: by so much as T's probability rises from the one side to
    the other, the onset lies between. Looked for up to `REACH` of the length of the T from its
    middle, and neither in its neighbours nor where a P is likelier.
    """
    own = np.flatnonzero(runs.kind == T)
    if not own.size:
        return onset, offset
    probability = probabilities[T]
    middle = np.rint((onset[own] + offset[own]) / 2).astype(np.intp)
    reach = np.ceil(REACH * (offset[own] - onset[own])).astype(np.intp)
    before, after = np.append(0, runs.stop)[own], np.append(runs.start, probability.size)[own + 1]
    first, last = np.maximum(middle - reach, before), np.minimum(middle + reach, after - 1)
    padded = np.pad(probability, within, mode="edge")
    rise = padded[2 * within :] - padded[: -2 * within]
    other = probabilities[P] > probability
    begins, ends = onset.copy(), offset.copy()
    for side, edge in ((begins, rise), (ends, -rise)):
        edge[other] = -1
        side[own] = _nearly_highest(edge, first, last, side[own])
    begins[own] = np.minimum(begins[own], middle - 0.5)
    ends[own] = np.maximum(ends[own], middle + 0.5)
    return begins, ends


def _nearly_highest(
    values: NDArray[np.float32],
    first: NDArray[np.intp],
    last: NDArray[np.intp],
    place: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the places, moved no farther than to where first..last are nearly the highest.

    They stay where nothing is above 0.
    """
    begin, stretch, every = _places(first, np.maximum(last - first + 1, 1))
    here = values[every]
    highest = np.maximum.reduceat(here, begin)[stretch]
    near = here >= np.where(highest > 0, NEARLY * highest, -np.inf)
    far = np.where(near, np.abs(every - place[stretch]), np.inf)
    nearest = np.flatnonzero(far == np.minimum.reduceat(far, begin)[stretch])
    _, one = np.unique(stretch[nearest], return_index=True)
    chosen = every[nearest[one]]
    return np.asarray(chosen + np.clip(place - chosen, -0.5, 0.5))


def _crossing(
    probabilities: NDArray[np.float32],
    kind: NDArray[np.intp],
    inside: NDArray[np.intp],
    outside: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return how far from `inside` towards `outside` (0..1 sample) a class loses its lead.

    The lead is the class's probability less that of its strongest competitor, taken as linear
    between the two samples. At the edge of the record there is no outside: 0.
    """
    here = _lead(probabilities[:, inside], kind)
    there = _lead(probabilities[:, outside], kind)
    fall = here - there
    step = np.divide(here, fall, out=np.zeros_like(here), where=fall > 0)
    return np.where(inside == outside, 0.0, np.clip(step, 0.0, 1.0))


def _lead(columns: NDArray[np.float32], kind: NDArray[np.intp]) -> NDArray[np.float64]:
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
    begin, wave, place = _places(runs.start, length)
    within = place - runs.start[wave]
    values = np.nan_to_num(signal[place].astype(np.float64))
    first, last = values[begin], values[begin + length - 1]
    slope = (last - first) / np.maximum(length - 1, 1)
    distance = np.abs(values - first[wave] - slope[wave] * within)
    highest = np.flatnonzero(distance == np.maximum.reduceat(distance, begin)[wave])
    _, position = np.unique(wave[highest], return_index=True)
    return np.asarray(place[highest[position]], dtype=np.float64)


def _places(
    first: NDArray[np.intp], length: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return the samples of some stretches in a row: where each begins there, whose, which."""
    begin = np.cumsum(length) - length
    stretch = np.repeat(np.arange(length.size), length)
    return begin, stretch, np.arange(length.sum()) + (first - begin)[stretch]
