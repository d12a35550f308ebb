"""Building blocks that every backbone and head shares. All keep the number of frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class RecordNorm(nn.Module):
    """Group normalisation over a record's time, with statistics that can be kept.

    Each record of a batch has its own mean and variance (Wu & He 2018), so that a record's answer
    does not depend on its neighbours. A long record is read in pieces: its statistics are then
    taken once from windows spread over it and kept, so that every piece is normalised alike.
    """

    def __init__(self, channels: int, groups: int = 8, eps: float = 1e-5) -> None:
        super().__init__()
        if channels % groups:
            raise ValueError(f"{channels} channels do not fall into {groups} groups")
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.groups, self.eps = groups, eps
        self.windows = 0
        self.kept: tuple[Tensor, Tensor] | None = None

    def forward(
        self, x: Float[Tensor, "batch channel frame"]
    ) -> Float[Tensor, "batch channel frame"]:
        """Return x normalised by its own statistics, or by those that are kept."""
        if self.windows:
            self.kept = self._take(x)
        if self.kept is None:
            return functional.group_norm(x, self.groups, self.scale, self.shift, self.eps)
        factor, offset = self.kept
        if self.windows:
            factor, offset = (part.repeat(self.windows, 1, 1) for part in self.kept)
        return x * factor + offset

    def _take(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return factor and offset (row, channel, 1) over windows; rows are leads or one record."""
        windows, (rows, channels, _) = self.windows, x.shape
        parts = x.reshape(windows, rows // windows, self.groups, -1)
        variance, mean = torch.var_mean(parts, dim=(0, 3), correction=0)
        per_channel = channels // self.groups
        deviation = torch.rsqrt(variance + self.eps).repeat_interleave(per_channel, dim=1)
        factor = self.scale * deviation
        offset = self.shift - mean.repeat_interleave(per_channel, dim=1) * factor
        return factor.unsqueeze(-1), offset.unsqueeze(-1)


@contextmanager
def keep_statistics(modules: Iterable[nn.Module]) -> Iterator[Callable[[int], None]]:
    """Keep the statistics of all norms inside `modules` until the end of the block.

    Yields `take(windows)`: after `take(n)` the modules' next pass, over n windows of one record,
    sets the statistics; `take(0)` then keeps them for all later passes, each of one piece.
    """
    norms = [m for module in modules for m in module.modules() if isinstance(m, RecordNorm)]

    def take(windows: int) -> None:
        for norm in norms:
            norm.windows = windows

    try:
        yield take
    finally:
        for norm in norms:
            norm.windows, norm.kept = 0, None


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv1d:
    """Return a convolution that keeps the length (divided by the stride)."""
    return nn.Conv1d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)


class ResidualBlock(nn.Module):
    """Two convolutions, normalised before each, added to their input."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1 = RecordNorm(inputs)
        self.conv1 = conv(inputs, outputs, kernel)
        self.norm2 = RecordNorm(outputs)
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
