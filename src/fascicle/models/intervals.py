"""PQ, Q-Q, QT and QTc of each beat from the logits of waves and beats, inside the net.

A wave is the average over the leads of its probability p. Inside a window around a beat its
centre is the first moment of p, and its duration (sum p)^2 / sum p^2: that of a box of any height,
so that a wave that only some leads show keeps its length. Onset and offset lie half a duration to
both sides of the centre; a QRS begins as long before its R peak as p lasts there. So intervals can
be differentiated by the logits of waves. R peaks are local maxima: no gradient passes them, nor
the flags that say which intervals hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

INTERVALS = 4
"""PQ, Q-Q, QT, QTc (Fridericia)."""
P, QRS, T = 1, 2, 3
"""Classes of the waves' logits; 0 is none."""
PIECE_S = 60.0
MARGIN_S = 7.0
"""What one frame can depend on to each side: its beat, the one before, and their windows."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Where waves are looked for, in seconds, and what counts as one.

    Attributes
    ----------
    refractory_s
        Of two R peaks closer than this the lower is none.
    qrs_s, p_s, t_s
        A QRS begins so long before its R peak at most, a P wave as well; a T wave ends so long
        after it. No window passes the neighbouring R peak.
    reach_s
        A beat lasts from halfway to its neighbours, and no longer than this to each side.
    longest_s
        Q-Q distances above this are pauses between beats that do not follow each other.
    height, least_s
        Lowest mean probability and shortest duration of a wave.
    spread
        Largest standard deviation of p over its duration: .29 for a box; two waves in one window
        reach .5 when their centres are two durations apart.
    """

    refractory_s: float = 0.2
    qrs_s: float = 0.16
    p_s: float = 0.5
    t_s: float = 0.7
    reach_s: float = 1.0
    longest_s: float = 3.0
    height: float = 0.3
    least_s: float = 0.02
    spread: float = 0.45


USUAL = Limits()


def interval_frames(
    waves: Float[Tensor, "batch lead class sample"],
    beats: Float[Tensor, "batch channel sample"],
    present: Bool[Tensor, "batch lead"],
    valid: Int[Tensor, " batch"],
    rate_hz: float,
    samples_per_frame: int,
    frames: int,
    limits: Limits = USUAL,
) -> Float[Tensor, "batch 8 frame"]:
    """Return the intervals of each frame's beat, in seconds, then a flag for each: 1 if it holds.

    What does not hold is 0. A long record is measured in pieces whose margins hold all that a
    frame can depend on.

    Parameters
    ----------
    waves, beats
        Logits; the first channel of `beats` says that an R peak is here.
    present, valid
        Which leads are averaged; samples of each row that are not padding.
    """
    samples = waves.shape[-1]
    piece = max(round(PIECE_S * rate_hz / samples_per_frame), 1)
    margin = round(MARGIN_S * rate_hz)
    if frames * samples_per_frame <= piece * samples_per_frame + 2 * margin:
        return _piece(waves, beats, present, valid, rate_hz, samples_per_frame, 0, frames, limits)
    found = []
    for first in range(0, frames, piece):
        count = min(piece, frames - first)
        start = max(first * samples_per_frame - margin, 0)
        stop = min((first + count) * samples_per_frame + margin, samples)
        span = slice(start, stop)
        left = first * samples_per_frame - start
        found.append(
            _piece(
                waves[..., span], beats[..., span], present, (valid - start).clamp(0, stop - start),
                rate_hz, samples_per_frame, left, count, limits,
            )
        )  # fmt: skip
    return torch.cat(found, dim=-1)


def _piece(
    waves: Tensor,
    beats: Tensor,
    present: Tensor,
    valid: Tensor,
    rate_hz: float,
    samples_per_frame: int,
    first: int,
    frames: int,
    limits: Limits,
) -> Tensor:
    """Return the intervals of `frames` frames, the first of which stands at sample `first`."""
    kind = torch.promote_types(waves.dtype, torch.float32)
    share = present.to(kind) / present.sum(1, keepdim=True).clamp(min=1)
    inside = torch.arange(waves.shape[-1], device=waves.device) < valid.unsqueeze(1)
    mean = (waves.to(kind).softmax(2) * share[:, :, None, None]).sum(1) * inside.unsqueeze(1)
    peaks, real = r_peaks(beats[:, 0].detach(), valid, rate_hz, limits)
    values, holds = measure(mean, peaks, real, valid, rate_hz, limits)
    clock = first + samples_per_frame * torch.arange(frames, device=waves.device)
    spread = _spread(values, holds, peaks, real, clock, round(limits.reach_s * rate_hz))
    return spread * (clock < valid.unsqueeze(1)).unsqueeze(1)


def r_peaks(
    here: Float[Tensor, "batch sample"],
    valid: Int[Tensor, " batch"],
    rate_hz: float,
    limits: Limits = USUAL,
) -> tuple[Int[Tensor, "batch beat"], Bool[Tensor, "batch beat"]]:
    """Return the samples of R peaks in order, and which of these are real: rows are filled up.

    A peak is the largest logit within the refractory time and above 0; of equal ones, the first.
    """
    apart = max(round(limits.refractory_s * rate_hz), 1)
    inside = torch.arange(here.shape[1], device=here.device) < valid.unsqueeze(1)
    here = here.masked_fill(~inside, -torch.inf)
    padded = functional.pad(here.float(), (apart, apart), value=-torch.inf)
    top = functional.max_pool1d(padded.unsqueeze(1), 2 * apart + 1, stride=1).squeeze(1)
    peak = (here.float() == top) & (here > 0)
    before = functional.pad(peak.float(), (apart, 0))[:, :-1]
    peak &= functional.max_pool1d(before.unsqueeze(1), apart, stride=1).squeeze(1) == 0
    counts = peak.sum(1)
    row, sample = peak.nonzero(as_tuple=True)
    place = peak.cumsum(1)[row, sample] - 1
    most = max(int(counts.max()), 1) if len(counts) else 1
    peaks = sample.new_full((len(here), most), here.shape[1])
    peaks[row, place] = sample
    return peaks, torch.arange(most, device=here.device) < counts.unsqueeze(1)


def measure(
    mean: Float[Tensor, "batch class sample"],
    peaks: Int[Tensor, "batch beat"],
    real: Bool[Tensor, "batch beat"],
    valid: Int[Tensor, " batch"],
    rate_hz: float,
    limits: Limits = USUAL,
) -> tuple[Float[Tensor, "batch 4 beat"], Bool[Tensor, "batch 4 beat"]]:
    """Return PQ, Q-Q, QT and QTc of each beat in seconds, 0 where one does not hold, and the flags.

    Parameters
    ----------
    mean
        Probability of each wave, averaged over the leads.
    peaks, real
        As `r_peaks` gives them.
    """
    previous = functional.pad(peaks, (1, 0), value=-(10**9))[:, :-1]
    follows = functional.pad(real, (0, 1))[:, 1:]
    following = torch.where(
        follows, functional.pad(peaks, (0, 1))[:, 1:], torch.full_like(peaks, 10**9)
    )
    p_reach, t_reach = round(limits.p_s * rate_hz), round(limits.t_s * rate_hz)
    q_low = torch.maximum(peaks - round(limits.qrs_s * rate_hz), (previous + peaks) // 2)
    p_low = torch.maximum(peaks - p_reach, previous)
    t_high = torch.minimum(peaks + t_reach, following)
    qrs = _wave(mean[:, QRS], peaks, q_low, peaks, rate_hz, limits)
    p = _wave(mean[:, P], peaks, p_low, peaks, rate_hz, limits)
    t = _wave(mean[:, T], peaks, peaks, t_high, rate_hz, limits)

    begins = -qrs.duration  # of the QRS, before its R peak
    q_before = functional.pad((peaks + begins)[:, :-1], (1, 0))
    holds_before = functional.pad((real & qrs.holds)[:, :-1], (1, 0))
    pq = begins - (p.centre - (p.duration - 1) / 2)
    qq = peaks + begins - q_before
    qt = t.centre + (t.duration - 1) / 2 - begins
    there = real & qrs.holds & (q_low >= 0)
    whole = torch.stack(
        [
            there & p.holds & (p_low >= 0) & (pq > 0),
            there & holds_before & (qq > 0) & (qq < limits.longest_s * rate_hz),
            there & t.holds & (t_high <= valid.unsqueeze(1)) & (qt > 0),
        ],
        dim=1,
    )
    holds = torch.cat([whole, whole[:, 1:2] & whole[:, 2:3]], dim=1)
    seconds = torch.stack([pq, qq, qt], dim=1) / rate_hz
    seconds = torch.where(whole, seconds, torch.ones_like(seconds))
    corrected = seconds[:, 2] / seconds[:, 1] ** (1 / 3)
    values = torch.cat([seconds, corrected.unsqueeze(1)], dim=1)
    return values * holds, holds


@dataclass(frozen=True, slots=True)
class Found:
    """A wave per beat: centre from the R peak and duration in samples; whether there is one."""

    centre: Tensor
    duration: Tensor
    holds: Tensor


def _wave(
    mean: Tensor, peaks: Tensor, low: Tensor, high: Tensor, rate_hz: float, limits: Limits
) -> Found:
    """Return the wave of a probability (batch, sample) in low <= sample < high, for each beat."""
    reach = round(max(limits.p_s, limits.t_s) * rate_hz)
    steps = torch.arange(-reach, reach + 1, device=mean.device)
    first = int((low - peaks).clamp(-reach, reach).min()) + reach
    last = int((high - peaks).clamp(-reach, reach).max()) + reach
    steps = steps[first : last + 1]
    samples = peaks.unsqueeze(-1) + steps
    inside = (samples >= low.unsqueeze(-1)) & (samples < high.unsqueeze(-1))
    inside &= (samples >= 0) & (samples < mean.shape[1])
    index = samples.clamp(0, mean.shape[1] - 1)
    p = mean.gather(1, index.flatten(1)).reshape(index.shape) * inside
    mass, square = p.sum(-1), (p * p).sum(-1)
    some = mass > 1e-6
    mass, square = torch.where(some, mass, 1.0), torch.where(some, square, 1.0)
    centre = (p * steps).sum(-1) / mass
    duration = mass * mass / square
    variance = (p.detach() * (steps - centre.detach().unsqueeze(-1)) ** 2).sum(-1) / mass.detach()
    holds = some & (square > limits.height * mass) & (duration > limits.least_s * rate_hz)
    return Found(centre, duration, holds & (variance < (limits.spread * duration) ** 2))


def _spread(
    values: Tensor, holds: Tensor, peaks: Tensor, real: Tensor, clock: Tensor, reach: int
) -> Tensor:
    """Return (batch, 8, frame): each frame has the values and flags of the beat that it is in."""
    middle = (peaks[:, :-1] + peaks[:, 1:] + 1) // 2
    middle = torch.where(real[:, 1:], middle, torch.full_like(middle, 10**9))
    beat = torch.searchsorted(middle, clock.expand(len(middle), -1).contiguous(), right=True)
    near = real.gather(1, beat) & ((clock - peaks.gather(1, beat)).abs() <= reach)
    both = torch.cat([values, holds.to(values.dtype)], dim=1)
    spread: Tensor = both.gather(2, beat.unsqueeze(1).expand(-1, both.shape[1], -1))
    return spread * near.unsqueeze(1)
