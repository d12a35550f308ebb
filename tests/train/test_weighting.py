"""Weights of classes that follow their scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fascicle.train.weighting import raised


def test_weights_by_hand() -> None:
    found = raised(np.ones(3), np.array([0.9, 0.6, 0.3]), strength=2.0)
    powers = np.exp(2 * np.array([-0.3, 0.0, 0.3]))
    assert found == pytest.approx(powers / powers.mean())


def test_the_limits_hold_and_the_mean_is_still_one() -> None:
    found = raised(np.ones(4), np.array([1.0, 1.0, 1.0, 0.0]), strength=20.0, limit=3.0)
    assert found == pytest.approx([1 / 3, 1 / 3, 1 / 3, 3.0])
    found = raised(np.ones(3), np.array([1.0, 1.0, 0.0]), strength=20.0, limit=3.0)
    assert found == pytest.approx([1 / 3, 1 / 3, 7 / 3])  # the lower limit is met first


def test_two_validations_add_up() -> None:
    first, second = np.array([0.5, 0.4, 0.6]), np.array([0.2, 0.4, 0.3])
    once = raised(np.ones(3), first + second)
    assert raised(raised(np.ones(3), first), second) == pytest.approx(once)


def test_an_undefined_score_moves_nothing() -> None:
    weights = np.array([0.5, 1.5])
    assert raised(weights, np.full(2, np.nan)) == pytest.approx(weights)
    found = raised(np.ones(3), np.array([0.8, 0.4, np.nan]))
    powers = np.exp([-0.2, 0.2, 0.0])
    assert found == pytest.approx(powers / powers.mean())


@given(st.integers(0, 2**32 - 1), st.floats(0, 50), st.floats(1, 10))
@settings(max_examples=50)
def test_mean_one_limits_and_order(seed: int, strength: float, limit: float) -> None:
    rng = np.random.default_rng(seed)
    scores, weights = rng.random(6), np.ones(6)
    for _ in range(5):
        weights = raised(weights, scores, strength=strength, limit=limit)
        assert weights.mean() == pytest.approx(1)
        assert weights.max() <= limit * (1 + 1e-9)
        assert weights.min() >= (1 - 1e-9) / limit
        assert (np.diff(weights[np.argsort(scores)]) <= 1e-9).all()  # the weaker, the heavier


def test_refusals() -> None:
    ones = np.ones(2)
    with pytest.raises(ValueError, match=r"expected weights and scores \(class,\)"):
        raised(ones, np.ones(3))
    with pytest.raises(ValueError, match=r"expected weights and scores \(class,\)"):
        raised(np.ones(0), np.ones(0))
    for weights in (np.array([0.0, 2.0]), np.array([np.nan, 1.0])):
        with pytest.raises(ValueError, match="finite and above 0"):
            raised(weights, ones)
    with pytest.raises(ValueError, match="scores must be finite"):
        raised(ones, np.array([np.inf, 0.0]))
    with pytest.raises(ValueError, match="strength -1"):
        raised(ones, ones, strength=-1)
    with pytest.raises(ValueError, match=r"limit 0\.5"):
        raised(ones, ones, limit=0.5)
