"""Samplers: how often a record is drawn, and which records are kept, from its classes or source.

Chances are float64 (record,) and sum to 1, as `numpy.random.Generator.choice` takes them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fascicle.errors import BadRequest

Labels = NDArray[np.bool_]
Chances = NDArray[np.float64]


def inverse_frequency(labels: Labels) -> Chances:
    """Return chances inverse to the frequency of a record's positive classes.

    A record has the sum of 1 / (records of the class) over its classes. That is to draw a class
    first, each as often as any other, and then one of its records. A record without a positive has
    the mean of those that have one. Sodmann et al. 2021, section 2.

    Parameters
    ----------
    labels
        (record, class) bool; a class without records counts nothing.

    Raises
    ------
    BadRequest
        For another type or shape, or no records.
    """
    _check(labels)
    counts = labels.sum(axis=0)
    chances = labels @ np.where(counts > 0, 1 / np.maximum(counts, 1), 0.0)
    some = labels.any(axis=1)
    chances[~some] = chances[some].mean() if some.any() else 1.0
    return np.asarray(chances / chances.sum(), dtype=np.float64)


def by_source(sources: Sequence[str]) -> Chances:
    """Return chances with which every source is drawn as often as any other.

    Parameters
    ----------
    sources
        (record,): where each record comes from.

    Raises
    ------
    BadRequest
        If there are no records.
    """
    if not len(sources):
        raise BadRequest("no records to draw from")
    _, which, counts = np.unique(np.asarray(sources), return_inverse=True, return_counts=True)
    return np.asarray(1 / counts[which] / len(counts), dtype=np.float64)


def fill_up(
    labels: Labels, target: int, rng: np.random.Generator, *, unlabelled: int = 0
) -> NDArray[np.int64]:
    """Return the records to train on, ascending: rarer classes are filled to `target` first.

    From the rarest class to the commonest, records are added at random until `target` of the class
    are there or it is used up. A record counts for all its classes and is added once, so common
    classes that go with rare ones end above the target. Hughes et al., section 2.

    Parameters
    ----------
    labels
        (record, class) bool.
    target
        Records wanted of each class (4000 in the paper).
    rng
        Which records of a class are added; the same state gives the same records.
    unlabelled
        So many records without a positive come too, or all that there are. The paper adds records
        for their classes only, "sinus rhythm" among them: 0.

    Raises
    ------
    BadRequest
        For another type or shape, no records, a target below 1, or a negative `unlabelled`.
    """
    _check(labels)
    if target < 1 or unlabelled < 0:
        raise BadRequest(
            f"expected a target of at least 1 and unlabelled of at least 0, not {target} and "
            f"{unlabelled}"
        )
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for place in np.argsort(labels.sum(axis=0), kind="stable"):
        column = labels[:, place]
        missing = target - int((column & chosen).sum())
        _add(chosen, column, missing, rng)
    _add(chosen, labels.sum(axis=1) == 0, unlabelled, rng)
    return np.flatnonzero(chosen)


def _add(chosen: Labels, among: Labels, number: int, rng: np.random.Generator) -> None:
    """Choose so many more of these records, in place, or all that are left."""
    left = np.flatnonzero(among & ~chosen)
    number = min(max(number, 0), len(left))
    chosen[rng.choice(left, number, replace=False) if number else []] = True


def _check(labels: Labels) -> None:
    if labels.dtype != np.bool_ or labels.ndim != 2 or not len(labels):
        raise BadRequest(
            f"labels must be bool (record, class) with records, not {labels.dtype} {labels.shape}"
        )
