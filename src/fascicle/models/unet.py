"""The U-Net backbone: residual encoder, narrow skips, decoder (Sodmann et al. 2021, figure 1).

The stem sees every lead beside its mask, so that an absent lead differs from a flat one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from fascicle.models.blocks import ResidualBlock, conv, halve

STEM_STRIDE = 2


@dataclass(frozen=True, slots=True)
class Features:
    """What a backbone gives to the heads.

    `frames` (batch, channel, frame) is the deepest map; `dense` (batch, channel, frame) the finest
    one (the same tensor where a backbone has no decoder). `levels` are the decoder's coarser maps
    from fine to coarse, each with half the frames of the one before, in training only.
    """

    frames: Tensor
    samples_per_frame: int
    dense: Tensor
    dense_samples_per_frame: int
    levels: tuple[Tensor, ...] = ()


class UNet(nn.Module):
    """A U-Net over the whole record, for any length.

    Parameters
    ----------
    leads
        Number of leads; absent ones are masked.
    filters
        Encoder channels at `stem_stride`, twice that, four times that ... samples per frame.
    decoder
        Decoder channels from the finest level down, one fewer than `filters`.
    skip
        Channels of each skip connection: few, so that all features run through the bottleneck.
    deep_blocks
        Further residual blocks at the bottleneck.
    stem_stride
        Samples per frame of the first level: 1 in the paper, 2 for half the work.
    activation
        "silu" or "mish" (the paper's first choice).
    """

    def __init__(
        self,
        leads: int = 12,
        filters: Sequence[int] = (32, 48, 64, 96, 128, 192),
        decoder: Sequence[int] = (32, 32, 48, 64, 96),
        skip: int = 8,
        kernel: int = 5,
        stem_kernel: int = 11,
        deep_blocks: int = 1,
        dropout: float = 0.1,
        stem_stride: int = STEM_STRIDE,
        activation: str = "silu",
    ) -> None:
        super().__init__()
        if len(decoder) != len(filters) - 1:
            raise ValueError("decoder needs one level fewer than the encoder")
        self.channels = filters[-1]
        self.dense_channels = decoder[0]
        self.level_channels = tuple(decoder[1:])
        self.dense_samples_per_frame = stem_stride
        self.samples_per_frame = stem_stride * 2 ** (len(filters) - 1)
        block = partial(ResidualBlock, kernel=kernel, activation=activation)
        self.stem = conv(2 * leads, filters[0], stem_kernel, stride=stem_stride)
        inputs = (filters[0], *filters[:-1])
        self.encoder = nn.ModuleList(
            block(i, o, dropout=dropout) for i, o in zip(inputs, filters, strict=True)
        )
        self.deep = nn.Sequential(
            *(block(filters[-1], filters[-1], dropout=dropout) for _ in range(deep_blocks))
        )
        below = (*decoder[1:], filters[-1])
        self.up = nn.ModuleList(
            nn.ConvTranspose1d(b, d, 2, stride=2) for b, d in zip(below, decoder, strict=True)
        )
        self.skip = nn.ModuleList(nn.Conv1d(f, skip, 1) for f in filters[:-1])
        self.decoder = nn.ModuleList(block(d + skip, d) for d in decoder)
        steps = [stem_stride << level for level in range(len(filters))]
        self.reach_samples = _reach(stem_kernel, kernel, steps, deep_blocks)

    def forward(
        self,
        signal: Float[Tensor, "batch lead sample"],
        present: Bool[Tensor, "batch lead"],
    ) -> Features:
        """Return features of a signal (batch, lead, sample) in mV; absent leads are ignored."""
        x = self._enter(signal, present)
        skips = []
        for level, (block, narrow) in enumerate(zip(self.encoder, (*self.skip, None), strict=True)):
            x = block(halve(x) if level else x)
            if narrow is not None:
                skips.append(narrow(x))
        x = deepest = self.deep(x)
        levels = []
        for up, block, kept in zip(
            reversed(self.up), reversed(self.decoder), reversed(skips), strict=True
        ):
            x = block(torch.cat([up(x), kept], dim=1))
            levels.append(x if self.training else None)
        coarser = tuple(level for level in levels[-2::-1] if level is not None)
        return Features(deepest, self.samples_per_frame, x, self.dense_samples_per_frame, coarser)

    def _enter(self, signal: Tensor, present: Tensor) -> Tensor:
        """Return the first map. Leads that no row has are zeros, and left out of the work."""
        there = some_leads(present)
        stacked = with_masks(signal[:, there], present[:, there], self.samples_per_frame)
        weight = self.stem.weight[:, there.repeat(2)]
        (stride,), (kernel,) = self.stem.stride, self.stem.kernel_size
        return functional.conv1d(stacked, weight, self.stem.bias, stride, kernel // 2)


def some_leads(present: Tensor) -> Tensor:
    """Return which leads (lead,) some row has; all, where no row has any."""
    there = present.any(0)
    return there if bool(there.any()) else ~there


def with_masks(signal: Tensor, present: Tensor, multiple: int) -> Tensor:
    """Return (batch, 2 lead, sample): leads, absent ones zero, then masks; padded to `multiple`."""
    mask = present.unsqueeze(-1)
    leads = torch.where(mask, signal, signal.new_zeros(()))
    stacked = torch.cat([leads, mask.to(signal.dtype).expand_as(signal)], dim=1)
    return functional.pad(stacked, (0, -signal.shape[-1] % multiple))


def _reach(stem_kernel: int, kernel: int, steps: Sequence[int], deep_blocks: int) -> int:
    """Return how many samples to each side one output can depend on (an upper bound)."""
    half, block = kernel // 2, 2 * (kernel // 2)
    encoder = sum((block + 1) * step for step in steps)
    decoder = sum((block + 1) * step for step in steps[:-1])
    return stem_kernel // 2 + encoder + (deep_blocks * block + half) * steps[-1] + decoder
