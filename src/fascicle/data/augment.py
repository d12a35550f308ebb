"""Augmentation: draw the parameters from a generator, then apply a pure function.

Signals are (lead, sample) float32 in mV at the net's rate; `present` is (lead,) bool.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fascicle.errors import BadRequest
from fascicle.record import LEAD_SETS, LEADS
from fascicle.synth.noise import electrode_matrix, electrode_noise

ELECTRODE_NOISES: Mapping[str, str] = {
    "mains_mv": "mains",
    "muscle_mv": "muscle",
    "electrode_mv": "motion",
}
"""Size of a noise -> which of `synth.NOISE_KINDS` it is."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How strongly each window is varied; zeros switch a kind off (and a gain of 1).

    Parameters
    ----------
    gain
        Largest change of amplitude as a factor: 1.3 draws from 1/1.3 to 1.3 (electrode distance).
    baseline_mv
        Largest amplitude of slow wander, 0.1 to 0.5 Hz, left after cleaning (0.05 to 0.2 usual).
    noise_mv
        Largest standard deviation of white noise, of each lead its own (0.01 to 0.05 usual).
    mains_mv
        Largest root mean square of hum at 50 or 60 Hz (0.005 to 0.03 usual).
    muscle_mv
        Largest root mean square of muscle noise, 10 Hz and above (0.01 to 0.05 usual).
    electrode_mv
        Largest jolt of an electrode that moves (0.1 to 0.5 usual).
    cutout_s
        Longest gap that is blanked in all leads.
    lead_set
        Share of windows that keep only one of the published lead sets, or one lead.
    lead_drop
        Share of windows in which each lead is dropped with probability a half.
    lead_group
        Share of windows that lose all limb leads, or all chest leads.
    lead_shift_s
        Largest shift of single leads against the others, with their marks.
    lead_shift
        Share of windows with such shifts.
    stretch
        Largest change of speed as a factor, of windows whose tasks all have marks in time: 1.2
        draws from 1/1.2 to 1.2 (another heart rate; 1.1 to 1.25 usual).
    covariate_drop
        Share of windows that hide age and sex.
    other_rhythms
        Share of windows in sinus rhythm whose beats are set into another one (`data.rhythms`);
        where beats are marked.
    """

    gain: float = 1.3
    baseline_mv: float = 0.1
    noise_mv: float = 0.03
    cutout_s: float = 0.0
    lead_set: float = 0.15
    lead_drop: float = 0.1
    lead_shift_s: float = 0.0
    lead_shift: float = 0.0
    covariate_drop: float = 0.2
    mains_mv: float = 0.0
    muscle_mv: float = 0.0
    electrode_mv: float = 0.0
    lead_group: float = 0.0
    stretch: float = 1.0
    other_rhythms: float = 0.0

    def __post_init__(self) -> None:
        for name in ("gain", "stretch"):
            if not 1 <= getattr(self, name) < np.inf:
                raise BadRequest(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("baseline_mv", "noise_mv", "cutout_s", "lead_shift_s", *ELECTRODE_NOISES):
            if not 0 <= getattr(self, name) < np.inf:
                raise BadRequest(f"{name} must not be negative, not {getattr(self, name)}")
        for name in (
            "lead_set",
            "lead_drop",
            "lead_group",
            "lead_shift",
            "covariate_drop",
            "other_rhythms",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise BadRequest(f"{name} must be a share from 0 to 1, not {getattr(self, name)}")
        if self.lead_set + self.lead_drop + self.lead_group > 1:
            raise BadRequest("lead_set, lead_drop and lead_group must not exceed 1 together")


def augment_signal(
    signal: NDArray[np.float32],
    rate_hz: float,
    settings: Augmentation,
    rng: np.random.Generator,
) -> None:
    """Vary amplitude, wander, noise and gaps of (lead, sample), in place."""
    leads, samples = len(signal), signal.shape[1]
    if settings.gain > 1:
        reach = np.log(settings.gain)
        common, single = rng.uniform(-reach, reach), rng.uniform(-reach / 3, reach / 3, leads)
        signal *= np.exp(common + single).astype(np.float32)[:, None]
    if settings.baseline_mv and rng.random() < 0.5:
        clock = np.arange(samples, dtype=np.float32) / rate_hz
        frequency, phase = rng.uniform(0.1, 0.5), rng.uniform(0, 2 * np.pi)
        wander = np.sin(2 * np.pi * frequency * clock + phase).astype(np.float32)
        size = rng.uniform(-settings.baseline_mv, settings.baseline_mv, leads).astype(np.float32)
        signal += size[:, None] * wander
    if settings.noise_mv and rng.random() < 0.5:
        spread = np.float32(rng.uniform(0, settings.noise_mv))
        signal += spread * rng.standard_normal(signal.shape, dtype=np.float32)
    for name, kind in ELECTRODE_NOISES.items():
        largest = getattr(settings, name)
        if largest and samples > 1 and rng.random() < 0.5:
            signal += rng.uniform(0, largest) * lead_noise(kind, samples, rate_hz, rng)
    if settings.cutout_s and rng.random() < 0.3:
        gap = int(rng.uniform(0, settings.cutout_s) * rate_hz)
        first = int(rng.integers(0, max(samples - gap, 1)))
        signal[:, first : first + gap] = 0


def lead_noise(
    kind: str, samples: int, rate_hz: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return noise (lead, sample) that arises at the electrodes: Einthoven's law holds in it.

    Of unit root mean square in a typical lead; of "motion" one electrode's largest jolt is 1.
    """
    matrix, mains_hz = _electrodes(), (50.0, 60.0)[int(rng.integers(2))]
    drawn = electrode_noise(rng, kind, matrix.shape[1], samples, rate_hz, mains_hz)
    if kind == "motion":
        drawn *= np.sqrt(2) / np.abs(drawn).max()  # the matrix halves the power
    return matrix @ drawn.astype(np.float32)


@cache
def _electrodes() -> NDArray[np.float32]:
    return electrode_matrix(LEADS).astype(np.float32)


def draw_leads(
    present: NDArray[np.bool_], settings: Augmentation, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return which of the present leads to keep: at least one of them."""
    fewer = settings.lead_set + settings.lead_drop
    kept = present.copy()
    draw = rng.random()
    if draw < settings.lead_set:
        names = list(LEAD_SETS)[1:]
        chosen = LEAD_SETS[names[int(rng.integers(len(names)))]]
        if len(chosen) == 1:
            chosen = (str(rng.choice(np.asarray(LEADS)[present])),)
        kept &= np.isin(LEADS, chosen)
    elif draw < fewer:
        kept &= rng.random(len(kept)) < 0.5
    elif draw < fewer + settings.lead_group:
        limb = np.isin(LEADS, LEAD_SETS["6"])
        kept &= limb if rng.random() < 0.5 else ~limb
    return kept if kept.any() else present


def draw_stretch(samples: int, settings: Augmentation, rng: np.random.Generator) -> int:
    """Return how many samples of a record to lay on a window of `samples`."""
    if settings.stretch == 1:
        return samples
    reach = np.log(settings.stretch)
    return round(samples * float(np.exp(rng.uniform(-reach, reach))))


def stretch_signal(signal: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
    """Return (lead, sample) laid on so many samples, on the lines between its own."""
    before, share = _places(signal.shape[1], samples)
    after = np.minimum(before + 1, signal.shape[1] - 1)
    return signal[:, before] * (1 - share) + signal[:, after] * share


def stretch_marks(array: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
    """Return (..., sample) laid on so many samples, each the nearest of its own."""
    before, share = _places(array.shape[-1], samples)
    return array[..., np.minimum(before + (share >= 0.5), array.shape[-1] - 1)]


def _places(have: int, want: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return for each of `want` samples the one of `have` before it, and how far it is past it."""
    place = np.arange(want) * (have / want)
    before = np.minimum(place.astype(np.intp), have - 1)
    return before, (place - before).astype(np.float32)


def draw_shifts(
    leads: int, rate_hz: float, settings: Augmentation, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return a shift in samples for each lead; most are 0."""
    reach = int(settings.lead_shift_s * rate_hz)
    if not reach or rng.random() >= settings.lead_shift:
        return np.zeros(leads, dtype=np.int64)
    shifts = rng.integers(-reach, reach + 1, leads)
    return np.where(rng.random(leads) < 0.5, shifts, 0)


def shift_leads(array: NDArray[np.float32], shifts: NDArray[np.int64]) -> None:
    """Move each lead of (lead, sample) later by its shift, in place; zeros come in."""
    for row in np.flatnonzero(shifts):
        shift = int(shifts[row])
        array[row] = np.roll(array[row], shift)
        came_in = slice(None, shift) if shift > 0 else slice(shift, None)
        array[row, came_in] = 0
