from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fascicle.decode.ensembles import majority, mean_thresholds


def array(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, dtype=np.float64)


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1), st.integers(2, 7))
def test_it_is_decided_as_most_members_decide(seed: int, members: int) -> None:
    generator = np.random.default_rng(seed)
    levels = np.array([0, 1e-9, 0.1, 0.3, np.nextafter(0.3, 1), 0.5, 0.999, 1, np.nextafter(1, 2)])
    thresholds = generator.choice(levels, (members, 20))
    probabilities = generator.random((members, 20)).astype(np.float32)
    exact = generator.random((members, 20)) < 0.4
    probabilities[exact] = np.minimum(generator.choice(levels, exact.sum()), 1)
    votes = (probabilities >= thresholds).sum(axis=0)
    found = majority(probabilities, thresholds)
    decided = found.astype(np.float64) >= mean_thresholds(thresholds)
    assert decided.tolist() == (2 * votes > members).tolist()
    assert found.dtype == np.float32


def test_with_one_threshold_it_is_the_median() -> None:
    probabilities = array((0.1, 0.9), (0.2, 0.8), (0.7, 0.3)).astype(np.float32)
    assert majority(probabilities, np.full((3, 2), 0.5)) == pytest.approx([0.2, 0.8])
    four = np.append(probabilities, array((0.6, 0.6)).astype(np.float32), axis=0)
    assert majority(four, np.full((4, 2), 0.5)) == pytest.approx([0.2, 0.6])


def test_two_against_one_of_a_larger_margin() -> None:
    thresholds = array((0.1,), (0.2,), (0.6,))
    probabilities = array((0.15,), (0.3,), (0.0,)).astype(np.float32)
    assert mean_thresholds(thresholds) == pytest.approx([0.3])
    assert majority(probabilities, thresholds) == pytest.approx([0.35])


def test_half_of_the_members_are_no_majority() -> None:
    found = majority(array((0.9,), (0.4,)).astype(np.float32), array((0.5,), (0.5,)))
    assert found == pytest.approx([0.4])


def test_the_mean_threshold_is_one_that_32_bits_can_hold() -> None:
    found = mean_thresholds(array((0.1, 2.0), (0.2, 1.0)))
    assert found[0] == float(np.float32(0.15))
    assert found[1] == 1.0


@pytest.mark.parametrize("shape", [(3, 1), (2,), (2, 1, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one shape"):
        majority(np.zeros((2, 1), np.float32), np.zeros(shape))
