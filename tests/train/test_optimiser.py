"""Optimisers go downhill, rates follow their schedule, batches their table."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from fascicle.errors import BadRecipe
from fascicle.recipe import Recipe, TrainingRecipe
from fascicle.train.optimiser import batches_of, decayed, learning_rate, make_optimiser

OPTIMISERS = ("adamw", "adam", "ranger", "madgrad")


def rates(count: int, **settings: Any) -> list[float]:
    training = TrainingRecipe(**settings)
    return [learning_rate(step, training) for step in range(count)]


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    found = rates(111, steps=110, warmup_steps=10, learning_rate=0.5)
    assert found[0] == pytest.approx(0.05)
    assert found[9] == found[10] == pytest.approx(0.5)
    assert found[60] == pytest.approx(0.25)
    assert found[110] == pytest.approx(0, abs=1e-12)
    assert all(a >= b for a, b in pairwise(found[9:]))


def test_the_rate_without_warm_up_starts_at_its_height() -> None:
    assert rates(1, warmup_steps=0, learning_rate=0.5) == [0.5]
    assert rates(3, warmup_steps=0, learning_rate=0.5, schedule="constant") == [0.5] * 3


def test_a_warm_up_longer_than_the_training() -> None:
    found = rates(3, steps=3, warmup_steps=10, learning_rate=1.0)
    assert found == pytest.approx([0.1, 0.2, 0.3])


def test_triangles_climb_and_fall_again_and_again() -> None:
    cyclic = {"schedule": "cyclic", "cycle_steps": 8, "cycle_floor": 0.2, "learning_rate": 1.0}
    found = rates(26, warmup_steps=2, steps=26, **cyclic)
    first = [0.2, 0.4, 0.6, 0.8, 1.0, 0.8, 0.6, 0.4]
    assert found == pytest.approx([0.5, 1.0, *first, *first, *first])


def test_cosine_cycles_start_again_at_the_peak() -> None:
    cyclic = {"schedule": "cyclic", "cycle": "cosine", "cycle_steps": 4, "cycle_floor": 0.0}
    found = rates(9, warmup_steps=0, learning_rate=2.0, **cyclic)
    assert found[:4] == pytest.approx([2.0, 1 + 0.5**0.5, 1.0, 1 - 0.5**0.5])
    assert found[4:8] == found[:4]


def test_batches_follow_their_table() -> None:
    table = TrainingRecipe(accumulate=((2, 4), (5, 9)))
    assert [batches_of(step, table) for step in range(7)] == [1, 1, 4, 4, 4, 9, 9]
    assert batches_of(10_000, TrainingRecipe()) == 1


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"schedule": "cyclic"}, "need each other"),
        ({"cycle_steps": 10}, "need each other"),
        ({"schedule": "cyclic", "cycle_steps": 0}, "cycle_steps"),
        ({"accumulate": [[5, 2], [3, 4]]}, "in their order"),
        ({"accumulate": [[5, 2], [5, 4]]}, "in their order"),
        ({"accumulate": [[0, 0]]}, "accumulate"),
        ({"accumulate": [[-1, 2]]}, "accumulate"),
        ({"optimiser": "ranger21"}, "optimiser"),
    ],
)
def test_schedules_that_cannot_be_are_refused(
    make_recipe: Callable[..., Recipe], training: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadRecipe, match=said):
        make_recipe(**training)


def test_scales_and_biases_do_not_decay() -> None:
    network = nn.Sequential(nn.Conv1d(2, 3, 5), nn.GroupNorm(1, 3))
    matrices, vectors = decayed(network, 0.1)
    assert [tuple(p.shape) for p in matrices["params"]] == [(3, 2, 5)]
    assert len(vectors["params"]) == 3
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.1, 0.0)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_goes_downhill_from_its_first_step(name: Any) -> None:
    """Ranger goes half the way back at every sixth step, so that only five are in a row."""
    torch.manual_seed(0)
    network, inputs = nn.Linear(8, 8), torch.randn(32, 8)
    settings = TrainingRecipe(optimiser=name, learning_rate=1e-2, weight_decay=0.0)
    optimiser = make_optimiser(network, settings)
    losses = []
    for _ in range(40):
        loss = (network(inputs) - inputs).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert all(after < before for before, after in pairwise(losses[:6])), losses[:6]
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.parametrize("name", [name for name in OPTIMISERS if name != "adam"])
def test_decay_stands_apart_from_the_gradient(name: Any) -> None:
    """A weight without slope shrinks by rate x decay, whatever the size of other slopes."""
    network = nn.Linear(2, 2)
    with torch.no_grad():
        network.weight.fill_(1.0)
    settings = TrainingRecipe(optimiser=name, learning_rate=0.1, weight_decay=0.5)
    optimiser = make_optimiser(network, settings)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    assert network.weight.detach().flatten().tolist() == pytest.approx([0.95] * 4, rel=1e-5)
