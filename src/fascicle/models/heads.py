"""Heads: features become logits, one class per task.

Every head takes (features, signal, present, valid, covariates) and fits every backbone. A head
is `windowed` when it has weights per frame, so that only windows of one length fit. One that
`needs` the logits of other tasks takes them last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from fascicle.models.blocks import (
    RecordNorm,
    ResidualBlock,
    conv,
    join_channels,
    put_channels_together,
)
from fascicle.models.unet import STEM_STRIDE, Features, some_leads


class WavesHead(nn.Module):
    """P / QRS / T / none for each sample of each lead: logits (batch, lead, class, sample).

    A lead's own signal passes a stem that all leads share; the joint map is read through a
    projection of its own per lead. So a mark follows its own lead, and knows the others.

    With `level_channels` each coarser decoder map has a layer of its own that marks waves too:
    deep supervision, in training only. `stride` is how many samples a frame of the marks has.
    """

    windowed: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        dense_channels: int,
        leads: int = 12,
        classes: int = 4,
        width: int = 16,
        kernel: int = 9,
        level_channels: Sequence[int] = (),
        stride: int = STEM_STRIDE,
    ) -> None:
        super().__init__()
        self.leads, self.width, self.stride = leads, width, stride
        self.joint = nn.Conv1d(dense_channels, leads * width, 1)
        self.own = nn.Sequential(
            conv(1, width, 11, stride=stride), ResidualBlock(width, width, kernel)
        )
        self.mix = nn.Sequential(
            ResidualBlock(2 * width, width, kernel),
            RecordNorm(width),
            nn.SiLU(),
            conv(width, classes, 1),
        )
        self.levels = nn.ModuleList(nn.Conv1d(c, leads * classes, 1) for c in level_channels)

    def coarse(self, features: Features) -> dict[int, Tensor]:
        """Return samples per frame -> logits (batch, lead, class, frame) of coarser maps."""
        if not self.levels or not features.levels:
            return {}
        return {
            features.dense_samples_per_frame << (place + 1): layer(level).unflatten(
                1, (self.leads, -1)
            )
            for place, (layer, level) in enumerate(zip(self.levels, features.levels, strict=True))
        }

    def forward(
        self,
        features: Features,
        signal: Tensor,
        present: Tensor,
        valid: Tensor,  # noqa: ARG002
        covariates: Tensor,  # noqa: ARG002
    ) -> Tensor:
        """Return logits (batch, lead, class, sample); those of absent leads are 0."""
        batch, leads, samples = signal.shape
        joint = self._joint(features.dense, present)
        joint = _resize(joint, features.dense_samples_per_frame, self.stride)
        stem, block = self.own
        own = stem(signal[present].unsqueeze(1))
        if not torch.is_grad_enabled() and own.device.type == "cpu":
            own = put_channels_together(own)
        own = block(own)
        logits = self.mix(join_channels(joint[..., : own.shape[-1]], own))
        logits = _resize(logits, self.stride, 1)[..., :samples]
        everywhere = logits.new_zeros(batch, leads, logits.shape[1], samples)
        everywhere[present] = logits
        return everywhere

    def _joint(self, dense: Tensor, present: Tensor) -> Tensor:
        """Return the joint map (lead of a row, width, frame) of the leads that are there."""
        there = some_leads(present)
        rows = there.repeat_interleave(self.width)
        bias = None if self.joint.bias is None else self.joint.bias[rows]
        joint = functional.conv1d(dense, self.joint.weight[rows], bias)
        seen: Tensor = joint.reshape(len(dense), -1, self.width, dense.shape[-1])
        return seen[present[:, there]]


class BeatsHead(nn.Module):
    """A beat here? and which? for each sample: logits (batch, 1 + kinds, sample)."""

    windowed: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, dense_channels: int, kinds: int = 5, width: int = 32, kernel: int = 5):
        super().__init__()
        self.net = nn.Sequential(
            ResidualBlock(dense_channels, width, kernel),
            RecordNorm(width),
            nn.SiLU(),
            nn.Conv1d(width, 1 + kinds, 1),
        )

    def forward(
        self,
        features: Features,
        signal: Tensor,
        present: Tensor,  # noqa: ARG002
        valid: Tensor,  # noqa: ARG002
        covariates: Tensor,  # noqa: ARG002
    ) -> Tensor:
        """Return logits (batch, 1 + kinds, sample): the beat's own first, then its kinds."""
        logits = self.net(features.dense)
        return _resize(logits, features.dense_samples_per_frame, 1)[..., : signal.shape[-1]]


class DiagnosisHead(nn.Module):
    """Independent logistic regressions on the pooled frames, with age and sex where known."""

    windowed: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        channels: int,
        classes: int,
        covariates: int = 4,
        width: int = 256,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.covariates = covariates
        self.norm = RecordNorm(channels)
        self.attention = nn.Conv1d(channels, 4, 1)
        self.embed = nn.Linear(6 * channels + covariates, width)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, classes)

    def forward(
        self,
        features: Features,
        signal: Tensor,  # noqa: ARG002
        present: Tensor,  # noqa: ARG002
        valid: Tensor,
        covariates: Tensor,
    ) -> Tensor:
        """Return logits (batch, class) over the frames that are not padding."""
        x = functional.silu(self.norm(features.frames)).float()
        inside = _inside(features, valid)
        low = torch.finfo(x.dtype).min
        mean = (x * inside).sum(-1) / inside.sum(-1)
        peak = x.masked_fill(~inside, low).amax(-1)
        weight = self.attention(x).float().masked_fill(~inside, low).softmax(-1)
        attended = torch.einsum("bhf,bcf->bhc", weight, x).flatten(1)
        known = covariates[:, : self.covariates]
        pooled = torch.cat([mean, peak, attended, known], dim=1)
        embedded = functional.silu(self.embed(self.dropout(pooled)))
        logits: Tensor = self.out(self.dropout(embedded))
        return logits


class FlatHead(nn.Module):
    """A linear layer on the flattened frames: logits (batch, class).

    With a sigmoid these are independent logistic regressions (Hughes et al.), with a softmax the
    output layer of one task (parameter-sharing paper). Frames that are padding count as zeros.
    """

    windowed: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, channels: int, classes: int, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.out = nn.Linear(channels * frames, classes)

    @torch.no_grad()
    def start_at(self, shares: Tensor) -> None:
        """Let the output begin at these shares (class,), between 0 and 1, whatever it sees."""
        nn.init.zeros_(self.out.weight)
        self.out.bias.copy_(torch.logit(shares))

    def forward(
        self,
        features: Features,
        signal: Tensor,  # noqa: ARG002
        present: Tensor,  # noqa: ARG002
        valid: Tensor,
        covariates: Tensor,  # noqa: ARG002
    ) -> Tensor:
        """Return logits (batch, class). Raises ValueError for another number of frames."""
        x = features.frames
        if x.shape[-1] != self.frames:
            raise ValueError(f"the head was made for {self.frames} frames, got {x.shape[-1]}")
        logits: Tensor = self.out((x * _inside(features, valid)).flatten(1))
        return logits


class JoinedHead(nn.Module):
    """Mean frame and covariates in one dense layer, then linear layers (Ren, Xiong, Hooi 2021).

    Parameters
    ----------
    channels, classes
        Of the frames; of each output.
    outputs
        1: logits (batch, class). 2, for BCE and for the challenge loss: (batch, output, class).
    covariates
        Age, sex and original rate, each with a flag that it is known.
    width, dropout
        Of the dense layer.
    """

    windowed: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        channels: int,
        classes: int,
        outputs: int,
        covariates: int = 6,
        width: int = 256,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(channels + covariates, width)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.ModuleList(nn.Linear(width, classes) for _ in range(outputs))

    @torch.no_grad()
    def start_at(self, shares: Tensor) -> None:
        """Let every output begin at these shares (class,), between 0 and 1, whatever it sees."""
        for out in self.out:
            assert isinstance(out, nn.Linear)
            nn.init.zeros_(out.weight)
            out.bias.copy_(torch.logit(shares))

    def forward(
        self,
        features: Features,
        signal: Tensor,  # noqa: ARG002
        present: Tensor,  # noqa: ARG002
        valid: Tensor,
        covariates: Tensor,
    ) -> Tensor:
        """Return logits over the frames that are not padding."""
        inside = _inside(features, valid)
        mean = (features.frames.float() * inside).sum(-1) / inside.sum(-1)
        joined = functional.relu(self.embed(torch.cat([mean, covariates], dim=1)))
        joined = self.dropout(joined)
        logits = torch.stack([out(joined) for out in self.out], dim=1)
        return logits if len(self.out) > 1 else logits.squeeze(1)


def _inside(features: Features, valid: Tensor) -> Tensor:
    """Return which frames (batch, 1, frame) begin before the padding."""
    frame = torch.arange(features.frames.shape[-1], device=valid.device)
    return (frame * features.samples_per_frame < valid.unsqueeze(-1)).unsqueeze(1)


def _resize(x: Tensor, samples_per_frame: int, wanted: int) -> Tensor:
    """Return x on a finer or coarser frame grid; frame k stands at sample k * samples_per_frame.

    Between two frames it is their line; after the last one it stays.
    """
    if samples_per_frame == wanted:
        return x
    if wanted % samples_per_frame == 0:
        return x[..., :: wanted // samples_per_frame]
    ratio, rest = divmod(samples_per_frame, wanted)
    if rest == 0 and ratio.bit_count() == 1:
        for _ in range(ratio.bit_length() - 1):
            finer = x.new_empty((*x.shape[:-1], 2 * x.shape[-1]))
            finer[..., ::2] = x
            finer[..., 1:-1:2] = torch.lerp(x[..., :-1], x[..., 1:], 0.5)
            finer[..., -1] = x[..., -1]
            x = finer
        return x
    frames = x.shape[-1]
    sample = wanted * torch.arange(-(-frames * samples_per_frame // wanted), device=x.device)
    before = sample // samples_per_frame
    share = ((sample % samples_per_frame) / samples_per_frame).to(x.dtype)
    after = (before + 1).clamp(max=frames - 1)
    return torch.lerp(x[..., before], x[..., after], share)
