"""Heads: the sample grid, and that a lead's marks follow its own lead."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fascicle.models.heads import DiagnosisHead, FlatHead, JoinedHead, WavesHead, _resize
from fascicle.models.network import Network
from fascicle.models.unet import Features

Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


def test_resize_keeps_frame_k_at_its_sample() -> None:
    x = torch.tensor([[[0.0, 4.0, 2.0]]])
    assert _resize(x, 2, 2) is x
    assert _resize(x, 2, 1).tolist() == [[[0, 2, 4, 3, 2, 2]]]
    assert _resize(x, 4, 1).tolist() == [[[0, 1, 2, 3, 4, 3.5, 3, 2.5, 2, 2, 2, 2]]]
    assert _resize(_resize(x, 8, 2), 2, 8).tolist() == x.tolist()


def test_resize_follows_the_line_between_frames_at_any_ratio() -> None:
    x = torch.tensor([[[0.0, 6.0, 3.0]]])
    assert _resize(x, 3, 1).tolist() == [[[0, 2, 4, 6, 5, 4, 3, 3, 3]]]
    assert _resize(x, 6, 1)[0, 0, ::3].tolist() == [0, 3, 6, 4.5, 3, 3]
    assert _resize(x, 3, 2).tolist() == [[[0, 4, 5, 3, 3]]]  # at 0, 2, 4, 6, 8 of 9 samples
    assert _resize(x, 2, 3).tolist() == [[[0, 4.5]]]
    assert _resize(x, 1, 2).tolist() == [[[0, 3]]]
    assert _resize(x[..., :1] + 7, 333, 2).tolist() == [[[7.0] * 167]]


@pytest.mark.parametrize("ratio", [2, 4, 8, 32])
def test_both_ways_to_resize_agree(ratio: int) -> None:
    x = torch.randn(2, 3, 5)
    scaled = _resize(x, 3 * ratio, 3)  # by halves
    general = _resize(x, 3 * ratio, 1)[..., ::3]  # by lines
    assert scaled.shape == general.shape == (2, 3, 5 * ratio)
    assert torch.allclose(scaled, general, atol=1e-6)


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


def test_marks_can_have_a_frame_per_sample() -> None:
    torch.manual_seed(0)
    dense = torch.randn(1, 5, 101)  # the trunk pads 400 samples to a multiple of its frame
    arguments = (
        Features(dense, 4, dense, 4),
        torch.randn(1, 12, 401),
        torch.ones(1, 12, dtype=torch.bool),
        torch.tensor([401]),
        torch.zeros(1, 4),
    )
    for stride in (1, 2):
        head = WavesHead(dense_channels=5, stride=stride).eval()
        with torch.inference_mode():
            logits = head(*arguments)
        assert logits.shape == (1, 12, 4, 401)
        between = (logits[..., :-2:2] + logits[..., 2::2]) / 2
        on_the_line = torch.allclose(logits[..., 1:-1:2], between, atol=1e-5)
        assert on_the_line == (stride == 2)


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


def test_diagnosis_reads_the_first_four_covariates_alone() -> None:
    torch.manual_seed(0)
    head = DiagnosisHead(8, 3).eval()
    frames = torch.randn(2, 8, 10)
    rest = (
        Features(frames, 64, frames, 64),
        torch.empty(0),
        torch.empty(0),
        torch.tensor([640] * 2),
    )
    covariates = torch.rand(2, 6)
    with torch.inference_mode():
        logits = head(*rest, covariates)
        covariates[:, 4:] = 9.0
        assert torch.equal(logits, head(*rest, covariates))
        assert torch.equal(logits, head(*rest, covariates[:, :4]))
        covariates[:, 3] = 9.0
        assert not torch.allclose(logits, head(*rest, covariates))


def _answer(
    head: torch.nn.Module, frames: Tensor, valid: int, covariates: Tensor | None = None
) -> Tensor:
    """Return a head's logits of frames that stand 10 samples apart."""
    nothing = torch.empty(0)
    known = torch.zeros(len(frames), 6) if covariates is None else covariates
    features = Features(frames, 10, frames, 10)
    with torch.inference_mode():
        logits: Tensor = head(
            features, nothing, nothing, torch.tensor([valid] * len(frames)), known
        )
    return logits


def test_a_flat_head_is_one_regression_per_class_on_all_frames() -> None:
    torch.manual_seed(0)
    head = FlatHead(4, 3, frames=5)
    assert sum(p.numel() for p in head.parameters()) == 3 * (4 * 5 + 1)
    frames = torch.randn(2, 4, 5)
    expected = torch.einsum("bcf,kcf->bk", frames, head.out.weight.reshape(3, 4, 5)) + head.out.bias
    assert torch.allclose(_answer(head, frames, 50), expected, atol=1e-6)
    flipped = _answer(head, frames.flip(-1), 50)
    assert not torch.allclose(flipped, expected, atol=1e-3)  # it knows where in the window
    assert torch.equal(_answer(head, frames, 50, torch.ones(2, 6)), _answer(head, frames, 50))


def test_a_flat_head_begins_at_the_shares_that_it_is_told() -> None:
    head, shares = FlatHead(4, 3, frames=5), torch.tensor([0.01, 0.5, 0.9])
    head.start_at(shares)
    said = torch.sigmoid(_answer(head, torch.randn(2, 4, 5), 50))
    assert torch.allclose(said, shares.expand(2, 3), atol=1e-6)
    head(
        Features(torch.ones(1, 4, 5), 10, torch.ones(1, 4, 5), 10),
        *[torch.empty(0)] * 2,
        torch.tensor([50]),
        torch.zeros(1, 6),
    ).sum().backward()
    assert head.out.weight.grad is not None  # and can leave them


@pytest.mark.parametrize("frames", [4, 6])
def test_a_flat_head_refuses_another_number_of_frames(frames: int) -> None:
    with pytest.raises(ValueError, match=f"made for 5 frames, got {frames}"):
        _answer(FlatHead(4, 3, frames=5), torch.zeros(1, 4, frames), 50)


def test_the_papers_two_outputs_are_independent_layers_on_one_embedding() -> None:
    torch.manual_seed(0)
    head = JoinedHead(512, 26, outputs=2).eval()
    dense, linear = (512 + 6) * 256 + 256, 256 * 26 + 26
    assert sum(p.numel() for p in head.parameters()) == dense + 2 * linear
    frames = torch.randn(2, 512, 5)
    before = _answer(head, frames, 50)
    assert before.shape == (2, 2, 26)
    with torch.no_grad():
        head.out[1].bias.add_(1)  # type: ignore[operator]
    after = _answer(head, frames, 50)
    assert torch.equal(after[:, 0], before[:, 0])
    assert torch.allclose(after[:, 1], before[:, 1] + 1, atol=1e-6)


def test_the_baseline_has_the_same_embedding_and_one_output() -> None:
    head = JoinedHead(512, 26, outputs=1).eval()
    dense, linear = (512 + 6) * 256 + 256, 256 * 26 + 26
    assert sum(p.numel() for p in head.parameters()) == dense + linear
    assert _answer(head, torch.randn(2, 512, 5), 50).shape == (2, 26)


@pytest.mark.parametrize("place", range(6))
def test_each_covariate_changes_both_outputs(place: int) -> None:
    torch.manual_seed(0)
    head = JoinedHead(8, 3, outputs=2).eval()
    frames, covariates = torch.randn(1, 8, 5), torch.zeros(1, 6)
    before = _answer(head, frames, 50, covariates)
    covariates[0, place] = 1.0
    after = _answer(head, frames, 50, covariates)
    assert ((before - after).abs().amax(-1) > 1e-4).all()


@pytest.mark.parametrize("head", [FlatHead(8, 3, 5), JoinedHead(8, 3, 2), JoinedHead(8, 3, 1)])
def test_frames_of_padding_change_nothing(head: torch.nn.Module) -> None:
    head.eval()
    frames = torch.randn(1, 8, 5, generator=torch.Generator().manual_seed(0))
    spoilt = frames.clone()
    spoilt[..., 3:] = 1e3
    assert torch.equal(_answer(head, frames, 30), _answer(head, spoilt, 30))
    assert not torch.allclose(_answer(head, frames, 31), _answer(head, spoilt, 31))


def test_the_mean_frame_counts_no_padding() -> None:
    torch.manual_seed(0)
    head = JoinedHead(8, 3, 2).eval()
    frames = torch.randn(1, 8, 5)
    assert torch.allclose(_answer(head, frames, 21), _answer(head, frames[..., :3], 30), atol=1e-6)


def test_coarser_levels_have_layers_of_their_own_in_training_alone() -> None:
    head = WavesHead(dense_channels=5, level_channels=(8, 16))
    maps = torch.randn(2, 5, 200), torch.randn(2, 8, 100), torch.randn(2, 16, 50)
    taught = Features(maps[2], 8, maps[0], 2, maps[1:])
    found = head.coarse(taught)
    assert {step: tuple(made.shape) for step, made in found.items()} == {
        4: (2, 12, 4, 100), 8: (2, 12, 4, 50),
    }  # fmt: skip
    assert head.coarse(Features(maps[2], 8, maps[0], 2)) == {}
    assert WavesHead(dense_channels=5).coarse(taught) == {}
    extra = sum(p.numel() for p in head.levels.parameters())
    assert extra == (8 + 1) * 48 + (16 + 1) * 48
