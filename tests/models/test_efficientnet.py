"""EfficientNet along time: shapes and weights by hand, dropped paths, rounding."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fascicle.models.efficientnet import EfficientNet1d, InvertedBlock, eights


def _block(inputs: int, outputs: int, kernel: int, expansion: int = 6) -> int:
    inner, squeezed = expansion * inputs, inputs // 4
    widen = inputs * inner + 2 * inner if expansion > 1 else 0
    depthwise = kernel * inner + 2 * inner
    excitation = inner * squeezed + squeezed + squeezed * inner + inner
    return widen + depthwise + excitation + inner * outputs + 2 * outputs


def test_b0_has_as_many_weights_as_its_shapes_say() -> None:
    stem = 9 * 12 * 32 + 2 * 32 + 12 * 32
    blocks = (
        _block(32, 16, 9, expansion=1)
        + _block(16, 24, 9) + _block(24, 24, 9)
        + _block(24, 40, 25) + _block(40, 40, 25)
        + _block(40, 80, 9) + 2 * _block(80, 80, 9)
        + _block(80, 112, 25) + 2 * _block(112, 112, 25)
        + _block(112, 192, 25) + 3 * _block(192, 192, 25)
        + _block(192, 320, 9)
    )  # fmt: skip
    last = 320 * 1280 + 2 * 1280
    with torch.device("meta"):
        net = EfficientNet1d()
        features = net(torch.zeros(2, 12, 4096), torch.ones(2, 12, dtype=torch.bool))
    assert sum(p.numel() for p in net.parameters()) == stem + blocks + last == 4_010_524
    assert features.frames.shape == (2, 1280, 128)
    assert net.samples_per_frame == 32
    assert net.reach_samples is None


def test_width_and_depth_multiply_channels_and_blocks() -> None:
    with torch.device("meta"):
        whole, small = EfficientNet1d(), EfficientNet1d(width=0.5, depth=0.5)
        deep = EfficientNet1d(depth=1.1)
    assert (len(whole.blocks), len(small.blocks)) == (16, 1 + 1 + 1 + 2 + 2 + 2 + 1)
    assert len(deep.blocks) == 2 + 3 + 3 + 4 + 4 + 5 + 2
    assert small.channels == 640


@pytest.mark.parametrize("samples", [1, 31, 32, 33, 333])
def test_frames_are_rounded_up(samples: int) -> None:
    net = EfficientNet1d(width=0.25, depth=0.1).eval()
    features = net(torch.zeros(1, 12, samples), torch.ones(1, 12, dtype=torch.bool))
    assert features.frames.shape == (1, 320, -(-samples // 32))


def test_training_leaves_out_whole_paths_and_makes_up_for_it() -> None:
    torch.manual_seed(0)
    block = InvertedBlock(8, 8, 2, 3, 1, drop=0.5).eval()
    x = torch.randn(64, 8, 6)
    path = block(x) - x
    block.training = True  # its norms stay as they are
    change = block(x) - x
    left_out = change.abs().amax((1, 2)) < 1e-6
    assert 10 < int(left_out.sum()) < 54
    assert torch.allclose(change[~left_out], 2 * path[~left_out], atol=1e-5)


def test_the_first_block_is_never_left_out_and_the_last_one_most() -> None:
    with torch.device("meta"):
        blocks = [m for m in EfficientNet1d().modules() if isinstance(m, InvertedBlock)]
    drops = [block.drop for block in blocks]
    assert drops == sorted(drops)
    assert (drops[0], drops[-1]) == (0, 0.2 * 15 / 16)


def test_only_blocks_that_keep_their_shape_add_their_input() -> None:
    for outputs, stride, added in ((8, 1, True), (16, 1, False), (8, 2, False)):
        block = InvertedBlock(8, outputs, 2, 3, stride, 0.0).eval()
        nn.init.zeros_(block.path[-1].weight)  # type: ignore[arg-type]
        x = torch.randn(1, 8, 6)
        expected = x if added else torch.zeros(1, outputs, 6 // stride)
        assert torch.equal(block(x), expected)


@pytest.mark.parametrize(
    ("channels", "rounded"),
    [(1.0, 8), (11.0, 16), (12.0, 16), (16.0, 16), (18.0, 24), (26.4, 24), (640.0, 640)],
)
def test_channels_are_rounded_to_eights(channels: float, rounded: int) -> None:
    assert eights(channels) == rounded
