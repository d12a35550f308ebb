"""Losses by hand, and shares of a batch that add up to the whole."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from fascicle.losses import beat_loss, binary_cross_entropy, cross_entropy, normalise, totals


def _seeded(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


def test_cross_entropy_by_hand() -> None:
    logits, weight = _seeded(2, 3, 4, 5), _seeded(2, 3, 5).abs()
    target = torch.arange(30).reshape(2, 3, 5) % 4
    values = logits.numpy().astype(np.float64)
    log_sum = np.log(np.exp(values).sum(axis=2))
    picked = np.take_along_axis(values, target.numpy()[:, :, None], axis=2)[:, :, 0]
    expected = ((log_sum - picked) * weight.numpy()).sum()
    assert cross_entropy(logits, target.float(), weight).item() == pytest.approx(expected, rel=1e-5)


def test_binary_cross_entropy_by_hand() -> None:
    logits, weight = _seeded(4, 3), _seeded(4, 3).abs() + 0.1
    target = (torch.arange(12).reshape(4, 3) % 2).float()
    chance = 1 / (1 + np.exp(-logits.numpy().astype(np.float64)))
    loss = -np.where(target.numpy() > 0, np.log(chance), np.log(1 - chance))
    expected = (loss * weight.numpy()).sum()
    assert binary_cross_entropy(logits, target, weight).item() == pytest.approx(expected, rel=1e-5)


def test_beat_loss_is_its_two_parts() -> None:
    logits = _seeded(2, 6, 7)
    target = torch.stack([torch.rand(2, 7), torch.randint(0, 5, (2, 7)).float()], dim=1)
    weight = torch.rand(2, 2, 7)
    here = binary_cross_entropy(logits[:, 0], target[:, 0], weight[:, 0])
    kind = cross_entropy(logits[:, None, 1:], target[:, 1:], weight[:, 1:])
    assert torch.allclose(beat_loss(logits, target, weight), here + kind, rtol=1e-5)


def test_waves_of_weight_zero_do_not_count() -> None:
    logits = _seeded(1, 2, 4, 6).requires_grad_()
    weight = torch.ones(1, 2, 6)
    weight[0, 1] = 0
    cross_entropy(logits, torch.zeros(1, 2, 6), weight).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad[0, 1] == 0).all()
    assert (logits.grad[0, 0] != 0).all()


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = binary_cross_entropy(logits, torch.tensor([[0.0, 1.0]]), torch.ones(1, 2))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(2e4)
    assert logits.grad is not None
    assert logits.grad.tolist() == [[1.0, -1.0]]


def test_totals_sum_over_all_but_the_part() -> None:
    weight = torch.arange(24.0).reshape(2, 3, 4)
    assert totals(weight).tolist() == weight.sum((0, 2)).tolist()
    assert totals(weight[..., 0]).tolist() == [12.0, 20.0, 28.0]


def test_each_labelled_part_counts_alike() -> None:
    weight = torch.zeros(2, 3, 4)
    weight[0, 0] = 1
    weight[:, 2, :3] = torch.rand(2, 3) + 0.1
    shares = totals(normalise(weight, totals(weight)))
    assert shares.tolist() == pytest.approx([0.5, 0.0, 0.5])


def test_halves_of_a_batch_with_shared_totals_add_up() -> None:
    logits = _seeded(6, 3, 4, 5)
    target = torch.randint(0, 4, (6, 3, 5)).float()
    weight = torch.rand(6, 3, 5) * (torch.rand(6, 3, 1) > 0.4)
    whole = cross_entropy(logits, target, normalise(weight, totals(weight)))
    shared = totals(weight[:2]) + totals(weight[2:])
    halves = [
        cross_entropy(logits[part], target[part], normalise(weight[part], shared))
        for part in (slice(2), slice(2, None))
    ]
    assert torch.allclose(halves[0] + halves[1], whole, rtol=1e-5)
    alone = cross_entropy(logits[:2], target[:2], normalise(weight[:2], totals(weight[:2])))
    assert not torch.allclose(alone, halves[0])


@pytest.mark.parametrize(
    ("loss", "logits_shape", "shape"),
    [
        (binary_cross_entropy, (2, 3), (2, 3)),
        (beat_loss, (2, 6, 5), (2, 2, 5)),
        (cross_entropy, (2, 12, 4, 5), (2, 12, 5)),
    ],
)
def test_no_weight_at_all_gives_zero_and_finite_gradients(
    loss: Callable[[Tensor, Tensor, Tensor], Tensor],
    logits_shape: tuple[int, ...],
    shape: tuple[int, ...],
) -> None:
    weight = torch.zeros(shape)
    nothing = normalise(weight, totals(weight))
    assert torch.equal(nothing, weight)
    logits = torch.randn(logits_shape, requires_grad=True)
    value = loss(logits, torch.zeros(shape), nothing)
    value.backward()  # type: ignore[no-untyped-call]
    assert value.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()
