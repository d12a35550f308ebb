"""Heads: the sample grid, and that a lead's marks follow its own lead."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fascicle.models.heads import DiagnosisHead, WavesHead, _resize
from fascicle.models.network import Network
from fascicle.models.unet import Features

Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


def test_resize_keeps_frame_k_at_its_sample() -> None:
    x = torch.tensor([[[0.0, 4.0, 2.0]]])
    assert _resize(x, 2, 2) is x
    assert _resize(x, 2, 1).tolist() == [[[0, 2, 4, 3, 2, 2]]]
    assert _resize(x, 4, 1).tolist() == [[[0, 1, 2, 3, 4, 3.5, 3, 2.5, 2, 2, 2, 2]]]
    assert _resize(_resize(x, 8, 2), 2, 8).tolist() == x.tolist()


def test_waves_of_absent_leads_are_zero(small: Network, inputs: Callable[..., Inputs]) -> None:
    signal, present, valid, covariates = inputs(2, 300)
    present[0, 3:] = False
    with torch.inference_mode():
        waves = small(signal, present, valid, covariates)["waves"]
    assert (waves[0, 3:] == 0).all()
    assert (waves[0, :3].abs().amax((1, 2)) > 0).all()
    assert (waves[1].abs().amax((1, 2)) > 0).all()


@pytest.mark.parametrize("lead", [0, 5, 11])
def test_moving_one_lead_changes_its_own_logits_most(
    small: Network, inputs: Callable[..., Inputs], lead: int
) -> None:
    signal, present, valid, covariates = inputs(1, 600)
    moved = signal.clone()
    moved[0, lead] = torch.roll(moved[0, lead], 25)
    with torch.inference_mode():
        before = small(signal, present, valid, covariates)["waves"]
        after = small(moved, present, valid, covariates)["waves"]
    change = (after - before).abs().mean((0, 2, 3))
    others = change[torch.arange(12) != lead]
    assert change[lead] > 2 * others.max()
    assert (others > 0).all()  # they read the joint map, so they know of it


def test_without_the_joint_map_a_lead_sees_itself_alone() -> None:
    torch.manual_seed(0)
    head = WavesHead(dense_channels=5).eval()
    torch.nn.init.zeros_(head.joint.weight)
    dense = torch.randn(1, 5, 200)
    features = Features(dense, 2, dense, 2)
    signal, present = torch.randn(1, 12, 400), torch.ones(1, 12, dtype=torch.bool)
    moved = signal.clone()
    moved[0, 4] = torch.roll(moved[0, 4], 30)
    rest = (torch.tensor([400]), torch.zeros(1, 4))
    with torch.inference_mode():
        before, after = (
            head(features, signal, present, *rest),
            head(features, moved, present, *rest),
        )
    changed = (before != after).flatten(2).any(-1)[0]
    assert changed.nonzero().flatten().tolist() == [4]


def test_each_lead_reads_the_joint_map_through_its_own_projection() -> None:
    torch.manual_seed(0)
    head = WavesHead(dense_channels=5).eval()
    dense = torch.randn(1, 5, 200)
    arguments = (
        Features(dense, 2, dense, 2),
        torch.randn(1, 12, 400),
        torch.ones(1, 12, dtype=torch.bool),
        torch.tensor([400]),
        torch.zeros(1, 4),
    )
    with torch.inference_mode():
        before = head(*arguments)
        head.joint.weight[3 * head.width : 4 * head.width] *= -1
        after = head(*arguments)
    changed = (before != after).flatten(2).any(-1)[0]
    assert changed.nonzero().flatten().tolist() == [3]


def test_all_leads_share_one_stem() -> None:
    head = WavesHead(dense_channels=5).eval()
    torch.nn.init.zeros_(head.joint.weight)
    torch.nn.init.zeros_(head.joint.bias)  # type: ignore[arg-type]
    dense = torch.randn(1, 5, 200)
    signal = torch.randn(1, 1, 400).expand(1, 12, 400).contiguous()
    present = torch.ones(1, 12, dtype=torch.bool)
    with torch.inference_mode():
        logits = head(
            Features(dense, 2, dense, 2), signal, present, torch.tensor([400]), torch.zeros(1, 4)
        )
    assert torch.allclose(logits, logits[:, :1].expand_as(logits), atol=1e-6)


def test_diagnosis_pools_over_what_is_no_padding() -> None:
    torch.manual_seed(0)
    head = DiagnosisHead(8, 3).eval()
    head.norm = torch.nn.Identity()  # type: ignore[assignment]  # its statistics see all frames
    frames = torch.randn(1, 8, 10)
    spoilt = frames.clone()
    spoilt[..., 4:] = 1e3

    def run(frames: Tensor, valid: int) -> Tensor:
        features = Features(frames, 64, frames, 64)
        nothing = torch.empty(0)
        with torch.inference_mode():
            logits: Tensor = head(
                features, nothing, nothing, torch.tensor([valid]), torch.zeros(1, 4)
            )
        return logits

    first = run(frames, 4 * 64)
    assert torch.equal(first, run(spoilt, 4 * 64))
    assert torch.allclose(first, run(frames[..., :4], 4 * 64), atol=1e-6)
    assert not torch.allclose(first, run(spoilt, 4 * 64 + 1))


def test_diagnosis_does_not_depend_on_the_order_of_frames() -> None:
    torch.manual_seed(0)
    head = DiagnosisHead(8, 3).eval()
    frames = torch.randn(1, 8, 10)
    rest = (torch.empty(0), torch.empty(0), torch.tensor([640]), torch.zeros(1, 4))
    with torch.inference_mode():
        forth = head(Features(frames, 64, frames, 64), *rest)
        back = head(Features(frames.flip(-1), 64, frames, 64), *rest)
    assert torch.allclose(forth, back, atol=1e-6)
