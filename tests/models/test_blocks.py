"""Blocks: what they compute, and that nothing leaks over rows or time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fascicle.models.blocks import (
    RecordNorm,
    ResidualBlock,
    Statistics,
    channels_together,
    conv,
    halve,
    join_channels,
    put_channels_together,
    twin,
)


def _norm(channels: int = 4, groups: int = 2) -> RecordNorm:
    """Return a norm with scales and shifts of its own."""
    norm = RecordNorm(channels, groups)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        norm.scale[:] = 1 + 0.5 * torch.randn(channels, generator=generator)
        norm.shift[:] = torch.randn(channels, generator=generator)
    return norm.requires_grad_(False)


def _by_hand(norm: RecordNorm, x: Tensor, statistics_of: Tensor) -> NDArray[np.float64]:
    """Return x (channel, frame) normalised by the groups of another signal (channel, value)."""
    values, source = (part.numpy().astype(np.float64) for part in (x, statistics_of))
    scale, shift = norm.scale.numpy(), norm.shift.numpy()
    size = len(values) // norm.groups
    rows = []
    for channel, row in enumerate(values):
        first = channel // size * size
        group = source[first : first + size]
        normal = (row - group.mean()) / np.sqrt(group.var() + 1e-5)
        rows.append(normal * scale[channel] + shift[channel])
    return np.stack(rows)


def test_record_norm_by_hand() -> None:
    norm, x = _norm(), 3 + 2 * torch.randn(3, 4, 50)
    for row, made in zip(x, norm(x), strict=True):
        assert np.allclose(made, _by_hand(norm, row, row), atol=1e-5)


def test_channels_must_fall_into_groups() -> None:
    with pytest.raises(ValueError, match="12 channels do not fall into 8 groups"):
        RecordNorm(12)


def test_a_silent_record_stays_finite_with_a_finite_gradient() -> None:
    x = torch.zeros(1, 8, 6, requires_grad=True)
    y = RecordNorm(8)(x)
    y.sum().backward()
    assert torch.equal(y, torch.zeros_like(y))
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_a_record_is_normalised_by_itself_alone() -> None:
    norm, x = _norm(), torch.randn(3, 4, 30)
    changed = x.clone()
    changed[1:] = 100 * changed[1:] + 7
    assert torch.equal(norm(x)[0], norm(changed)[0])


def test_taking_statistics_leaves_the_pass_as_it_is() -> None:
    norm, x = _norm(), 3 + 2 * torch.randn(2, 4, 60)
    statistics = Statistics([torch.nn.Sequential(norm)])  # norms are found at any depth
    with statistics.take(2):
        assert torch.equal(norm(x), _norm()(x))
    assert norm.windows == 0


def test_a_piece_is_normalised_by_its_time() -> None:
    """At a window's centre by that window, between two by both, beyond the last by the last."""
    norm, windows, piece = _norm(), torch.randn(3, 4, 20), 5 * torch.randn(1, 4, 40)
    windows *= torch.tensor([1.0, 4.0, 9.0])[:, None, None]
    statistics = Statistics([norm])
    for part in (windows[:2], windows[2:]):  # as many passes as are needed
        with statistics.take(len(part)):
            norm(part)
    with statistics.of_piece(torch.tensor([10, 20, 30]), 5, 40):
        made = norm(piece)[0]
    by = [_by_hand(norm, piece[0], window) for window in windows]
    for time, shares in ((5, (1, 0, 0)), (10, (1, 0, 0)), (14, (0.6, 0.4, 0)), (20, (0, 1, 0)),
                         (27, (0, 0.3, 0.7)), (30, (0, 0, 1)), (44, (0, 0, 1))):  # fmt: skip
        frame = time - 5
        expected = sum(share * one[:, frame] for share, one in zip(shares, by, strict=True))
        assert np.allclose(made[:, frame], expected, atol=1e-4), time


@pytest.mark.parametrize("step", [1, 2, 8])
def test_frames_of_every_level_stand_at_their_time(step: int) -> None:
    norm, windows, centres = _norm(), torch.randn(3, 4, 20), torch.tensor([100, 200, 300])
    windows *= torch.tensor([1.0, 4.0, 9.0])[:, None, None]
    fine = torch.ones(1, 4, 400)
    statistics = Statistics([norm])
    with statistics.take(3):
        norm(windows)
    with statistics.of_piece(centres, 0, 400):
        finest, made = norm(fine), norm(fine[..., ::step])
    assert torch.allclose(made, finest[..., ::step], atol=1e-6)


def test_pieces_are_normalised_alike_wherever_they_are_cut() -> None:
    norm, windows, x = _norm(), torch.randn(4, 4, 20), torch.randn(1, 4, 90)
    centres = torch.tensor([10, 30, 50, 80])
    statistics = Statistics([norm])
    with statistics.take(4):
        norm(windows)
    with statistics.of_piece(centres, 0, 90):
        whole = norm(x)
    for start, stop in ((0, 7), (5, 60), (33, 34), (85, 90)):
        with statistics.of_piece(centres, start, stop - start):
            assert torch.allclose(norm(x[..., start:stop]), whole[..., start:stop], atol=1e-5)


def test_each_lead_keeps_its_own_statistics() -> None:
    """Heads that see a row per lead: rows are (window, lead), the leads of a window together."""
    norm, leads = _norm(), torch.randn(2, 3, 4, 20) * torch.tensor([1.0, 5.0, 9.0])[:, None, None]
    piece = torch.randn(3, 4, 9)
    statistics = Statistics([norm])
    with statistics.take(2):
        norm(leads.flatten(0, 1))
    with statistics.of_piece(torch.tensor([50, 90]), 0, 9):
        made = norm(piece)
    for lead in range(3):
        assert np.allclose(made[lead], _by_hand(norm, piece[lead], leads[0, lead]), atol=1e-4)


def test_statistics_are_forgotten_even_after_a_failure() -> None:
    norm, x, other = _norm(), torch.randn(2, 4, 60), 9 * torch.randn(1, 4, 60)
    fresh = norm(other)
    statistics = Statistics([norm])
    with statistics.take(2):
        norm(x)
    with pytest.raises(KeyError), statistics.of_piece(torch.tensor([30, 90]), 0, 60):  # noqa: PT012
        assert not torch.equal(norm(other), fresh)
        raise KeyError
    assert torch.equal(norm(other), fresh)
    statistics.forget()
    assert norm.kept.numel() == 0
    assert not norm.taken
    assert set(norm.state_dict()) == {"scale", "shift"}


@pytest.mark.parametrize("kernel", [1, 3, 5, 9])
def test_convolutions_keep_the_length(kernel: int) -> None:
    for samples in (1, 2, 7, 64):
        assert conv(2, 3, kernel)(torch.zeros(1, 2, samples)).shape == (1, 3, samples)
        strided = conv(2, 3, kernel, stride=2)(torch.zeros(1, 2, samples))
        assert strided.shape == (1, 3, -(-samples // 2))


@pytest.mark.parametrize("stride", [1, 2])
def test_maps_with_their_channels_together_pass_a_convolution_as_such(stride: int) -> None:
    layer, x = conv(6, 10, 5, stride), torch.randn(3, 6, 50)
    with torch.inference_mode():
        made = layer(put_channels_together(x))
        assert channels_together(made)
        assert torch.allclose(made, layer(x), atol=1e-5)
        assert not channels_together(layer(x))


@torch.inference_mode()
def test_a_block_gives_the_same_in_either_order_of_memory() -> None:
    block, windows, piece = (
        ResidualBlock(8, 16, 5).eval(),
        torch.randn(4, 8, 20),
        torch.randn(2, 8, 9),
    )
    for norm in (block.norm1, block.norm2):
        norm.scale.copy_(torch.randn_like(norm.scale))
        norm.shift.copy_(torch.randn_like(norm.shift))
    found = []
    for order in (torch.Tensor.contiguous, put_channels_together):
        statistics = Statistics([block])
        made = [block(order(windows))]
        with statistics.take(2):  # two windows of two leads
            made.append(block(order(windows)))
        with statistics.of_piece(torch.tensor([10, 30]), 15, 9):
            made.append(block(order(piece)))
        statistics.forget()
        assert {channels_together(one) for one in made} == {order is put_channels_together}
        found.append(made)
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_joined_channels_keep_the_order_of_memory() -> None:
    one, other = torch.randn(2, 4, 9), torch.randn(2, 3, 9)
    both = torch.cat([one, other], dim=1)
    for order in (torch.Tensor.contiguous, put_channels_together):
        made = join_channels(one, order(other))
        assert torch.equal(made, both)
        assert channels_together(made) == (order is put_channels_together)


def test_a_residual_block_with_silent_convolutions_is_its_shortcut() -> None:
    same, wider = ResidualBlock(8, 8, 5), ResidualBlock(8, 16, 5)
    for block in (same, wider):
        torch.nn.init.zeros_(block.conv2.weight)
        assert block.conv2.bias is not None
        torch.nn.init.zeros_(block.conv2.bias)
    x = torch.randn(2, 8, 9)
    assert torch.equal(same(x), x)
    assert torch.equal(wider(x), wider.shortcut(x))


def test_dropout_removes_whole_channels_in_training_only() -> None:
    block = ResidualBlock(8, 8, 3, dropout=0.5)
    x = torch.randn(1, 8, 50)
    assert torch.equal(block.eval()(x), block(x))
    block.train()
    torch.manual_seed(0)
    first = block(x)
    assert not torch.equal(first, block(x))
    dropped = block.dropout(torch.ones(64, 8, 50))
    assert set(dropped.flatten().tolist()) == {0.0, 2.0}
    assert (dropped == dropped[..., :1]).all()


def test_halve_keeps_the_larger_of_each_pair() -> None:
    x = torch.tensor([[[1.0, 5.0, -2.0, -3.0, 4.0, 4.0]]])
    assert halve(x).tolist() == [[[5.0, -2.0, 4.0]]]
    assert torch.equal(halve(x), torch.nn.functional.max_pool1d(x, 2))


def test_twins_hand_over_what_they_take() -> None:
    norm, x, piece = _norm(), torch.randn(4, 4, 20), 5 * torch.randn(1, 4, 40)
    centres = torch.tensor([10, 20, 30, 40])
    alone, statistics, others = Statistics([norm]), Statistics([norm]), Statistics([twin(norm)])
    with alone.take(4):
        norm(x)
    with alone.of_piece(centres, 5, 40):
        expected = norm(piece)
    alone.forget()
    for part in (x[:1], x[1:]):
        with others.take(len(part)):
            others.norms[0](part)
        statistics.receive(others.hand_over())
        assert not others.norms[0].taken
    with statistics.of_piece(centres, 5, 40):
        assert torch.equal(norm(piece), expected)


def test_a_twin_shares_numbers_and_has_a_place_of_its_own() -> None:
    norm, x, piece = _norm(), torch.randn(2, 4, 20), 5 * torch.randn(1, 4, 20)
    statistics, centres = Statistics([norm]), torch.tensor([10, 30])
    with statistics.take(2):
        norm(x)
    statistics.settle()
    other = twin(norm)
    assert other.scale is norm.scale
    assert other.kept is norm.kept
    with statistics.of_piece(centres, 0, 20):
        early = norm(piece)
        with Statistics([other]).of_piece(centres, 30, 20):
            late = other(piece)
            assert torch.equal(norm(piece), early)
    assert not torch.allclose(early, late, atol=1e-3)
    with torch.no_grad():
        norm.scale.mul_(2)
    assert torch.equal(other(piece), norm(piece))
