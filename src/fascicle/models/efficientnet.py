"""EfficientNet-B0 along time (Tan & Le 2019), the challenge-loss paper's other backbone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from fascicle.models.leads import ALL_LEADS, LeadInput
from fascicle.models.squeeze import SqueezeExcitation, thin_conv
from fascicle.models.unet import Features

STAGES = (
    (1, 16, 1, 1, 9),
    (6, 24, 2, 2, 9),
    (6, 40, 2, 2, 25),
    (6, 80, 3, 2, 9),
    (6, 112, 3, 1, 25),
    (6, 192, 4, 2, 25),
    (6, 320, 1, 1, 9),
)
"""B0's expansion, channels, blocks, stride and kernel: 9 and 25 samples for 3 x 3 and 5 x 5."""
STEM, LAST = 32, 1280
STEM_KERNEL = 9


class EfficientNet1d(nn.Module):
    """Inverted residual blocks with depthwise convolutions; 32 samples per frame.

    Made for windows of one length: each block weighs its channels by their mean over time.

    Parameters
    ----------
    width, depth
        Multiples of B0's channels (then rounded to 8) and of its blocks (then rounded up).
    dropout
        Chance that training leaves out a block's path, rising linearly from 0 to this in the last.
    leads
        Rows of the signal that the net reads.
    """

    def __init__(
        self,
        width: float = 1.0,
        depth: float = 1.0,
        dropout: float = 0.2,
        leads: Sequence[int] = ALL_LEADS,
    ) -> None:
        super().__init__()
        inputs = eights(STEM * width)
        self.channels = self.dense_channels = eights(LAST * width)
        self.samples_per_frame = 2 * math.prod(stride for _, _, _, stride, _ in STAGES)
        self.reach_samples = None
        self.input = LeadInput(leads, inputs)
        self.stem = thin_conv(len(leads), inputs, STEM_KERNEL, stride=2)
        self.stem_norm = nn.BatchNorm1d(inputs)
        counts = [math.ceil(depth * blocks) for _, _, blocks, _, _ in STAGES]
        blocks: list[nn.Module] = []
        for (expansion, channels, _, stride, kernel), count in zip(STAGES, counts, strict=True):
            for place in range(count):
                outputs, drop = eights(channels * width), dropout * len(blocks) / sum(counts)
                step = 1 if place else stride
                blocks.append(InvertedBlock(inputs, outputs, expansion, kernel, step, drop))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Sequential(
            thin_conv(inputs, self.channels, 1), nn.BatchNorm1d(self.channels), nn.SiLU()
        )

    def forward(
        self,
        signal: Float[Tensor, "batch lead sample"],
        present: Bool[Tensor, "batch lead"],
    ) -> Features:
        """Return features of a signal (batch, lead, sample) in mV; absent leads are ignored."""
        leads, absent = self.input(signal, present)
        x = functional.silu(self.stem_norm(self.stem(leads) + absent.unsqueeze(-1)))
        x = self.last(self.blocks(x))
        return Features(x, self.samples_per_frame, x, self.samples_per_frame)


class InvertedBlock(nn.Module):
    """Widen, convolve each channel, weigh the channels, narrow; added where the shape is kept."""

    def __init__(
        self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int, drop: float
    ) -> None:
        super().__init__()
        inner = expansion * inputs
        widen = [thin_conv(inputs, inner, 1), nn.BatchNorm1d(inner), nn.SiLU()]
        self.path = nn.Sequential(
            *(widen if expansion > 1 else []),
            thin_conv(inner, inner, kernel, stride, groups=inner),
            nn.BatchNorm1d(inner),
            nn.SiLU(),
            SqueezeExcitation(inner, max(inputs // 4, 1), nn.SiLU()),
            thin_conv(inner, outputs, 1),
            nn.BatchNorm1d(outputs),
        )
        self.added = stride == 1 and inputs == outputs
        self.drop = drop

    def forward(
        self, x: Float[Tensor, "batch inputs frame"]
    ) -> Float[Tensor, "batch outputs kept"]:
        """Return features; a stride of 2 halves the frames, rounded up."""
        y: Tensor = self.path(x)
        if not self.added:
            return y
        kept = functional.dropout(y.new_ones(len(y), 1, 1), self.drop, self.training)
        return torch.addcmul(x, y, kept)


def eights(channels: float) -> int:
    """Return the nearest multiple of 8, at least 8, and not under 90 % of the number given."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
