"""Pure functions from trains of waves to twelve leads and exact marks.

A wave's onset and offset in a lead are the first and last sample at which that wave alone reaches
`EDGE` of its own largest deflection there; its peak is that largest deflection. A wave under
`VISIBLE_MV` in a lead is not marked there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fascicle.record import LEADS, Wave, WaveKind
from fascicle.synth.heart import Shape
from fascicle.synth.shapes import Floats, bumps

EDGE = 0.02
VISIBLE_MV = 0.02


@dataclass(frozen=True, slots=True)
class Train:
    """Waves of one shape, one after another.

    Parameters
    ----------
    kind
        What the waves are marked as; None for what is never marked (ST shift, pacing impulse).
    onset_s, length_s, gain, marked
        (wave,) begin, length, factor on the shape, and whether a mark is due.
    """

    kind: WaveKind | None
    shape: Shape
    onset_s: Floats
    length_s: Floats
    gain: Floats
    marked: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Windows:
    """A train sampled: index of each first sample (wave,), and mV (wave, sample, lead)."""

    first: NDArray[np.int64]
    leads: Floats


def sample(train: Train, field: Floats, rate_hz: float) -> Windows:
    """Return the waves of a train in all twelve leads, each in its own window."""
    first = np.ceil(train.onset_s * rate_hz).astype(np.int64)
    width = int(np.ceil(train.length_s.max() * rate_hz)) + 1
    times = (first[:, None] + np.arange(width)) / rate_hz
    u = (times - train.onset_s[:, None]) / train.length_s[:, None]
    leads = bumps(u, train.shape.timing) @ (train.shape.dipole @ field.T)
    return Windows(first, leads * train.gain[:, None, None])


def add(windows: Windows, signal: Floats) -> None:
    """Add the windows to `signal` (sample, lead) in place; what lies outside is cut."""
    width, samples = windows.leads.shape[1], len(signal)
    for first, leads in zip(windows.first, windows.leads, strict=True):
        start, stop = max(first, 0), min(first + width, samples)
        if start < stop:
            signal[start:stop] += leads[start - first : stop - first]


def mark(train: Train, windows: Windows, rate_hz: float, samples: int) -> list[Wave]:
    """Return a wave per lead in which it is visible; a boundary outside the record is None."""
    if train.kind is None:
        return []
    size = np.abs(windows.leads)
    top = size.max(axis=1)
    inside = size >= np.maximum(EDGE * top, 1e-9)[:, None, :]
    width = size.shape[1]
    onset = windows.first[:, None] + inside.argmax(axis=1)
    offset = windows.first[:, None] + width - 1 - inside[:, ::-1].argmax(axis=1)
    peak = windows.first[:, None] + size.argmax(axis=1)
    inner = [(index >= 0) & (index < samples) for index in (onset, peak, offset)]
    shown = (top >= VISIBLE_MV) & train.marked[:, None] & np.logical_or.reduce(inner)

    def seconds(index: int) -> float | None:
        return index / rate_hz if 0 <= index < samples else None

    return [
        Wave(
            LEADS[lead],
            train.kind,
            seconds(int(onset[wave, lead])),
            seconds(int(peak[wave, lead])),
            seconds(int(offset[wave, lead])),
        )
        for wave, lead in np.argwhere(shown)
    ]


def r_peaks(windows: Windows) -> NDArray[np.int64]:
    """Return the sample of each wave's largest root mean square over the twelve leads."""
    peaks: NDArray[np.int64] = windows.first + (windows.leads**2).sum(axis=2).argmax(axis=1)
    return peaks
