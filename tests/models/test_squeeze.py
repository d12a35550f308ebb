"""The nets with squeeze-and-excitation: shapes and weights by hand, strides, hand-down."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fascicle.models.network import BACKBONES
from fascicle.models.squeeze import SqueezeBlock, SqueezeExcitation, SqueezeResNet


def _block(inputs: int, outputs: int) -> int:
    """Return the weights of a block: two convolutions, two norms, excitation, shortcut."""
    squeezed = outputs // 16
    excitation = outputs * squeezed + squeezed + squeezed * outputs + outputs
    shortcut = inputs * outputs + 2 * outputs if inputs != outputs else 0
    return 7 * inputs * outputs + 7 * outputs * outputs + 2 * 2 * outputs + excitation + shortcut


STEM = 15 * 12 * 64 + 2 * 64 + 12 * 64
WIDER = _block(64, 128) + _block(128, 256) + _block(256, 512)


@pytest.mark.parametrize(
    ("name", "expected", "total", "convolutions"),
    [
        (
            "resnet18_se",
            STEM
            + 2 * _block(64, 64)
            + _block(128, 128)
            + _block(256, 256)
            + _block(512, 512)
            + WIDER,
            8_827_256,
            17,
        ),
        (
            "resnet34_se",
            STEM
            + 3 * _block(64, 64)
            + 3 * _block(128, 128)
            + 5 * _block(256, 256)
            + 2 * _block(512, 512)
            + WIDER,
            16_762_924,
            33,
        ),
    ],
)
def test_they_have_as_many_weights_as_their_shapes_say(
    name: str, expected: int, total: int, convolutions: int
) -> None:
    with torch.device("meta"):
        net: Any = BACKBONES[name]()
        features = net(torch.zeros(2, 12, 4096), torch.ones(2, 12, dtype=torch.bool))
    assert sum(parameter.numel() for parameter in net.parameters()) == expected == total
    wide = [m for m in net.modules() if isinstance(m, nn.Conv1d) and m.kernel_size != (1,)]
    assert len(wide) == convolutions
    assert features.frames.shape == (2, 512, 128)
    assert features.samples_per_frame == net.samples_per_frame == 32
    assert net.reach_samples is None


@pytest.mark.parametrize("samples", [1, 31, 32, 33, 333])
def test_frames_are_rounded_up(samples: int) -> None:
    net = SqueezeResNet((1, 1, 1, 1), width=8, reduction=4).eval()
    features = net(torch.zeros(1, 12, samples), torch.ones(1, 12, dtype=torch.bool))
    assert features.frames.shape == (1, 64, -(-samples // 32))


def test_excitation_weighs_channels_by_their_means() -> None:
    layer = SqueezeExcitation(4, 2, nn.ReLU())
    x = torch.randn(2, 4, 9)
    weights = layer(x) / x
    assert torch.allclose(weights, weights[..., :1].expand_as(weights), atol=1e-5)
    assert ((weights > 0) & (weights < 1)).all()
    level = x.mean(-1, keepdim=True).expand_as(x)  # other shapes with the same means
    assert torch.allclose(layer(level) / level, weights, atol=1e-5)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    assert torch.allclose(layer(x), x / 2)


def test_a_block_that_keeps_its_shape_adds_its_input() -> None:
    block = SqueezeBlock(4, 4, 3, 1, 0.0, 2).eval()
    nn.init.zeros_(block.path[4].weight)  # type: ignore[arg-type]
    x = torch.randn(2, 4, 9)
    assert torch.equal(block(x), x.relu())
    assert not list(block.shortcut.parameters())


def test_all_layers_but_the_first_fit_a_net_of_fewer_leads() -> None:
    with torch.device("meta"):
        twelve = SqueezeResNet((2, 2, 2, 2)).state_dict()
        two = SqueezeResNet((2, 2, 2, 2), leads=(0, 1)).state_dict()
    assert set(twelve) == set(two)
    changed = {name for name in twelve if twelve[name].shape != two[name].shape}
    assert changed == {"stem.weight", "input.absent.weight"}
    assert two["stem.weight"].shape == (64, 2, 15)
