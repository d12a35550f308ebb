"""The heart's electrical axis in the frontal plane, from the net QRS areas of leads I and aVF."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fascicle.record import Measure

Floats = NDArray[np.float64]

BASELINE_S = 0.02  # the end of the PR segment, taken as zero potential
SMALLEST_MV_S = 0.001  # a net area under 0.01 mV over 100 ms has no direction


def frontal_axis(
    signal: Mapping[str, NDArray[np.float32]], rate_hz: float, onset_s: Floats, offset_s: Floats
) -> tuple[Measure | None, str]:
    """Return the QRS axis in degrees, -180..180, and "" or the reason why there is none.

    The axis is `atan2(2 / sqrt(3) * aVF, I)` of the median net areas over beats; the factor makes
    up for the shorter lead vector of an augmented lead (Novosel 1999). The standard deviation is
    the circular one.

    Parameters
    ----------
    signal
        Cleaned leads by name, mV, (sample,).
    rate_hz
        Samples per second.
    onset_s, offset_s
        Global QRS boundaries of the beats to measure, (beat,).
    """
    missing = [lead for lead in ("I", "aVF") if lead not in signal]
    if missing:
        return None, f"needs leads I and aVF; missing {' and '.join(missing)}"
    across = _net_areas(signal["I"], rate_hz, onset_s, offset_s)
    down = _net_areas(signal["aVF"], rate_hz, onset_s, offset_s) * 2 / np.sqrt(3)
    valid = np.isfinite(across) & np.isfinite(down)
    across, down = across[valid], down[valid]
    if across.size == 0:
        return None, "no QRS to measure"
    x, y = float(np.median(across)), float(np.median(down))
    if np.hypot(x, y) < SMALLEST_MV_S:
        return None, "the QRS has no net area in I and aVF, so its direction is indeterminate"
    angles = np.arctan2(down, across)
    resultant = min(1.0, max(1e-12, float(np.abs(np.exp(1j * angles).mean()))))
    scatter = float(np.degrees(np.sqrt(abs(2 * np.log(resultant)))))  # never -0
    return Measure(float(np.degrees(np.arctan2(y, x))), scatter, int(across.size)), ""


def _net_areas(
    row: NDArray[np.float32], rate_hz: float, onset_s: Floats, offset_s: Floats
) -> Floats:
    """Return per beat the area between the signal and its level before the QRS, mV s."""
    areas = np.full(onset_s.size, np.nan)
    before = max(1, round(BASELINE_S * rate_hz))
    for index, (onset, offset) in enumerate(zip(onset_s, offset_s, strict=True)):
        start, stop = round(onset * rate_hz), round(offset * rate_hz) + 1
        level = row[max(0, start - before) : start]
        if level.size and stop <= row.size:
            areas[index] = (row[start:stop] - np.median(level)).sum(dtype=np.float64) / rate_hz
    return areas
