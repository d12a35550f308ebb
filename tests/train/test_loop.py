"""The schedule, the running average, and what decays."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import nn

from fascicle.recipe import Recipe
from fascicle.train.loop import _decayed, _dropout_seed, _follow, learning_rate

MakeRecipe = Callable[..., Recipe]


def test_the_rate_warms_up_and_falls_to_zero(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(steps=110, warmup_steps=10, learning_rate=0.5)
    rates = [learning_rate(step, recipe) for step in range(111)]
    assert rates[0] == pytest.approx(0.05)
    assert rates[9] == rates[10] == pytest.approx(0.5)
    assert rates[60] == pytest.approx(0.25)
    assert rates[110] == pytest.approx(0, abs=1e-12)
    assert all(a >= b for a, b in pairwise(rates[9:]))


def test_the_rate_without_warm_up_starts_at_its_height(make_recipe: MakeRecipe) -> None:
    assert learning_rate(0, make_recipe(warmup_steps=0, learning_rate=0.5)) == 0.5


def test_a_warm_up_longer_than_the_training(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(steps=3, warmup_steps=10, learning_rate=1.0)
    assert [learning_rate(step, recipe) for step in range(3)] == pytest.approx([0.1, 0.2, 0.3])


def test_the_average_follows() -> None:
    average, network = nn.Linear(2, 1), nn.Linear(2, 1)
    before = average.weight.detach().clone()
    _follow(average.requires_grad_(False), network, 0.75)
    expected = 0.75 * before + 0.25 * network.weight
    assert torch.allclose(average.weight, expected)


def test_scales_and_biases_do_not_decay() -> None:
    network = nn.Sequential(nn.Conv1d(2, 3, 5), nn.GroupNorm(1, 3))
    matrices, vectors = _decayed(network, 0.1)
    assert [tuple(p.shape) for p in matrices["params"]] == [(3, 2, 5)]
    assert len(vectors["params"]) == 3
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.1, 0.0)


def test_processes_drop_out_differently_and_steps_repeat() -> None:
    seeds = {_dropout_seed(1, step, rank) for step in range(100) for rank in range(3)}
    assert len(seeds) == 300
    assert _dropout_seed(1, 5, 0) == _dropout_seed(1, 5, 0)
    assert math.log2(max(seeds)) < 63
