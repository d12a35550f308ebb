"""Samplers: shares by hand, and what fills up a class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fascicle.data.samplers import by_source, fill_up, inverse_frequency
from fascicle.errors import BadRequest


def _flags(*rows: str) -> NDArray[np.bool_]:
    """Return (record, class) from rows such as "1.1"."""
    return np.array([[mark == "1" for mark in row] for row in rows])


def _random(seed: int) -> NDArray[np.bool_]:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.random((60, 5)) < [0.5, 0.3, 0.1, 0.03, 0.0])


def test_inverse_frequency_by_hand() -> None:
    labels = _flags("1..", "1..", "11.", "...")  # three of the first class, one of the second
    weights = np.array([1 / 3, 1 / 3, 1 / 3 + 1, (1 / 3 + 1 / 3 + 4 / 3) / 3])
    assert inverse_frequency(labels) == pytest.approx(weights / weights.sum())


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_classes_that_never_meet_are_drawn_alike(seed: int) -> None:
    kinds = np.random.default_rng(seed).integers(0, 4, 50)
    labels = kinds[:, None] == np.arange(5)
    chances = inverse_frequency(labels)
    assert chances.sum() == pytest.approx(1)
    there = labels.any(axis=0)
    assert chances @ labels[:, there] == pytest.approx(1 / there.sum())


def test_without_any_positive_all_records_are_drawn_alike() -> None:
    assert inverse_frequency(_flags("..", "..")).tolist() == [0.5, 0.5]
    assert inverse_frequency(np.zeros((4, 0), dtype=bool)).tolist() == [0.25] * 4


def test_by_source_by_hand() -> None:
    assert by_source(["a", "b", "a", "a", "b", "c"]) == pytest.approx(
        np.array([1 / 9, 1 / 6, 1 / 9, 1 / 9, 1 / 6, 1 / 3])
    )


def test_rarer_classes_come_first_and_count_for_the_others() -> None:
    labels = _flags("11", "11", "1.", "1.", "1.", "..")
    for seed in range(10):
        chosen = fill_up(labels, 3, np.random.default_rng(seed))
        # both records of the rare class, which are two of the common class: one more is missing
        assert chosen[:2].tolist() == [0, 1]
        assert len(chosen) == 3
        assert chosen[2] in (2, 3, 4)


def test_a_common_class_that_goes_with_rarer_ones_ends_above_the_target() -> None:
    labels = _flags("11.", "11.", "11.", "11.", "1.1", "1.1", "1.1", "1..")
    chosen = fill_up(labels, 3, np.random.default_rng(0))
    assert labels[chosen].sum(axis=0).tolist() == [6, 3, 3]


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(0, 30))
@settings(max_examples=50)
def test_each_class_has_the_target_or_is_used_up(seed: int, target: int, unlabelled: int) -> None:
    labels = _random(seed)
    chosen = fill_up(labels, target, np.random.default_rng(seed), unlabelled=unlabelled)
    counts, kept = labels.sum(axis=0), labels[chosen].sum(axis=0)
    assert len(set(chosen.tolist())) == len(chosen)
    assert (np.diff(chosen) > 0).all()
    assert (kept >= np.minimum(counts, target)).all()
    empty = labels.sum(axis=1) == 0
    assert empty[chosen].sum() == min(unlabelled, empty.sum())
    # the commonest class comes last: it never brings more than what it lacks
    common = int(np.argmax(counts))
    others = np.delete(labels, common, axis=1)[chosen].any(axis=1)
    added = int((~others & labels[chosen, common]).sum())
    assert added <= max(target - int((others & labels[chosen, common]).sum()), 0)


def test_one_seed_chooses_the_same_records() -> None:
    def choose(seed: int) -> list[int]:
        return list(fill_up(_random(1), 10, np.random.default_rng(seed)))

    assert choose(4) == choose(4)
    assert choose(4) != choose(5)


def test_a_target_above_everything_keeps_all_that_have_a_class() -> None:
    labels = _random(2)
    chosen = fill_up(labels, 1000, np.random.default_rng(0))
    assert chosen.tolist() == np.flatnonzero(labels.any(axis=1)).tolist()


@pytest.mark.parametrize(
    "labels", [np.zeros((2, 3)), np.zeros(3, dtype=bool), np.zeros((0, 3), dtype=bool)]
)
def test_labels_of_another_kind_are_refused(labels: NDArray[Any]) -> None:
    with pytest.raises(BadRequest, match=r"labels must be bool \(record, class\)"):
        inverse_frequency(labels)
    with pytest.raises(BadRequest, match=r"labels must be bool \(record, class\)"):
        fill_up(labels, 1, np.random.default_rng(0))


def test_impossible_arguments_are_refused() -> None:
    labels, rng = _flags("1"), np.random.default_rng(0)
    with pytest.raises(BadRequest, match=r"target of at least 1 .* not 0"):
        fill_up(labels, 0, rng)
    with pytest.raises(BadRequest, match="unlabelled of at least 0, not 1 and -1"):
        fill_up(labels, 1, rng, unlabelled=-1)
    with pytest.raises(BadRequest, match="no records"):
        by_source([])
