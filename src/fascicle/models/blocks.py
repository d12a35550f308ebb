"""Building blocks that every backbone and head shares. All keep the number of frames."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class FrameNorm(nn.Module):
    """Group normalisation with one group, taken frame by frame over the channels.

    Like GroupNorm it knows nothing of the other records of a batch. Its statistics do not reach
    over time, so that a long record cut into pieces gives what one pass over it gives.
    """

    def __init__(self, channels: int, eps: float = 1e-3) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels, 1))
        self.shift = nn.Parameter(torch.zeros(channels, 1))
        self.eps = eps

    def forward(
        self, x: Float[Tensor, "batch channel frame"]
    ) -> Float[Tensor, "batch channel frame"]:
        """Return x over its root mean square in each frame, scaled and shifted per channel."""
        size = torch.rsqrt(x.square().mean(1, keepdim=True) + self.eps)
        return x * size * self.scale.to(x.dtype) + self.shift.to(x.dtype)


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv1d:
    """Return a convolution that keeps the length (divided by the stride)."""
    return nn.Conv1d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)


class ResidualBlock(nn.Module):
    """Two convolutions, normalised before each, added to their input."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1 = FrameNorm(inputs)
        self.conv1 = conv(inputs, outputs, kernel)
        self.norm2 = FrameNorm(outputs)
        self.conv2 = conv(outputs, outputs, kernel)
        self.activation = nn.SiLU()
        self.dropout = nn.Dropout1d(dropout)  # whole channels: cheap, and blind to time
        self.shortcut = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(
        self, x: Float[Tensor, "batch inputs frame"]
    ) -> Float[Tensor, "batch outputs frame"]:
        """Return features with the same number of frames."""
        y = self.conv1(self.activation(self.norm1(x)))
        y = self.conv2(self.dropout(self.activation(self.norm2(y))))
        return torch.add(self.shortcut(x), y)


def halve(x: Float[Tensor, "batch channel frame"]) -> Float[Tensor, "batch channel half"]:
    """Return the larger of each pair of frames (max pooling by 2; an even number of frames)."""
    return torch.maximum(x[..., ::2], x[..., 1::2])
