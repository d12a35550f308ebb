"""The preprocessing chain: a frozen value that a bundle stores, and what applies it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from fascicle.errors import BadRequest
from fascicle.record import Signal
from fascicle.signal.baseline import amplify, remove_baseline, subtract_trimmed_mean
from fascicle.signal.filters import LONG_S, bridged, by_lead, highpass, lowpass, notch, remove_jumps
from fascicle.signal.resample import resample

Baseline = Literal["lowess", "highpass", "none"]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a signal is cleaned before a net sees it. Fields are plain: `asdict` gives JSON.

    Parameters
    ----------
    rate_hz
        Rate of the result.
    jump_mv
        Spikes with jumps above this are removed at the original rate; None keeps them.
    lowpass_hz
        Pass and stop edge; None for no low-pass.
    notch_hz
        Mains frequency to remove; None for no notch.
    baseline
        What removes the baseline.
    baseline_span_s
        Span of LOWESS.
    highpass_hz
        Corner, when `baseline` is "highpass".
    trimmed_mean
        Share cut on either side before the mean is subtracted; None keeps the mean.
    amplify
        Whether a weak ECG is amplified, one gain for all leads.
    """

    rate_hz: float = 250.0
    jump_mv: float | None = 4.0
    lowpass_hz: tuple[float, float] | None = (50.0, 60.0)
    notch_hz: float | None = None
    baseline: Baseline = "lowess"
    baseline_span_s: float = 2.0
    highpass_hz: float = 0.5
    trimmed_mean: float | None = 0.1
    amplify: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rate_hz) and self.rate_hz > 0):
            raise BadRequest(f"rate_hz must be positive, not {self.rate_hz}")
        if self.baseline not in ("lowess", "highpass", "none"):
            raise BadRequest(f"baseline must be lowess, highpass or none, not {self.baseline!r}")
        if self.lowpass_hz is not None:  # JSON gives a list
            object.__setattr__(self, "lowpass_hz", tuple(self.lowpass_hz))


PAPER = Preprocessing(rate_hz=500.0, amplify=True)
"""Preprocessing of segment-perceive-classify (Sodmann et al., CinC 2021)."""


Step = Callable[[Signal], Signal]


def _filters(rate_hz: float, how: Preprocessing) -> list[Step]:
    """Return what low-passes a signal and removes its baseline."""
    steps: list[Step] = []
    if how.lowpass_hz is not None:
        pass_hz, stop_hz = how.lowpass_hz
        steps.append(partial(lowpass, rate_hz=rate_hz, pass_hz=pass_hz, stop_hz=stop_hz))
    if how.notch_hz is not None:
        steps.append(partial(notch, rate_hz=rate_hz, mains_hz=how.notch_hz))
    if how.baseline == "lowess":
        steps.append(partial(remove_baseline, rate_hz=rate_hz, span_s=how.baseline_span_s))
    elif how.baseline == "highpass":
        steps.append(partial(highpass, rate_hz=rate_hz, corner_hz=how.highpass_hz))
    return steps


def prepare(
    signal: Signal, rate_hz: float, preprocessing: Preprocessing, threads: int = 1
) -> Signal:
    """Return the cleaned signal, (lead, sample) mV at `preprocessing.rate_hz`; always finite.

    Spikes go first, at the original rate; then the filters run at the lower of the two rates. A
    lead of zeros, or without any sample, becomes zeros. Leads of a long signal go one by one, or as
    many at a time as `threads`.

    Raises
    ------
    BadRequest
        The signal has no samples, or a rate or field is impossible.
    """
    how = preprocessing
    if len(signal) > 1 and signal.shape[1] > LONG_S * rate_hz:
        work = partial(_clean, rate_hz=rate_hz, how=how)
        made = np.concatenate(by_lead(work, signal, threads))
    else:
        made = _clean(signal, rate_hz, how)
    return amplify(made) if how.amplify else made


def _clean(signal: Signal, rate_hz: float, how: Preprocessing) -> Signal:
    """Return what `prepare` does, with the gain that the signal has."""
    steps: list[Step] = [bridged]
    if how.jump_mv is not None:
        steps.append(partial(remove_jumps, limit_mv=how.jump_mv))
    to_rate = partial(resample, rate_hz=rate_hz, new_rate_hz=how.rate_hz)
    if rate_hz > how.rate_hz:
        steps += [to_rate, *_filters(how.rate_hz, how)]
    else:
        steps += [*_filters(rate_hz, how), to_rate]
    if how.trimmed_mean is not None:
        steps.append(partial(subtract_trimmed_mean, share=how.trimmed_mean))
    for step in steps:  # one after another, so that what a long signal was before goes
        signal = step(signal)
    return signal
