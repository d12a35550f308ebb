"""Building blocks that every backbone and head shares. All keep the number of frames."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

Module = TypeVar("Module", bound=nn.Module)


class RecordNorm(nn.Module):
    """Group normalisation over a record's time, which long records can have window by window.

    Each record of a batch has its own mean and variance (Wu & He 2018), so that a record's answer
    does not depend on its neighbours. They are learnt on ten seconds. A longer record is normalised
    as its own ten-second windows are, smoothly from one to the next: their statistics are taken
    first, and then every piece of it is normalised by time, wherever it is cut.
    """

    def __init__(self, channels: int, groups: int = 8, eps: float = 1e-5) -> None:
        super().__init__()
        if channels % groups:
            raise ValueError(f"{channels} channels do not fall into {groups} groups")
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.groups, self.eps = groups, eps
        self.windows = 0
        self.taken: list[Tensor] = []
        self.kept = torch.empty(0)
        self.hats: Hats | None = None

    def forward(
        self, x: Float[Tensor, "batch channel frame"]
    ) -> Float[Tensor, "batch channel frame"]:
        """Return x normalised by its own statistics, or by those taken for its time."""
        if self.hats is not None:
            near, weights = self.hats(x.shape[-1])
            factor, offset = _over_time(self.kept[near], weights, channels_together(x))
            if torch.is_grad_enabled():
                return torch.addcmul(offset, x, factor)
            placed: Tensor = offset.addcmul_(x, factor)  # in place: maps of hours are large
            return placed
        if self.windows:
            return self._take(x)
        if channels_together(x):  # torch knows that order of pictures only
            flat = functional.group_norm(
                x.unsqueeze(2), self.groups, self.scale, self.shift, self.eps
            )
            return flat.squeeze(2)
        return functional.group_norm(x, self.groups, self.scale, self.shift, self.eps)

    def _take(self, x: Tensor) -> Tensor:
        """Return x normalised, and keep factor and offset (window, 2, row, channel) of that.

        Rows are one record or its leads.
        """
        rows, channels, frames = x.shape
        normed, *found = torch.native_group_norm(
            x.unsqueeze(2), self.scale, self.shift, rows, channels, frames, self.groups, self.eps
        )
        mean, deviation = (
            part.reshape(self.windows, -1, self.groups).repeat_interleave(
                channels // self.groups, 2
            )
            for part in found
        )
        factor = self.scale * deviation
        self.taken.append(torch.stack([factor, self.shift - mean * factor], dim=1))
        return normed.squeeze(2)


def _over_time(kept: Tensor, weights: Tensor, together: bool) -> Tensor:
    """Return factor and offset (2, row, channel, frame), in the order of the map's numbers."""
    if not together:
        made = kept.flatten(1).t().contiguous() @ weights
        return made.view(*kept.shape[1:], -1)
    made = weights.t() @ kept.flatten(1, 2).transpose(0, 1)  # (2 x row, frame, channel)
    return made.view(*kept.shape[1:3], *made.shape[1:]).transpose(-1, -2)


class Conv(nn.Conv1d):
    """A convolution that takes maps whose channels lie together as they are.

    On a processor a narrow one is three times as fast on these.
    """

    def forward(
        self, x: Float[Tensor, "batch inputs frame"]
    ) -> Float[Tensor, "batch outputs made"]:
        """Return the map, its channels together if those of x are."""
        if not channels_together(x):
            return super().forward(x)
        made = functional.conv2d(
            x.unsqueeze(2),
            self.weight.unsqueeze(2).contiguous(memory_format=torch.channels_last),
            self.bias,
            (1, self.stride[0]),
            (0, int(self.padding[0])),
        )
        return made.squeeze(2)


def put_channels_together(
    x: Float[Tensor, "batch channel frame"],
) -> Float[Tensor, "batch channel frame"]:
    """Return the same map, with the channels of a frame side by side in memory."""
    return x.transpose(1, 2).contiguous().transpose(1, 2)


def channels_together(x: Tensor) -> bool:
    """Return whether the channels of a frame lie side by side in memory."""
    return x.stride(1) == 1 and x.stride(2) == x.shape[1]


def join_channels(one: Tensor, other: Tensor) -> Tensor:
    """Return (batch, channels of both, frame), in the order of memory of the second."""
    if not channels_together(other):
        return torch.cat([one, other], dim=1)
    return torch.cat([one.transpose(1, 2), other.transpose(1, 2)], dim=2).transpose(1, 2)


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> Conv:
    """Return a convolution that keeps the length (divided by the stride)."""
    return Conv(inputs, outputs, kernel, stride=stride, padding=kernel // 2)


ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {"silu": nn.SiLU, "mish": nn.Mish}
"""What a residual block can bend its features with."""


class ResidualBlock(nn.Module):
    """Two convolutions, normalised before each, added to their input."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        dropout: float = 0.0,
        activation: str = "silu",
    ) -> None:
        super().__init__()
        self.norm1 = RecordNorm(inputs)
        self.conv1 = conv(inputs, outputs, kernel)
        self.norm2 = RecordNorm(outputs)
        self.conv2 = conv(outputs, outputs, kernel)
        self.activation = ACTIVATIONS[activation]()
        self.dropout = nn.Dropout1d(dropout)  # whole channels: cheap, and blind to time
        self.shortcut = Conv(inputs, outputs, 1) if inputs != outputs else nn.Identity()

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


Hats = Callable[[int], tuple[slice, Tensor]]
"""Frames of a piece -> the windows near it, and their weights (window, frame)."""


class Statistics:
    """The statistics of one record's windows, in all norms of some modules.

    Use `take` around the pass over each batch of windows, then `of_piece` around each piece.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self.norms = [
            m for module in modules for m in module.modules() if isinstance(m, RecordNorm)
        ]

    @contextmanager
    def take(self, windows: int) -> Iterator[None]:
        """Take the statistics of a pass over so many windows, all of one record."""
        for norm in self.norms:
            norm.windows = windows
        try:
            yield
        finally:
            for norm in self.norms:
                norm.windows = 0

    @contextmanager
    def of_piece(self, centres: Tensor, start: int, samples: int) -> Iterator[None]:
        """Normalise a piece by time; `centres` are those of the windows, all in samples."""
        hats = _hats(centres, start, samples)
        self.settle()
        for norm in self.norms:
            norm.hats = hats
        try:
            yield
        finally:
            for norm in self.norms:
                norm.hats = None

    def hand_over(self) -> list[Tensor]:
        """Return what one pass has taken, norm by norm, and keep nothing of it."""
        return [norm.taken.pop() for norm in self.norms]

    def receive(self, taken: Iterable[Tensor]) -> None:
        """Keep what a pass of these modules, or of a twin of theirs, has handed over."""
        for norm, part in zip(self.norms, taken, strict=True):
            norm.taken.append(part)

    def settle(self) -> None:
        """Join what the passes have taken, so that pieces (and twins of the modules) can use it."""
        for norm in self.norms:
            if norm.taken:
                norm.kept, norm.taken = torch.cat(norm.taken), []

    def forget(self) -> None:
        """Drop all that was taken."""
        for norm in self.norms:
            norm.taken, norm.kept = [], torch.empty(0)


def twin(module: Module) -> Module:
    """Return a module with the same weights and statistics, for another thread's pieces.

    Where a piece lies is its own; all numbers are shared.
    """
    shared = [*module.parameters(), *module.buffers()]
    shared += [norm.kept for norm in module.modules() if isinstance(norm, RecordNorm)]
    return copy.deepcopy(module, {id(tensor): tensor for tensor in shared})


def _hats(centres: Tensor, start: int, samples: int) -> Hats:
    """Return the function that weighs windows linearly between their centres."""
    made: dict[int, tuple[slice, Tensor]] = {}

    def hats(frames: int) -> tuple[slice, Tensor]:
        if frames not in made:
            step = 2 ** math.ceil(math.log2(samples / frames) - 1e-9)
            time = (start + step * torch.arange(frames)).clamp(int(centres[0]), int(centres[-1]))
            place = torch.searchsorted(centres, time, right=True).clamp(1, len(centres) - 1)
            before, after = centres[place - 1], centres[place]
            share = (time - before) / (after - before)
            first, last = int(place.min()) - 1, int(place.max()) + 1
            weights = torch.zeros(last - first, frames)
            weights.scatter_(0, (place - first)[None], share[None])
            weights.scatter_(0, (place - 1 - first)[None], 1 - share[None])
            made[frames] = slice(first, last), weights
        return made[frames]

    return hats
