"""The preprocessing chain: a frozen value that a bundle stores, and what applies it."""

from __future__ import annotations

import math
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


def _filtered(signal: Signal, rate_hz: float, how: Preprocessing) -> Signal:
    """Return the signal low-passed and without its baseline."""
    if how.lowpass_hz is not None:
        signal = lowpass(signal, rate_hz, *how.lowpass_hz)
    if how.notch_hz is not None:
        signal = notch(signal, rate_hz, how.notch_hz)
    if how.baseline == "lowess":
        signal = remove_baseline(signal, rate_hz, how.baseline_span_s)
    elif how.baseline == "highpass":
        signal = highpass(signal, rate_hz, how.highpass_hz)
    return signal


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
    signal = bridged(signal)
    if how.jump_mv is not None:
        signal = remove_jumps(signal, how.jump_mv)
    if rate_hz > how.rate_hz:
        signal = _filtered(resample(signal, rate_hz, how.rate_hz), how.rate_hz, how)
    else:
        signal = resample(_filtered(signal, rate_hz, how), rate_hz, how.rate_hz)
    if how.trimmed_mean is not None:
        signal = subtract_trimmed_mean(signal, how.trimmed_mean)
    return signal
