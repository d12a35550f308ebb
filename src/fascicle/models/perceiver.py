"""The Perceiver head: a few latents read all frames of a record, however long (Jaegle et al. 2021).

Its input is what Sodmann et al. 2021, figure 1, name: bottleneck frames, the intervals of each
frame's beat, age, sex and amplitude. Attention of latents to frames takes memory in proportion to
the number of frames.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from fascicle.models.intervals import INTERVALS, interval_frames
from fascicle.models.unet import Features

SLOWEST_HZ = 0.05
"""Of the positions: they repeat every 20 s, twice the window that nets learn on."""
KNOWN = 5
"""Age, age known, sex, sex known, amplitude."""
AT_ONCE = 8192
"""Frames that are read in one go: only keys and values of a long record stay in memory."""
LOOKED_AT = 2048
"""Samples of a lead, at least, from which the amplitude is taken."""


class PerceiverHead(nn.Module):
    """Latents that read the frames again and again with the same weights, then a linear layer.

    Parameters
    ----------
    channels, classes
        Of the frames; of the answer.
    rate_hz
        Samples per second of the net.
    latents, width, iterations
        How many latents, channels of each, and how often they read the frames.
    attention_heads
        Of each attention; they share `width`.
    outputs
        Units of the embedding that the last layer reads (and that pre-training compares).
    bands
        Frequencies of the positions, from 0.05 Hz up, each twice the one before.
    intervals
        Whether PQ, Q-Q, QT and QTc of each beat are read: then it needs waves and beats.
    """

    windowed: ClassVar[bool] = False

    def __init__(
        self,
        channels: int,
        classes: int,
        rate_hz: float = 250.0,
        latents: int = 64,
        width: int = 256,
        iterations: int = 4,
        attention_heads: int = 4,
        outputs: int = 256,
        bands: int = 6,
        dropout: float = 0.1,
        intervals: bool = True,
    ) -> None:
        super().__init__()
        if width % attention_heads:
            raise ValueError(f"{width} channels do not fall into {attention_heads} heads")
        self.rate_hz, self.iterations, self.bands = rate_hz, iterations, bands
        self.needs: tuple[str, ...] = ("waves", "beats") if intervals else ()
        beside = 2 * bands + KNOWN + (2 * INTERVALS if intervals else 0)
        self.norm = nn.LayerNorm(channels)
        self.read = nn.Linear(channels + beside, width)
        self.latents = nn.Parameter(torch.randn(latents, width) / math.sqrt(width))
        self.cross = Attention(width, attention_heads, dropout)
        self.digest = Transition(width, dropout)
        self.among = Attention(width, attention_heads, dropout)
        self.think = Transition(width, dropout)
        self.last = nn.LayerNorm(width)
        self.embed = nn.Linear(width, outputs)
        self.out = nn.Linear(outputs, classes)

    def forward(
        self,
        features: Features,
        signal: Tensor,
        present: Tensor,
        valid: Tensor,
        covariates: Tensor,
        needed: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return logits (batch, class) over the frames that are not padding."""
        embedded = self.embedding(features, signal, present, valid, covariates, needed)
        logits: Tensor = self.out(embedded)
        return logits

    def embedding(
        self,
        features: Features,
        signal: Tensor,
        present: Tensor,
        valid: Tensor,
        covariates: Tensor,
        needed: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return the outputs (batch, output) that the last layer reads."""
        step, count = features.samples_per_frame, features.frames.shape[-1]
        known = torch.cat([covariates[:, :4], amplitude(signal, present, valid)], dim=1)
        spread = None
        if self.needs:
            assert needed is not None
            spread = interval_frames(
                needed["waves"], needed["beats"], present, valid, self.rate_hz, step, count
            )
        inside = torch.arange(count, device=valid.device) * step < valid.unsqueeze(1)
        seen = [
            self.cross.see(self._read(features, spread, known, span), inside[:, span])
            for span in (slice(first, first + AT_ONCE) for first in range(0, count, AT_ONCE))
        ]
        return self._latents_of(seen, len(known))

    def _read(
        self, features: Features, intervals: Tensor | None, known: Tensor, span: slice
    ) -> Tensor:
        """Return what is read (batch, frame, width) of a span of frames."""
        frames = self.norm(features.frames[..., span].transpose(1, 2))
        count = frames.shape[1]
        clock = torch.arange(span.start, span.start + count, dtype=torch.float64)
        time_s = clock * (features.samples_per_frame / self.rate_hz)
        parts = [frames, positions(time_s, self.bands).to(frames).expand(len(frames), -1, -1)]
        if intervals is not None:
            parts.append(intervals[..., span].transpose(1, 2).to(frames.dtype))
        parts.append(known.unsqueeze(1).expand(-1, count, -1))
        read: Tensor = self.read(torch.cat(parts, dim=-1))
        return read

    def _latents_of(self, frames: Sequence[Seen], batch: int) -> Tensor:
        """Return the outputs of latents that have read these frames."""
        latents = self.latents.expand(batch, -1, -1)
        for _ in range(self.iterations):
            latents = self.digest(self.cross(latents, frames))
            latents = self.think(self.among(latents, [self.among.see(latents)]))
        embedded: Tensor = self.embed(self.last(latents).mean(1))
        return embedded


def positions(time_s: Tensor, bands: int) -> Tensor:
    """Return sine and cosine (frame, 2 band) of times (frame,) in seconds, float64."""
    turns = time_s[:, None] * SLOWEST_HZ * 2.0 ** torch.arange(bands)
    angle = 2 * torch.pi * (turns % 1)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class Seen(NamedTuple):
    """Keys and values (batch, head, item, part) of items; which are there (batch, 1, 1, item)."""

    key: Tensor
    value: Tensor
    there: Tensor | None


class Attention(nn.Module):
    """Attention, added to what asks. Keys have no bias: a softmax does not see it."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_query = nn.LayerNorm(width)
        self.norm_seen = nn.LayerNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def see(
        self,
        seen: Float[Tensor, "batch item width"],
        there: Bool[Tensor, "batch item"] | None = None,
    ) -> Seen:
        """Return keys and values of what is looked at."""
        normed = self.norm_seen(seen)
        mask = None if there is None else there[:, None, None]
        return Seen(self._parted(self.key(normed)), self._parted(self.value(normed)), mask)

    def forward(
        self, asking: Float[Tensor, "batch query width"], pieces: Sequence[Seen]
    ) -> Float[Tensor, "batch query width"]:
        """Return what asks, with what it found among the items of all pieces added."""
        query = self._parted(self.query(self.norm_query(asking)))
        if len(pieces) == 1:
            found = functional.scaled_dot_product_attention(query, *pieces[0])
        else:
            found = _in_pieces(query, pieces)
        return torch.add(asking, self.dropout(self.out(found.transpose(1, 2).flatten(2))))

    def _parted(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), x.shape[1], self.heads, -1).transpose(1, 2)


def _in_pieces(query: Tensor, pieces: Sequence[Seen]) -> Tensor:
    """Return attention over all pieces, of which one is looked at at a time (Milakov 2018).

    The largest score so far, the sum of the powers and their weighted sum are carried on; the
    first item must be there.
    """
    query = query / math.sqrt(query.shape[-1])
    top = query.new_full((*query.shape[:-1], 1), -torch.inf)
    total, found = torch.zeros_like(top), torch.zeros_like(query)
    for key, value, there in pieces:
        scores = query @ key.transpose(-1, -2)
        if there is not None:
            scores = scores.masked_fill(~there, -torch.inf)
        higher = torch.maximum(top, scores.amax(-1, keepdim=True))
        shrink, powers = torch.exp(top - higher), torch.exp(scores - higher)
        total = total * shrink + powers.sum(-1, keepdim=True)
        found = found * shrink + powers @ value
        top = higher
    return found / total


class Transition(nn.Module):
    """Two layers with twice the width between, added to their input."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Float[Tensor, "batch item width"]) -> Float[Tensor, "batch item width"]:
        """Return the changed items."""
        return torch.add(x, self.net(x))


def amplitude(
    signal: Float[Tensor, "batch lead sample"],
    present: Bool[Tensor, "batch lead"],
    valid: Int[Tensor, " batch"],
) -> Float[Tensor, "batch 1"]:
    """Return the 95 % quantile of |signal| in mV over present leads and samples that are there.

    Of a long record every n-th sample is looked at, so that 2048 to 4095 of each lead are.
    """
    step = max(signal.shape[-1] // LOOKED_AT, 1)
    size = signal.detach()[..., ::step].abs()
    there = torch.arange(size.shape[-1], device=valid.device) * step < valid.unsqueeze(1)
    inside = (there.unsqueeze(1) & present.unsqueeze(-1)).flatten(1)
    sizes = size.flatten(1).masked_fill(~inside, torch.inf).sort(dim=1).values
    place = ((inside.sum(1, keepdim=True) - 1) * 0.95).long().clamp(min=0)
    found = sizes.gather(1, place)
    return torch.where(found.isfinite(), found, 0.0)
