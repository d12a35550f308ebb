"""The U-Net: masks, reach, and its size by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fascicle.models.blocks import Statistics
from fascicle.models.unet import UNet, with_masks


def test_with_masks_zeroes_absent_leads_and_pads_to_whole_frames() -> None:
    signal = torch.tensor([[[1.0, 2.0, 3.0], [float("nan"), 5.0, 6.0]]])
    stacked = with_masks(signal, torch.tensor([[True, False]]), 4)
    assert stacked.tolist() == [[[1, 2, 3, 0], [0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]]]
    whole = with_masks(torch.ones(1, 2, 8), torch.tensor([[True, True]]), 4)
    assert whole.shape == (1, 4, 8)


def test_decoder_and_encoder_must_fit() -> None:
    with pytest.raises(ValueError, match="one level fewer"):
        UNet(filters=(8, 8, 16), decoder=(8,))


@pytest.mark.parametrize("samples", [1, 63, 64, 65, 500])
def test_features_stand_on_whole_frames(samples: int) -> None:
    backbone = UNet()
    features = backbone(torch.zeros(1, 12, samples), torch.ones(1, 12, dtype=torch.bool))
    frames = -(-samples // 64)
    assert features.samples_per_frame == backbone.samples_per_frame == 64
    assert features.frames.shape == (1, backbone.channels, frames)
    assert features.dense_samples_per_frame == 2
    assert features.dense.shape == (1, backbone.dense_channels, 32 * frames)


def test_the_default_has_as_many_weights_as_its_shapes_say() -> None:
    def convolution(inputs: int, outputs: int, kernel: int) -> int:
        return inputs * outputs * kernel + outputs

    def block(inputs: int, outputs: int) -> int:
        shortcut = convolution(inputs, outputs, 1) if inputs != outputs else 0
        norms = 2 * inputs + 2 * outputs
        return norms + convolution(inputs, outputs, 5) + convolution(outputs, outputs, 5) + shortcut

    stem = convolution(24, 32, 11)
    encoder = (
        block(32, 32) + block(32, 48) + block(48, 64) + block(64, 96) + block(96, 128)
    ) + block(128, 192)
    deep = block(192, 192)
    skips = sum(convolution(filters, 8, 1) for filters in (32, 48, 64, 96, 128))
    up = sum(
        convolution(below, to, 2)
        for below, to in ((192, 96), (96, 64), (64, 48), (48, 32), (32, 32))
    )
    decoder = sum(block(to + 8, to) for to in (96, 64, 48, 32, 32))
    counted = sum(parameter.numel() for parameter in UNet().parameters())
    assert counted == stem + encoder + deep + skips + up + decoder == 1_295_112


def test_the_papers_net_has_its_filters_reductions_and_size() -> None:
    filters, decoder = (32, 64, 112, 192, 256, 320, 512), (32, 24, 48, 64, 96, 128)
    torch.manual_seed(0)
    backbone = UNet(filters=filters, decoder=decoder, stem_kernel=5, deep_blocks=0, stem_stride=1)
    features = backbone(torch.randn(1, 12, 250), torch.ones(1, 12, dtype=torch.bool))
    assert features.frames.shape == (1, 512, 4)
    assert features.dense.shape == (1, 32, 256)
    assert (features.samples_per_frame, features.dense_samples_per_frame) == (64, 1)
    assert [level.shape[1:] for level in features.levels] == [
        (24, 128), (48, 64), (64, 32), (96, 16), (128, 8),
    ]  # fmt: skip
    assert backbone.eval()(torch.zeros(1, 12, 9), torch.ones(1, 12, dtype=torch.bool)).levels == ()

    def block(inputs: int, outputs: int) -> int:
        shortcut = (inputs + 1) * outputs if inputs != outputs else 0
        return 2 * inputs + 2 * outputs + (5 * inputs + 5 * outputs + 2) * outputs + shortcut

    stem = (24 * 5 + 1) * 32
    encoder = sum(block(i, o) for i, o in zip((32, *filters[:-1]), filters, strict=True))
    skips = sum((width + 1) * 8 for width in filters[:-1])
    up = sum(2 * b * d + d for b, d in zip((*decoder[1:], 512), decoder, strict=True))
    back = sum(block(width + 8, width) for width in decoder)
    counted = sum(parameter.numel() for parameter in backbone.parameters())
    assert counted == stem + encoder + skips + up + back == 4_972_672


def test_mish_has_the_same_weights_and_other_features() -> None:
    torch.manual_seed(0)
    silu = UNet(filters=(8, 16), decoder=(8,))
    mish = UNet(filters=(8, 16), decoder=(8,), activation="mish")
    mish.load_state_dict(silu.state_dict())
    signal, present = torch.randn(1, 12, 64), torch.ones(1, 12, dtype=torch.bool)
    assert not torch.allclose(
        silu.eval()(signal, present).frames, mish.eval()(signal, present).frames
    )


def _take(backbone: UNet, signal: Tensor) -> tuple[Statistics, Tensor]:
    """Return the statistics of the two halves of a record, and their centres."""
    half = signal.shape[-1] // 2
    statistics = Statistics([backbone])
    with torch.no_grad(), statistics.take(2):
        backbone(
            torch.cat([signal[..., :half], signal[..., half : 2 * half]]),
            torch.ones(2, 12, dtype=torch.bool),
        )
    return statistics, torch.tensor([half // 2, half + half // 2])


def _gradient_support(backbone: UNet, samples: int, frame: int) -> tuple[int, int]:
    """Return how far before and after its sample one dense frame depends on the signal."""
    signal = torch.randn(1, 12, samples, requires_grad=True)
    present = torch.ones(1, 12, dtype=torch.bool)
    statistics, centres = _take(backbone, signal.detach())
    with statistics.of_piece(centres, 0, samples):
        dense = backbone(signal, present).dense
    (gradient,) = torch.autograd.grad(dense[0, :, frame].sum(), signal)
    touched = gradient.abs().sum((0, 1)).nonzero()[:, 0]
    sample = frame * backbone.dense_samples_per_frame
    return sample - int(touched[0]), int(touched[-1]) - sample


@pytest.mark.parametrize("stem_stride", [1, 2])
def test_reach_is_a_true_bound_and_not_a_lavish_one(stem_stride: int) -> None:
    torch.manual_seed(0)
    backbone = UNet(stem_stride=stem_stride).eval()
    backbone.requires_grad_(False)
    frames = (712, 713, 727, 728, 743)  # first, last and middle of a bottleneck frame
    if stem_stride == 1:
        frames = (1424, 1425, 1440, 1441, 1455)
    found = [_gradient_support(backbone, 2880, frame) for frame in frames]
    widest = max(max(pair) for pair in found)
    assert widest <= backbone.reach_samples
    assert backbone.reach_samples <= 1.4 * widest


def test_with_kept_statistics_what_lies_beyond_the_reach_changes_nothing_at_all() -> None:
    torch.manual_seed(0)
    backbone = UNet(filters=(8, 8, 16, 16), decoder=(8, 8, 16)).eval()
    present = torch.ones(1, 12, dtype=torch.bool)
    signal = torch.randn(1, 12, 2000)
    edge = 1500
    changed = signal.clone()
    changed[..., edge:] = 7 * torch.randn(1, 12, 2000 - edge)
    statistics, centres = _take(backbone, signal)
    with torch.no_grad(), statistics.of_piece(centres, 0, 2000):
        before, after = backbone(signal, present), backbone(changed, present)
    last = edge - backbone.reach_samples
    assert last > 1000
    assert torch.equal(before.dense[..., : last // 2], after.dense[..., : last // 2])
    assert torch.equal(before.frames[..., : last // 16], after.frames[..., : last // 16])
    assert not torch.equal(_from(before.dense, edge), _from(after.dense, edge))


def _from(dense: Tensor, sample: int) -> Tensor:
    return dense[..., sample // 2 :]
