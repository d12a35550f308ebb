"""What moves the weights: the optimiser, the learning rate, and the batches behind each step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from fascicle.recipe import TrainingRecipe


def make_optimiser(network: nn.Module, settings: TrainingRecipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser of the weights that take gradients.

    "ranger" is RAdam with Lookahead and centred gradients (Liu et al. 2020, Zhang et al. 2019, Yong
    et al. 2020), "madgrad" is of Defazio & Jelassi 2022; both with decay apart from the gradient,
    as in AdamW.
    """
    groups, rate = decayed(network, settings.weight_decay), settings.learning_rate
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=rate)
    if settings.optimiser == "adam":
        return torch.optim.Adam(groups, lr=rate)
    from pytorch_optimizer import MADGRAD, Ranger  # half a second that other trainings are spared

    if settings.optimiser == "madgrad":
        return MADGRAD(groups, lr=rate, weight_decouple=True)
    # Without this the first five steps, whose variance is unknown yet, would climb the loss.
    return Ranger(groups, lr=rate, degenerated_to_sgd=True)


def decayed(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return parameter groups: decay for matrices and kernels, none for scales and biases."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.squeeze().ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.squeeze().ndim <= 1], "weight_decay": 0.0},
    ]


def learning_rate(step: int, settings: TrainingRecipe) -> float:
    """Return the rate at a step: linear warm-up, then what the schedule says.

    "constant" stays, "cosine" falls to zero at the last step. "cyclic" moves between the peak and
    `cycle_floor` x peak: "triangular" begins at the floor, climbs and falls (Smith 2017), "cosine"
    begins at the peak, falls and starts again (Loshchilov & Hutter 2017).
    """
    peak = settings.learning_rate
    if step < settings.warmup_steps:
        return peak * (step + 1) / settings.warmup_steps
    since = step - settings.warmup_steps
    if settings.schedule == "constant":
        return peak
    if settings.schedule == "cosine":
        return peak * _half_cosine(since / max(settings.steps - settings.warmup_steps, 1))
    assert settings.cycle_steps is not None
    place = since % settings.cycle_steps / settings.cycle_steps
    height = 1 - abs(2 * place - 1) if settings.cycle == "triangular" else _half_cosine(place)
    return peak * (settings.cycle_floor + (1 - settings.cycle_floor) * height)


def batches_of(step: int, settings: TrainingRecipe) -> int:
    """Return how many batches a step takes the gradient of: 1, or what `accumulate` says."""
    return next((n for first, n in reversed(settings.accumulate) if step >= first), 1)


def _half_cosine(place: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * place))


def take_step(
    loss: Tensor,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    """Take one step of a small net's training, its gradient clipped to 1, and of its schedule."""
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimiser.step()
    schedule.step()
