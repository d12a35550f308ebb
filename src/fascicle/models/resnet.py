"""The 34-layer residual net of Hughes et al. (multi-head paper), after Rajpurkar et al. 2017."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from fascicle.models.leads import ALL_LEADS, LeadInput
from fascicle.models.unet import Features

BLOCKS = 16
BLOCKS_PER_POOL = 2
"""Max pooling by 2 every 4 convolutions, so every 2 blocks."""
BLOCKS_PER_WIDTH = 4
"""Twice the channels every 8 convolutions, so every 4 blocks."""


class ResNet34(nn.Module):
    """A stem, 16 pre-activated blocks of two convolutions; 12 x 2500 becomes 256 x 10.

    With the last layer of a head it has 34 layers: shortcuts have no weights. Made for windows of
    one length: with a receptive field wider than these, all frames know where the window ends.

    Parameters
    ----------
    width, widest
        Channels of the first four blocks, doubled every four blocks up to the widest.
    kernel
        Of all convolutions; an even one pads one sample more after than before.
    dropout
        Before the second convolution of each block.
    leads
        Rows of the signal that the net reads.
    """

    def __init__(
        self,
        width: int = 64,
        widest: int = 256,
        kernel: int = 16,
        dropout: float = 0.2,
        leads: Sequence[int] = ALL_LEADS,
    ) -> None:
        super().__init__()
        widths = [min(width << (k // BLOCKS_PER_WIDTH), widest) for k in range(BLOCKS)]
        self.channels = self.dense_channels = widths[-1]
        self.samples_per_frame = 1 << (BLOCKS // BLOCKS_PER_POOL)
        self.reach_samples = None
        self.input = LeadInput(leads, width)
        self.stem = SameConv(len(leads), width, kernel)
        self.blocks = nn.Sequential(
            *(
                PooledBlock(
                    inputs,
                    outputs,
                    kernel,
                    dropout,
                    first=k == 0,
                    pool=k % BLOCKS_PER_POOL == BLOCKS_PER_POOL - 1,
                )
                for k, (inputs, outputs) in enumerate(zip([width, *widths], widths, strict=False))
            )
        )
        self.stem_norm = nn.BatchNorm1d(width)
        self.norm = nn.BatchNorm1d(widths[-1])

    def forward(
        self,
        signal: Float[Tensor, "batch lead sample"],
        present: Bool[Tensor, "batch lead"],
    ) -> Features:
        """Return features of a signal (batch, lead, sample) in mV; absent leads are ignored."""
        leads, absent = self.input(signal, present)
        x = functional.relu(self.stem_norm(self.stem(leads) + absent.unsqueeze(-1)))
        x = functional.relu(self.norm(self.blocks(x)))
        return Features(x, self.samples_per_frame, x, self.samples_per_frame)


class SameConv(nn.Conv1d):
    """A convolution without bias (a norm follows) that keeps the length, for any kernel."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, outputs, kernel, bias=False)
        self.around = ((kernel - 1) // 2, kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return features with the same number of frames."""
        return super().forward(functional.pad(x, self.around))


class PooledBlock(nn.Module):
    """Norm, ReLU, convolution, norm, ReLU, dropout, convolution; pooled like its shortcut.

    The first block's input is normalised by the stem already. Where the channels double, the
    shortcut has zeros in the new ones.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, dropout: float, *, first: bool, pool: bool
    ) -> None:
        super().__init__()
        self.norm1 = nn.Identity() if first else nn.Sequential(nn.BatchNorm1d(inputs), nn.ReLU())
        self.conv1 = SameConv(inputs, outputs, kernel)
        self.norm2 = nn.BatchNorm1d(outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = SameConv(outputs, outputs, kernel)
        self.pool = nn.MaxPool1d(2, ceil_mode=True) if pool else nn.Identity()
        self.wider = outputs - inputs

    def forward(
        self, x: Float[Tensor, "batch inputs frame"]
    ) -> Float[Tensor, "batch outputs kept"]:
        """Return features, half as many frames (rounded up) where the block pools."""
        y = self.conv1(self.norm1(x))
        y = self.conv2(self.dropout(functional.relu(self.norm2(y))))
        shortcut = functional.pad(self.pool(x), (0, 0, 0, self.wider))
        return torch.add(self.pool(y), shortcut)
