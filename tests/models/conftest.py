"""A small net with every head, and what it takes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fascicle.models.network import Network, build_network

CLASSES = 7
Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture(scope="session")
def small() -> Network:
    """Return a net of 32 samples per frame; its scales are random, so that nothing is trivial."""
    torch.manual_seed(1)
    network = build_network(
        "unet",
        {"filters": (8, 8, 16, 16, 24), "decoder": (8, 8, 16, 16), "skip": 8},
        [("waves", "waves", 4), ("beats", "beats", 5), ("diagnosis", "diagnosis", CLASSES)],
        window=600,
    )
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("scale", "shift", "bias")):
                parameter.add_(0.3 * torch.randn_like(parameter))
    return network.eval()


def _inputs(rows: int, samples: int, seed: int = 0) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(rows, 12, samples, generator=generator),
        torch.ones(rows, 12, dtype=torch.bool),
        torch.full((rows,), samples),
        torch.zeros(rows, 6),
    )


@pytest.fixture
def inputs() -> Callable[..., Inputs]:
    """Return signal, present, valid and covariates of (rows, samples, seed)."""
    return _inputs
