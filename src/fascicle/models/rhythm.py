"""The rhythm at each frame, from the deepest frames and from the beats that the net itself finds.

A rhythm shows in many beats: how irregular they come, whether a P wave stands before them, and
whether it stands there at the same time. So each frame is told of the beats around it: they are
measured on the logits of beats and waves, without gradient, in units that are the same in every
patient.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from fascicle.models.blocks import conv
from fascicle.models.intervals import P, r_peaks
from fascicle.models.unet import Features, some_leads

AROUND = 8
"""Beats to each side that a beat is seen with."""
LAGS = (1, 2, 3, 4)
"""Distances in beats at which intervals are compared: an ectopic pattern repeats at one of them."""
P_FAR_S, P_NEAR_S = 0.30, 0.06
"""A P wave peaks within this time before its R peak."""
LONGEST_S = 3.0
"""An interval above this is no interval: a beat between was not found, or the heart paused."""
EVIDENCE = 2 + 2 * len(LAGS) + 2 + 4 + 2 * 5
"""Numbers that a frame is told of the beats around it."""


class RhythmHead(nn.Module):
    """Logits (batch, kind, frame) of the rhythm at each of the deepest frames.

    Parameters
    ----------
    channels, classes
        Of the frames; of the answer.
    rate_hz
        Samples per second of the signal.
    narrow, width
        Channels that the frames are read into, and of the convolutions over time.
    dilations
        Of each residual convolution of five frames: what a frame sees to each side is twice their
        sum.
    """

    windowed: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ("waves", "beats")

    def __init__(
        self,
        channels: int,
        classes: int,
        rate_hz: float,
        narrow: int = 16,
        width: int = 32,
        dilations: tuple[int, ...] = (1, 2, 4),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.rate_hz = rate_hz
        self.norm = nn.LayerNorm(channels)  # of each frame alone: no statistic over time
        self.read = nn.Linear(channels, narrow)
        self.mix = nn.Linear(narrow + EVIDENCE, width)
        self.dropout = nn.Dropout1d(dropout)
        self.around = nn.ModuleList(
            nn.Conv1d(width, width, 5, padding=2 * step, dilation=step) for step in dilations
        )
        self.out = conv(width, classes, 1)

    def forward(
        self,
        features: Features,
        signal: Tensor,  # noqa: ARG002
        present: Tensor,
        valid: Tensor,
        covariates: Tensor,  # noqa: ARG002
        needed: dict[str, Tensor],
    ) -> Tensor:
        """Return logits (batch, kind, frame); those of padding mean nothing."""
        frames = features.frames
        clock = features.samples_per_frame * torch.arange(frames.shape[-1], device=frames.device)
        with torch.autocast(frames.device.type, enabled=False), torch.no_grad():
            evidence = beat_evidence(
                needed["waves"].float(),
                needed["beats"].float(),
                present,
                valid,
                clock + features.samples_per_frame // 2,
                self.rate_hz,
            )
        return self.answer(frames, evidence, (clock < valid.unsqueeze(1)).unsqueeze(1))

    def answer(
        self,
        frames: Float[Tensor, "batch channel frame"],
        evidence: Float[Tensor, "batch evidence frame"],
        inside: Bool[Tensor, "batch 1 frame"],
    ) -> Float[Tensor, "batch kind frame"]:
        """Return logits from frames and what is told of their beats; `inside` is no padding."""
        own = functional.silu(self.read(self.norm(frames.transpose(1, 2)))).transpose(1, 2)
        own = self.dropout(own)
        x = self.mix(torch.cat([own, evidence.to(own.dtype)], dim=1).transpose(1, 2))
        x = x.transpose(1, 2)
        for layer in self.around:
            x = x + self.dropout(layer(functional.silu(x) * inside))
        logits: Tensor = self.out(functional.silu(x))
        return logits


def beat_evidence(
    waves: Float[Tensor, "batch lead class sample"],
    beats: Float[Tensor, "batch channel sample"],
    present: Bool[Tensor, "batch lead"],
    valid: Int[Tensor, " batch"],
    clock: Int[Tensor, " frame"],
    rate_hz: float,
) -> Float[Tensor, "batch evidence frame"]:
    """Return what the beats around each frame tell of the rhythm; 0 where there are none.

    Parameters
    ----------
    waves, beats
        Logits; the first channel of `beats` says that an R peak is here, the others which kind.
    present, valid
        Which leads are there; samples of each row that are not padding.
    clock
        The sample at which each frame stands.
    """
    peaks, real = r_peaks(beats[:, 0], valid, rate_hz)
    following = real & functional.pad(real, (0, 1))[:, 1:]
    intervals = functional.pad(peaks, (0, 1))[:, 1:] - peaks
    seconds = intervals / rate_hz
    follows = following & (seconds < LONGEST_S)
    log = torch.where(follows, seconds.clamp(min=0.1).log(), torch.nan)
    p_height, p_time = _p_waves(waves, present, peaks, rate_hz)
    at = peaks.clamp(max=beats.shape[-1] - 1).unsqueeze(1).expand(-1, beats.shape[1] - 1, -1)
    kinds = beats[:, 1:].gather(2, at).softmax(1)
    hidden = torch.where(real, 0.0, torch.nan)
    told = _rhythm_of(log, p_height + hidden, p_time + hidden, kinds + hidden.unsqueeze(1))
    # a frame is told of the last beat before it: the interval that it lies in begins there
    beat = torch.searchsorted(
        torch.where(real, peaks, torch.full_like(peaks, 2**31)),
        clock.expand(len(peaks), -1).contiguous(),
        right=True,
    )
    beat = (beat - 1).clamp(min=0)
    spread: Tensor = told.gather(2, beat.unsqueeze(1).expand(-1, told.shape[1], -1))
    return spread


def _p_waves(
    waves: Tensor, present: Tensor, peaks: Tensor, rate_hz: float
) -> tuple[Tensor, Tensor]:
    """Return how sure a P wave is before each R peak, the mean over leads, and when, (batch, beat).

    The time is in tenths of a second from the middle of where P waves are looked for.
    """
    share = present.to(waves.dtype) / present.sum(1, keepdim=True).clamp(min=1)
    there = some_leads(present)
    p = torch.einsum("bls,bl->bs", waves[:, there].softmax(2)[:, :, P], share[:, there])
    far, near = round(P_FAR_S * rate_hz), round(P_NEAR_S * rate_hz)
    steps = torch.arange(-far, -near + 1, device=p.device)
    samples = peaks.unsqueeze(-1) + steps
    inside = (samples >= 0) & (samples < p.shape[1])
    index = samples.clamp(0, p.shape[1] - 1)
    height = p.gather(1, index.flatten(1)).reshape(index.shape) * inside
    mass = height.sum(-1)
    centre = (height * steps).sum(-1) / mass.clamp(min=1e-3)
    time = torch.where(mass > 1e-3, centre + (far + near) / 2, torch.zeros_like(centre))
    return height.amax(-1), 10 * time / rate_hz


def _rhythm_of(log: Tensor, p_height: Tensor, p_time: Tensor, kinds: Tensor) -> Tensor:
    """Return (batch, evidence, beat); what is not there is NaN in all arguments, (batch, beat)."""
    near = _around(log)
    columns = [near.nanmedian(-1).values, _spread(near)]
    for lag in LAGS:
        step = _around(_apart(log, lag))
        columns += [4 * step.nanmedian(-1).values, 2 * step.nanmean(-1)]
    usual = torch.where(kinds[:, 0] + kinds[:, 1] > 0.5, torch.zeros_like(p_height), torch.nan)
    usual_next = functional.pad(usual, (0, 1), value=torch.nan)[:, 1:]
    step = _around(_apart(log + usual + usual_next, 1))  # between beats that the atria began
    columns += [4 * step.nanmedian(-1).values, 2 * step.nanmean(-1)]
    height, time = _around(p_height + usual), _around(p_time + usual)
    columns += [height.nanmean(-1), height.nanmedian(-1).values, _spread(time), p_height]
    columns += list(_around(kinds, 1).nanmean(-1).unbind(1))
    columns += list(_around(kinds).nanmean(-1).unbind(1))
    told: Tensor = torch.stack(columns, dim=1).nan_to_num(0.0).clamp(-4, 4)
    return told


def _apart(log: Tensor, lag: int) -> Tensor:
    """Return how far each interval is from the one `lag` beats before, without sign."""
    before = functional.pad(log, (lag, 0), value=torch.nan)[:, : log.shape[1]]
    return (log - before).abs()


def _around(values: Tensor, beats: int = AROUND) -> Tensor:
    """Return (..., beat, near): the values of the beats around each beat, NaN beyond the ends."""
    padded = functional.pad(values, (beats, beats), value=torch.nan)
    return padded.unfold(-1, 2 * beats + 1, 1)


def _spread(values: Tensor) -> Tensor:
    """Return the standard deviation over the last axis of what is there."""
    centred = values - values.nanmean(-1, keepdim=True)
    return centred.square().nanmean(-1).sqrt()
