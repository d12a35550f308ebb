"""The 34-layer net: shapes and weights by hand, padding, pooling."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fascicle.models.resnet import PooledBlock, ResNet34, SameConv


def test_twelve_leads_of_ten_seconds_become_256_by_10() -> None:
    with torch.device("meta"):
        net = ResNet34()
        features = net(torch.zeros(2, 12, 2500), torch.ones(2, 12, dtype=torch.bool))
    assert features.frames.shape == features.dense.shape == (2, 256, 10)
    assert features.samples_per_frame == features.dense_samples_per_frame == 256
    assert net.reach_samples is None


def test_33_convolutions_and_a_heads_layer_make_34() -> None:
    with torch.device("meta"):
        convolutions = [m for m in ResNet34().modules() if isinstance(m, nn.Conv1d)]
    assert len(convolutions) == 1 + 16 * 2 == 33
    assert {m.kernel_size for m in convolutions} == {(16,)}


def test_it_has_as_many_weights_as_its_shapes_say() -> None:
    pairs = 12 * 64 + 8 * 64 * 64 + 64 * 128 + 7 * 128 * 128 + 128 * 256 + 15 * 256 * 256
    before_first = 4 * 64 + 4 * 128 + 7 * 256  # norms of all blocks but the first
    before_second = 4 * 64 + 4 * 128 + 8 * 256
    norms = 2 * (64 + before_first + before_second + 256)
    absent = 12 * 64
    with torch.device("meta"):
        counted = sum(parameter.numel() for parameter in ResNet34().parameters())
    assert counted == 16 * pairs + norms + absent == 18_767_744


@pytest.mark.parametrize("samples", [1, 2, 255, 256, 257, 1000])
def test_frames_are_rounded_up(samples: int) -> None:
    net = ResNet34(width=8, widest=16, kernel=4).eval()
    features = net(torch.zeros(1, 12, samples), torch.ones(1, 12, dtype=torch.bool))
    assert features.frames.shape == (1, 16, -(-samples // 256))


@pytest.mark.parametrize(
    ("kernel", "before", "after"), [(1, 0, 0), (5, 2, 2), (4, 1, 2), (16, 7, 8)]
)
def test_an_even_kernel_reaches_one_sample_further_forward(
    kernel: int, before: int, after: int
) -> None:
    conv = SameConv(1, 1, kernel)
    nn.init.ones_(conv.weight)
    impulse = torch.zeros(1, 1, 41)
    impulse[..., 20] = 1
    touched = conv(impulse)[0, 0].nonzero().flatten().tolist()
    assert touched == list(range(20 - after, 20 + before + 1))


@pytest.mark.parametrize(("pool", "frames"), [(False, 5), (True, 3)])
def test_a_shortcut_pools_and_widens_without_weights(pool: bool, frames: int) -> None:
    block = PooledBlock(4, 6, 3, 0.0, first=False, pool=pool).eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 4, 5)
    y = block(x)
    pairs = torch.stack([x[..., :2].amax(-1), x[..., 2:4].amax(-1), x[..., 4]], dim=-1)
    assert y.shape == (2, 6, frames)
    assert torch.equal(y[:, :4], pairs if pool else x)
    assert (y[:, 4:] == 0).all()


def test_pooling_and_doubling_come_where_the_paper_has_them() -> None:
    with torch.device("meta"):
        blocks = [m for m in ResNet34().modules() if isinstance(m, PooledBlock)]
    assert [isinstance(b.pool, nn.MaxPool1d) for b in blocks] == [False, True] * 8
    assert [b.conv2.out_channels for b in blocks] == [64] * 4 + [128] * 4 + [256] * 8
