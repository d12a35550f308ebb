"""Residual nets with squeeze-and-excitation of Ren, Xiong and Hooi (challenge-loss paper)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from fascicle.models.leads import ALL_LEADS, LeadInput
from fascicle.models.unet import Features

STAGES = 4


class SqueezeResNet(nn.Module):
    """A wide stem, then four stages of residual blocks, at 4, 8, 16 and 32 samples per frame.

    Made for windows of one length: each block weighs its channels by their mean over time.

    Parameters
    ----------
    depths
        Blocks of each stage: 2 2 2 2 for 18 layers, 3 4 6 3 for 34.
    width
        Channels of the first stage, doubled from stage to stage.
    kernel, stem_kernel
        Of the blocks' convolutions and of the stem's; odd.
    dropout
        Before the second convolution of each block.
    reduction
        A block's channels over those of the squeeze.
    leads
        Rows of the signal that the net reads.
    """

    def __init__(
        self,
        depths: tuple[int, int, int, int],
        width: int = 64,
        kernel: int = 7,
        stem_kernel: int = 15,
        dropout: float = 0.2,
        reduction: int = 16,
        leads: Sequence[int] = ALL_LEADS,
    ) -> None:
        super().__init__()
        self.channels = self.dense_channels = width << (STAGES - 1)
        self.samples_per_frame = 4 << (STAGES - 1)
        self.reach_samples = None
        self.input = LeadInput(leads, width)
        self.stem = thin_conv(len(leads), width, stem_kernel, stride=2)
        self.norm = nn.BatchNorm1d(width)
        self.pool = nn.MaxPool1d(2, ceil_mode=True)
        blocks, inputs = [], width
        for stage, depth in enumerate(depths):
            for place in range(depth):
                stride = 2 if stage and not place else 1
                blocks.append(
                    SqueezeBlock(inputs, width << stage, kernel, stride, dropout, reduction)
                )
                inputs = width << stage
        self.blocks = nn.Sequential(*blocks)

    def forward(
        self,
        signal: Float[Tensor, "batch lead sample"],
        present: Bool[Tensor, "batch lead"],
    ) -> Features:
        """Return features of a signal (batch, lead, sample) in mV; absent leads are ignored."""
        leads, absent = self.input(signal, present)
        x = functional.relu(self.norm(self.stem(leads) + absent.unsqueeze(-1)))
        x = self.blocks(self.pool(x))
        return Features(x, self.samples_per_frame, x, self.samples_per_frame)


class SqueezeBlock(nn.Module):
    """Two convolutions with dropout between, squeeze-and-excitation, added to their input."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int,
        dropout: float,
        reduction: int,
    ) -> None:
        super().__init__()
        self.path = nn.Sequential(
            thin_conv(inputs, outputs, kernel, stride),
            nn.BatchNorm1d(outputs),
            nn.ReLU(),
            nn.Dropout(dropout),
            thin_conv(outputs, outputs, kernel),
            nn.BatchNorm1d(outputs),
            SqueezeExcitation(outputs, max(outputs // reduction, 1), nn.ReLU()),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                thin_conv(inputs, outputs, 1, stride), nn.BatchNorm1d(outputs)
            )

    def forward(
        self, x: Float[Tensor, "batch inputs frame"]
    ) -> Float[Tensor, "batch outputs kept"]:
        """Return features; a stride of 2 halves the frames, rounded up."""
        return functional.relu(torch.add(self.path(x), self.shortcut(x)))


class SqueezeExcitation(nn.Module):
    """Each channel times a weight in 0..1 that follows from all channels' means over time.

    Hu, Shen & Sun 2018.
    """

    def __init__(self, channels: int, squeezed: int, activation: nn.Module) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.Linear(channels, squeezed), activation, nn.Linear(squeezed, channels), nn.Sigmoid()
        )

    def forward(
        self, x: Float[Tensor, "batch channel frame"]
    ) -> Float[Tensor, "batch channel frame"]:
        """Return the weighted features."""
        return torch.mul(x, self.weigh(x.mean(-1)).unsqueeze(-1))


def thin_conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Conv1d:
    """Return a convolution without bias (a norm follows) that keeps the length over the stride."""
    return nn.Conv1d(
        inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )
