"""Known waves and the probability maps that a perfect net would make of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from fascicle.record import WAVE_KINDS, Wave

Map = NDArray[np.float32]


COLUMNS = {
    ".": (0.91, 0.03, 0.03, 0.03),
    "P": (0.03, 0.91, 0.03, 0.03),
    "Q": (0.03, 0.03, 0.91, 0.03),
    "T": (0.03, 0.03, 0.03, 0.91),
    "?": (0.32, 0.44, 0.00, 0.24),  # P, hardly
    "i": (0.56, 0.40, 0.02, 0.02),  # none, but P is possible
    "u": (0.56, 0.02, 0.02, 0.40),  # none, but T is possible
}
"""Probabilities of none, P, QRS and T that a letter stands for."""


def _spell(text: str) -> Map:
    """Return the map of a text in which a letter stands for 20 ms (5 samples at 250 Hz)."""
    return np.repeat(np.array([COLUMNS[letter] for letter in text], np.float32).T, 5, axis=1)


def _draw(waves: Sequence[Wave], samples: int, rate_hz: float, blur: float = 1.0) -> Map:
    """Return (4, sample): one-hot classes of the waves, blurred by `blur` samples."""
    hot = np.zeros((4, samples))
    hot[0] = 1
    for wave in waves:
        assert wave.onset_s is not None
        assert wave.offset_s is not None
        inside = slice(int(np.ceil(wave.onset_s * rate_hz)), int(wave.offset_s * rate_hz) + 1)
        hot[:, inside] = 0
        hot[1 + WAVE_KINDS.index(wave.kind), inside] = 1
    return np.asarray(gaussian_filter1d(hot, blur, axis=1), dtype=np.float32)


def _sinus(bpm: float, duration_s: float, lead: str | None = "II") -> list[Wave]:
    """Return P, QRS and T of a regular rhythm, shortened at high rates."""
    rr_s = 60 / bpm
    pr_s = min(0.16, 0.35 * rr_s)
    p_s = min(0.1, 0.6 * pr_s)
    qt_s = min(0.4 * min(rr_s, 1.0) ** 0.5, rr_s - pr_s - 0.01)
    waves = []
    for onset in np.arange(0.5, duration_s - 0.6, rr_s).tolist():
        p = onset - pr_s
        waves += [
            Wave(lead, "P", p, p + p_s / 2, p + p_s),
            Wave(lead, "QRS", onset, onset + 0.04, onset + 0.08),
            Wave(lead, "T", onset + 0.5 * qt_s, onset + 0.8 * qt_s, onset + qt_s),
        ]
    return waves


@pytest.fixture
def draw() -> Callable[..., Map]:
    return _draw


@pytest.fixture
def sinus() -> Callable[..., list[Wave]]:
    return _sinus


@pytest.fixture(scope="session")
def spell() -> Callable[[str], Map]:
    return _spell
