"""Continuous atrial waves: saw-teeth, steady in flutter and wandering in fibrillation.

After Stridh and Sörnmo, IEEE Trans Biomed Eng 48:105, 2001: a saw-tooth of a few harmonics whose
frequency is slowly modulated; fibrillation adds several of them in different directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fascicle.synth import shapes
from fascicle.synth.shapes import Floats

HARMONICS = 4
FALL = 1.3


@dataclass(frozen=True, slots=True)
class Oscillation:
    """Drawn parameters of the saw-teeth.

    Parameters
    ----------
    hertz
        Waves per second; 4-6 in flutter, 5-8 in fibrillation.
    phase
        (tooth,) radians at time zero.
    depth, slow_hertz, slow_phase
        (tooth, modulation) size, frequency and phase of what sways each tooth's phase.
    dipole
        (tooth, 3) direction and size, mV.
    """

    hertz: float
    phase: Floats
    depth: Floats
    slow_hertz: Floats
    slow_phase: Floats
    dipole: Floats


def draw_oscillation(rng: np.random.Generator, kind: str, hertz: float) -> Oscillation:
    """Return the parameters of "flutter" (one steady tooth) or "fibrillation" (three)."""
    steady = kind == "flutter"
    strength = np.array([1.0] if steady else [1.0, 0.5, 0.4])
    teeth = len(strength)
    turn = np.ones((teeth, 3)) if steady else rng.normal(1.0, 0.3, (teeth, 3))
    size = strength * rng.uniform(0.8, 1.3, teeth)
    return Oscillation(
        hertz=hertz,
        phase=rng.uniform(0.0, 2 * np.pi, teeth),
        depth=rng.normal(0.0, 0.0 if steady else 1.2, (teeth, 3)),
        slow_hertz=rng.uniform(0.2, 1.2, (teeth, 3)),
        slow_phase=rng.uniform(0.0, 2 * np.pi, (teeth, 3)),
        dipole=size[:, None] * np.array(shapes.F[kind]) * turn,
    )


def oscillate(drawn: Oscillation, times_s: Floats) -> Floats:
    """Return the dipole (sample, 3) of continuous atrial waves."""
    total = np.zeros((len(times_s), 3))
    for tooth, dipole in enumerate(drawn.dipole):
        angle = 2 * np.pi * drawn.hertz * times_s + drawn.phase[tooth]
        sway = 2 * np.pi * drawn.slow_hertz[tooth] * times_s[:, None] + drawn.slow_phase[tooth]
        angle += np.sin(sway) @ drawn.depth[tooth]
        wave = np.sum([np.sin(k * angle) / k**FALL for k in range(1, HARMONICS + 1)], axis=0)
        total += wave[:, None] * dipole
    return total
