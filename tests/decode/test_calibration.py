from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from fascicle.decode.calibration import COLDEST, HOTTEST, apply_temperature, fit_temperatures


def drawn(temperature: float, records: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and logits (record, 1) of a net that is too sure by a known factor."""
    generator = np.random.default_rng(3)
    honest = generator.normal(-1, 2, (records, 1))
    return generator.random((records, 1)) < expit(honest), honest * temperature


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_known_temperature_comes_back(temperature: float) -> None:
    labels, logits = drawn(temperature)
    assert fit_temperatures(labels, logits) == pytest.approx([temperature], rel=0.05)


def test_no_temperature_has_a_lower_loss() -> None:
    labels, logits = drawn(1.7, 300)
    (found,) = fit_temperatures(labels, logits)
    margin = np.where(labels, logits, -logits)

    def loss(temperature: float) -> float:
        return float(np.logaddexp(0, -margin / temperature).mean())

    grid = np.geomspace(COLDEST, HOTTEST, 400)
    assert loss(found) <= min(loss(temperature) for temperature in grid) + 1e-9


def test_each_class_has_its_own_and_unknown_labels_do_not_count() -> None:
    labels, logits = drawn(2.0)
    both = np.hstack([logits, logits / 2])
    known = np.ones(both.shape, bool)
    known[::2, 1] = False
    both[::2, 1] = np.nan
    found = fit_temperatures(np.hstack([labels, labels]), both, known)
    assert found == pytest.approx([2.0, 1.0], rel=0.06)


@pytest.mark.parametrize("positives", [0, 9, 91, 100])
def test_too_few_examples_keep_one(positives: int) -> None:
    labels = (np.arange(100) < positives)[:, None]
    logits = np.random.default_rng(0).normal(size=(100, 1)) * 9
    assert fit_temperatures(labels, logits) == [1.0]
    assert fit_temperatures(labels[:0], logits[:0]) == [1.0]


def test_ten_of_each_are_enough() -> None:
    labels = (np.arange(20) < 10)[:, None]
    assert fit_temperatures(labels, np.random.default_rng(0).normal(size=(20, 1)) * 9) != [1.0]


@pytest.mark.parametrize(("sign", "bound"), [(1, COLDEST), (-1, HOTTEST)])
def test_the_search_is_bounded(sign: int, bound: float) -> None:
    labels = (np.arange(40) < 20)[:, None]
    logits = sign * np.where(labels, 3.0, -3.0)  # separable, rightly or wrongly
    assert fit_temperatures(labels, logits) == pytest.approx([bound], rel=1e-3)


def test_application_is_safe_and_keeps_the_order() -> None:
    logits = np.array([[-1e30, -800.0, -1.0, 0.0, 1.0, 800.0, 1e30]])
    found = apply_temperature(logits, np.full(7, 0.1))
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert (np.diff(found) >= 0).all()
    assert found[0, 3] == 0.5
    np.testing.assert_allclose(apply_temperature(logits, np.ones(7)), expit(logits), rtol=1e-6)


def test_applied_per_class() -> None:
    found = apply_temperature(np.array([[2.0, 2.0]]), np.array([1.0, 2.0]))
    np.testing.assert_allclose(found, [[expit(2.0), expit(1.0)]], rtol=1e-6)


def test_impossible_arguments_are_refused() -> None:
    labels, logits = np.zeros((3, 2), bool), np.zeros((3, 2))
    with pytest.raises(ValueError, match="shape"):
        fit_temperatures(labels, logits[:2])
    with pytest.raises(ValueError, match="shape"):
        fit_temperatures(labels[0], logits[0])
    with pytest.raises(ValueError, match="finite"):
        fit_temperatures(labels, np.full((3, 2), np.inf))
