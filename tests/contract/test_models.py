"""Every head fits every backbone. A new registry entry must be added to the lists here."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch

from fascicle.models.network import BACKBONES, HEADS, build_network
from fascicle.recipe import BACKBONE_RECIPES
from fascicle.tasks import TASKS

SMALL: dict[str, dict[str, Any]] = {
    "unet": {"filters": (8, 8, 16), "decoder": (8, 8), "skip": 8},
}
"""A small version of each backbone."""
DECODERS = {"unet": ("backbone.up.", "backbone.skip.", "backbone.decoder.")}
"""Weights that only the finest map needs, so that diagnoses alone do not train them."""
CLASSES = {"waves": 4, "beats": 5, "diagnosis": 3}
SHAPES = {"waves": (2, 12, 4, 333), "beats": (2, 6, 333), "diagnosis": (2, 3)}
"""Logits of each head for two records of 333 samples."""


def test_these_lists_are_the_registries() -> None:
    assert set(SMALL) == set(DECODERS) == set(BACKBONES)
    assert set(CLASSES) == set(SHAPES) == set(HEADS)


def test_recipes_can_name_each_backbone() -> None:
    assert set(BACKBONE_RECIPES) == set(BACKBONES)


def test_each_task_has_a_head() -> None:
    assert {task.head for task in TASKS.values()} <= set(HEADS)


@pytest.mark.parametrize("head", CLASSES)
@pytest.mark.parametrize("backbone", SMALL)
def test_a_pair_runs_forward_and_backward(backbone: str, head: str) -> None:
    torch.manual_seed(0)
    network = build_network(backbone, SMALL[backbone], [("task", head, CLASSES[head])])
    present = torch.ones(2, 12, dtype=torch.bool)
    present[1, 4:] = False
    logits = network(torch.randn(2, 12, 333), present, torch.tensor([333, 200]), torch.rand(2, 4))[
        "task"
    ]
    assert logits.shape == SHAPES[head]
    logits.square().sum().backward()
    for name, parameter in network.named_parameters():
        if head == "diagnosis" and name.startswith(DECODERS[backbone]):
            assert parameter.grad is None, name
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("backbone", SMALL)
def test_a_backbone_says_what_it_gives(backbone: str) -> None:
    trunk: Any = BACKBONES[backbone](**SMALL[backbone])
    features = trunk(torch.zeros(1, 12, 100), torch.ones(1, 12, dtype=torch.bool))
    assert features.frames.shape[1] == trunk.channels
    assert features.dense.shape[1] == trunk.dense_channels
    assert features.samples_per_frame == trunk.samples_per_frame
    assert trunk.reach_samples > 0
