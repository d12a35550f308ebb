from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fascicle.decode.runs import Runs, class_means, class_runs, pick, spaced, swallowed

labels = hnp.arrays(np.int8, st.integers(0, 60), elements=st.integers(0, 3))


@settings(max_examples=50)
@given(labels)
def test_runs_paint_the_labels_again(label: np.ndarray) -> None:
    runs = class_runs(label)
    painted = np.zeros_like(label)
    for start, stop, kind in zip(*runs, strict=True):
        assert (painted[start:stop] == 0).all()
        painted[start:stop] = kind
    np.testing.assert_array_equal(painted, label)


@settings(max_examples=50)
@given(labels)
def test_means_are_the_means_of_each_stretch(label: np.ndarray) -> None:
    probabilities = np.random.default_rng(0).random((4, label.size), dtype=np.float32)
    runs = class_runs(label)
    means = class_means(probabilities, runs)
    assert means.shape == (4, runs.start.size)
    for column, start, stop in zip(means.T, runs.start, runs.stop, strict=True):
        np.testing.assert_allclose(column, probabilities[:, start:stop].mean(axis=1), rtol=1e-5)


def test_joining_takes_what_lies_between() -> None:
    runs = class_runs(np.array([3, 3, 0, 1, 3, 0, 1, 1], dtype=np.int8))
    own = pick(runs, runs.kind == 3)
    joined = swallowed(runs, own, np.array([True]))
    assert [column.tolist() for column in joined] == [[0, 6], [5, 8], [3, 1]]


def test_joining_nothing_changes_nothing() -> None:
    runs = class_runs(np.array([1, 0, 2, 0, 1], dtype=np.int8))
    same = swallowed(runs, pick(runs, runs.kind == 1), np.array([False]))
    assert all((a == b).all() for a, b in zip(runs, same, strict=True))


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, 200), max_size=30, unique=True),
    st.integers(0, 40),
    st.integers(0, 2**31),
)
def test_spacing_is_greedy_from_the_heaviest(starts: list[int], distance: int, seed: int) -> None:
    start = np.array(sorted(starts), dtype=np.intp)
    weight = np.random.default_rng(seed).random(start.size)
    expected: list[int] = []
    for index in np.argsort(-weight):
        if all(abs(start[index] - start[other]) >= distance for other in expected):
            expected.append(int(index))
    assert np.flatnonzero(spaced(start, weight, distance)).tolist() == sorted(expected)


def test_of_equals_the_earlier_stays() -> None:
    assert spaced(np.array([0, 5]), np.ones(2), 10).tolist() == [True, False]


def test_no_runs() -> None:
    empty = class_runs(np.zeros(5, dtype=np.int8))
    assert isinstance(empty, Runs)
    assert empty.start.size == 0
    assert class_means(np.zeros((4, 5), dtype=np.float32), empty).shape == (4, 0)
