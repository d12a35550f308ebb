"""What a body and a room add to an ECG: breathing, wandering baseline, mains hum, muscle.

Noise arises at the electrodes and reaches the leads as potentials do, so that noisy limb leads
still obey Einthoven. Sizes are root mean square millivolts in a typical lead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

from fascicle.errors import BadRequest
from fascicle.record import Record
from fascicle.synth.shapes import Floats

NOISE_KINDS = ("baseline", "mains", "muscle", "motion", "white")
"""Kinds of `add_noise`."""

ELECTRODES = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")


@dataclass(frozen=True, slots=True)
class Noise:
    """How much is added to a clean ECG.

    Parameters
    ----------
    respiration
        Depth of the breathing that scales the whole ECG, 0..0.3; usual 0.02..0.1.
    baseline_mv
        Slow wander under 0.6 Hz; usual 0.01..0.2.
    mains_mv, mains_hz
        Power line hum and its frequency; usual 0..0.02 at 50 or 60.
    muscle_mv
        Broad noise of muscles, mostly 10..150 Hz; usual 0.002..0.03.
    """

    respiration: float = 0.04
    baseline_mv: float = 0.04
    mains_mv: float = 0.002
    mains_hz: float = 50.0
    muscle_mv: float = 0.006

    def __post_init__(self) -> None:
        sizes = (self.baseline_mv, self.mains_mv, self.muscle_mv)
        if not all(np.isfinite(size) and size >= 0 for size in sizes):
            raise BadRequest(f"noise must be finite and not negative, got {sizes} mV")
        if not 0.0 <= self.respiration <= 0.5:
            raise BadRequest(f"respiration must be within 0..0.5, got {self.respiration}")
        if not (np.isfinite(self.mains_hz) and self.mains_hz > 0):
            raise BadRequest(f"mains_hz must be positive, got {self.mains_hz}")


def electrode_matrix(leads: tuple[str, ...]) -> Floats:
    """Return (lead, electrode): a standard lead's electrodes; any other lead has its own."""
    ra, la, ll = np.eye(3)
    centre = (ra + la + ll) / 3
    limb = {
        "I": la - ra,
        "II": ll - ra,
        "III": ll - la,
        "aVR": ra - (la + ll) / 2,
        "aVL": la - (ra + ll) / 2,
        "aVF": ll - (ra + la) / 2,
    }
    others = [lead for lead in leads if lead not in limb and lead not in ELECTRODES]
    matrix = np.zeros((len(leads), len(ELECTRODES) + len(others)))
    columns = ELECTRODES + tuple(others)
    for row, lead in enumerate(leads):
        if lead in limb:
            matrix[row, :3] = limb[lead]
        else:
            matrix[row, columns.index(lead)] = 1.0
            if lead in ELECTRODES:
                matrix[row, :3] -= centre
    # Unit variance at the electrodes gives about 1 in a lead, a little less in the chest.
    unit: Floats = matrix / np.sqrt(2.0)
    return unit


def breathing(rng: np.random.Generator, depth: float, times_s: Floats) -> Floats:
    """Return the factor (sample,) by which breathing scales the ECG."""
    hertz, phase = rng.uniform(0.18, 0.32), rng.uniform(0.0, 2 * np.pi)
    factor: Floats = 1.0 + depth * np.sin(2 * np.pi * hertz * times_s + phase)
    return factor


def draw_noise(
    rng: np.random.Generator, noise: Noise, leads: tuple[str, ...], samples: int, rate_hz: float
) -> Floats:
    """Return the sum (lead, sample) of baseline, mains and muscle noise in mV."""
    matrix = electrode_matrix(leads)
    electrodes = matrix.shape[1]
    total = np.zeros((electrodes, samples))
    for kind, size in (
        ("baseline", noise.baseline_mv),
        ("mains", noise.mains_mv),
        ("muscle", noise.muscle_mv),
    ):
        drawn = electrode_noise(rng, kind, electrodes, samples, rate_hz, noise.mains_hz)
        total += size * drawn
    return matrix @ total


def add_noise(
    record: Record, snr_db: float, kind: str = "muscle", seed: int = 0, mains_hz: float = 50.0
) -> Record:
    """Return the record with noise of one kind at a signal-to-noise ratio over all its leads.

    Parameters
    ----------
    record
        Any record; samples that are NaN stay so.
    snr_db
        10 log10 of the ratio of variances, signal to noise; finite.
    kind
        One of `NOISE_KINDS`.
    seed
        Same seed, same noise.
    mains_hz
        Frequency of "mains".

    Raises
    ------
    BadRequest
        For an unknown kind, a ratio that is not finite, or a record without any variance.
    """
    if kind not in NOISE_KINDS:
        raise BadRequest(f"unknown noise {kind!r}: known are {', '.join(NOISE_KINDS)}")
    if not np.isfinite(snr_db):
        raise BadRequest(f"snr_db must be finite, got {snr_db}")
    signal = record.signal.astype(np.float64)
    valid = np.isfinite(signal)
    middle = np.where(valid, signal, 0.0).sum(axis=1) / np.maximum(valid.sum(axis=1), 1)
    power = float(np.sum(np.where(valid, signal - middle[:, None], 0.0) ** 2))
    if not power > 0:
        raise BadRequest(f"record {record.name!r} is flat: it has no signal-to-noise ratio")
    matrix = electrode_matrix(record.leads)
    rng = np.random.default_rng(seed)
    drawn = matrix @ electrode_noise(
        rng, kind, matrix.shape[1], record.samples, record.rate_hz, mains_hz
    )
    noise_power = float(np.sum(np.where(valid, drawn, 0.0) ** 2))
    scale = np.sqrt(power / noise_power / 10.0 ** (snr_db / 10.0))
    return replace(record, signal=(signal + scale * drawn).astype(np.float32))


def electrode_noise(
    rng: np.random.Generator, kind: str, electrodes: int, samples: int, rate_hz: float, mains: float
) -> Floats:
    """Return noise (electrode, sample) of one of `NOISE_KINDS`, of unit root mean square.

    That of "motion" is taken over all electrodes: few of them move.
    """
    if kind == "white":
        return rng.standard_normal((electrodes, samples))
    times = np.arange(samples) / rate_hz
    if kind == "mains":
        # What all electrodes share cancels in the leads; this is the rest.
        phase = rng.uniform(0.0, 2 * np.pi, (electrodes, 1))
        size = np.sqrt(2.0) * rng.uniform(0.5, 1.4, (electrodes, 1))
        hum: Floats = size * np.sin(2 * np.pi * mains * times + phase)
        return hum
    if kind == "baseline":
        return _wander(rng, electrodes, times)
    if kind == "motion":
        return _jolts(rng, electrodes, times)
    # Muscle: the spectrum of white noise shaped to rise from 10 Hz and fall after 100 Hz.
    length = next_fast_len(samples, real=True)
    white = rng.standard_normal((electrodes, length), dtype=np.float32)
    frequency = rfftfreq(length, 1.0 / rate_hz)
    shape = frequency / (frequency + 15.0) / (1.0 + (frequency / 110.0) ** 2)
    coloured = irfft(rfft(white) * shape.astype(np.float32), n=length)[:, :samples]
    # Some electrodes sit on tenser muscle than others.
    tension = rng.lognormal(-0.12, 0.5, (electrodes, 1))
    drawn: Floats = tension * coloured / coloured.std(axis=1, keepdims=True)
    return drawn


def _wander(rng: np.random.Generator, electrodes: int, times: Floats) -> Floats:
    """Return six slow sinusoids per electrode, computed on a coarse grid and interpolated."""
    hertz = rng.uniform(0.05, 0.55, (electrodes, 6, 1))
    phase = rng.uniform(0.0, 2 * np.pi, (electrodes, 6, 1))
    size = rng.rayleigh(1.0, (electrodes, 6, 1)) / (1.0 + (hertz / 0.2) ** 2)
    size *= np.sqrt(2.0) / np.linalg.norm(size, axis=1, keepdims=True)
    grid = np.arange(0.0, times[-1] + 0.05, 0.04)
    coarse = (size * np.sin(2 * np.pi * hertz * grid + phase)).sum(axis=1)
    return np.stack([np.interp(times, grid, row) for row in coarse])


def _jolts(rng: np.random.Generator, electrodes: int, times: Floats) -> Floats:
    """Return jolts of single electrodes, about one in five seconds and at least one.

    The skin is stretched: the potential leaps within 20 to 80 ms and creeps back in 0.1 to 0.6 s.
    """
    drawn = np.zeros((electrodes, len(times)))
    for _ in range(1 + rng.poisson(times[-1] / 5.0)):
        since = times - rng.uniform(0.0, 0.9 * times[-1])
        first = int(np.searchsorted(since, 0.0))
        leap, creep = rng.uniform(0.02, 0.08), rng.uniform(0.1, 0.6)
        jolt = np.exp(-since[first:] / creep) - np.exp(-since[first:] / leap)
        drawn[rng.integers(electrodes), first:] += (
            rng.choice((-1.0, 1.0)) * (0.3 + rng.random()) * jolt
        )
    unit: Floats = drawn / np.sqrt(np.mean(drawn**2))
    return unit
