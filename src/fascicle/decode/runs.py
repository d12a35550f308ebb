"""Runs of one class along a lead, as three arrays, and what the delineation rules do to them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Runs(NamedTuple):
    """Stretches [start, stop) of samples with a class, in order of time, without overlap."""

    start: NDArray[np.intp]
    stop: NDArray[np.intp]
    kind: NDArray[np.intp]


class Found(NamedTuple):
    """The waves of one lead: runs, boundaries in samples, mean probability of the own class."""

    runs: Runs
    onset: NDArray[np.float64]
    offset: NDArray[np.float64]
    probability: NDArray[np.float64]


def class_runs(label: NDArray[np.int8]) -> Runs:
    """Return the maximal runs of equal labels above 0."""
    if label.size == 0:
        none = np.zeros(0, dtype=np.intp)
        return Runs(none, none, none)
    edges = np.flatnonzero(np.diff(label)) + 1
    start = np.concatenate([np.zeros(1, dtype=np.intp), edges])
    stop = np.append(edges, label.size)
    kind = label[start].astype(np.intp)
    return pick(Runs(start, stop, kind), kind > 0)


def pick(runs: Runs, keep: NDArray[np.bool_]) -> Runs:
    """Return the runs where `keep` is true."""
    return Runs(runs.start[keep], runs.stop[keep], runs.kind[keep])


def swallowed(runs: Runs, own: Runs, joined: NDArray[np.bool_]) -> Runs:
    """Return `runs` with fragments `own` of one kind joined, and without what lay in the gaps.

    `joined[i]` says that `own` i and i + 1 are one wave.
    """
    first = np.concatenate([[True], ~joined])
    last = np.concatenate([~joined, [True]])
    start, stop, kind = own.start[first], own.stop[last], own.kind[first]
    cover = np.searchsorted(start, runs.start, side="right") - 1
    inside = (cover >= 0) & (runs.start < stop[np.maximum(cover, 0)])
    rest = pick(runs, ~inside)
    return joined_runs(rest, Runs(start, stop, kind))


def joined_runs(some: Runs, others: Runs) -> Runs:
    """Return both in order of time."""
    both = [np.concatenate(pair) for pair in zip(some, others, strict=True)]
    order = np.argsort(both[0], kind="stable")
    return Runs(*(column[order] for column in both))


def class_means(probabilities: NDArray[np.float32], runs: Runs) -> NDArray[np.float64]:
    """Return the mean probability of each class inside each run, (class, run)."""
    if runs.start.size == 0:
        return np.zeros((probabilities.shape[0], 0))
    edges = np.column_stack([runs.start, runs.stop]).ravel()
    if edges[-1] == probabilities.shape[1]:
        edges = edges[:-1]  # the last stretch then ends with the array
    sums = np.add.reduceat(probabilities, edges, axis=1)[:, ::2]
    return np.asarray(sums / (runs.stop - runs.start), dtype=np.float64)


def within_neighbours(
    moved: NDArray[np.float64], onset: NDArray[np.float64], offset: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return moved boundaries (side, run), none beyond the middle of the gap beside it.

    A run of which nothing would be left stays where it was.
    """
    between = (offset[:-1] + onset[1:]) / 2
    first = np.concatenate([moved[0, :1], np.maximum(moved[0, 1:], between)])
    last = np.concatenate([np.minimum(moved[1, :-1], between), moved[1, -1:]])
    there = first < last
    return np.where(there, first, onset), np.where(there, last, offset)


def spaced(
    start: NDArray[np.intp], weight: NDArray[np.float64], distance: float
) -> NDArray[np.bool_]:
    """Return which of the sorted starts stay so that neighbours are at least `distance` apart.

    The heaviest stays and removes what is too close to it, then the next heaviest, and so on.
    """
    keep = np.ones(start.size, dtype=bool)
    close = np.diff(start) < distance
    crowded = np.flatnonzero(np.append(close, False) | np.concatenate([[False], close]))
    low = np.searchsorted(start, start - distance, side="right")
    high = np.searchsorted(start, start + distance, side="left")
    for index in crowded[np.argsort(-weight[crowded], kind="stable")]:
        if keep[index]:
            keep[low[index] : high[index]] = False
            keep[index] = True
    return keep
