"""Shapes of waves as sums of bumps of the heart's dipole, and the lead field.

A bump has compact support: b(v) = (1 - v^2)^1.5 for |v| < 1 and exactly 0 elsewhere, with
v = (u - centre) / left before the centre and (u - centre) / right after it; u runs 0..1 over the
wave. Rows of a table are (centre, left, right, x, y, z); the dipole points x to the left arm, y to
the feet, z to the back, in mV of Frank's orthogonal leads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = tuple[tuple[float, float, float, float, float, float], ...]

DOWER: dict[str, tuple[float, float, float]] = {
    "I": (0.632, -0.235, 0.059),
    "II": (0.235, 1.066, -0.132),
    "V1": (-0.515, 0.157, -0.917),
    "V2": (0.044, 0.164, -1.387),
    "V3": (0.882, 0.098, -1.277),
    "V4": (1.213, 0.127, -0.601),
    "V5": (1.125, 0.127, -0.086),
    "V6": (0.831, 0.076, 0.230),
}
"""From Frank X, Y, Z to leads (Dower, Machado and Osborne, Clin Cardiol 3:87, 1980)."""

P: dict[str, Rows] = {
    "normal": ((0.38, 0.38, 0.36, 0.025, 0.060, -0.048), (0.62, 0.36, 0.38, 0.055, 0.045, 0.045)),
    "ectopic": ((0.40, 0.40, 0.36, 0.050, -0.030, -0.05), (0.63, 0.37, 0.37, 0.06, -0.050, 0.05)),
}
"""Right atrium, then left."""

QRS: dict[str, Rows] = {
    "normal": (
        (0.19, 0.19, 0.14, -0.16, -0.11, -0.28),
        (0.43, 0.27, 0.20, 0.66, 0.34, -0.36),
        (0.49, 0.20, 0.26, 0.70, 0.42, 0.66),
        (0.68, 0.25, 0.30, -0.10, 0.00, 0.55),
    ),
    "lvh": (
        (0.21, 0.21, 0.13, -0.26, -0.13, -0.34),
        (0.42, 0.28, 0.20, 1.25, 0.70, 0.20),
        (0.48, 0.18, 0.26, 0.70, 0.10, 0.75),
        (0.62, 0.20, 0.26, 0.20, 0.05, 1.00),
    ),
    "lbbb": (
        (0.18, 0.18, 0.20, 0.20, 0.08, -0.18),
        (0.35, 0.24, 0.23, 0.68, 0.12, 1.00),
        (0.52, 0.26, 0.26, 0.16, 0.08, 1.40),
        (0.67, 0.23, 0.28, 0.68, -0.06, 0.62),
    ),
    "rbbb": (
        (0.12, 0.12, 0.12, -0.12, -0.10, -0.28),
        (0.27, 0.15, 0.14, 0.92, 0.44, -0.12),
        (0.37, 0.14, 0.17, 0.42, 0.28, 0.50),
        (0.64, 0.24, 0.36, -0.48, -0.06, -0.74),
    ),
    "ectopic": (
        (0.28, 0.28, 0.34, 0.50, 1.10, 0.60),
        (0.52, 0.30, 0.32, 0.45, 1.00, 1.30),
        (0.78, 0.26, 0.22, 0.10, -0.20, 0.10),
    ),
    "paced": (
        (0.25, 0.25, 0.30, 0.30, -0.50, 0.50),
        (0.48, 0.28, 0.30, 0.45, -0.90, 1.00),
        (0.72, 0.25, 0.28, 0.35, -0.40, 0.70),
    ),
}
"""Septum, apex, free wall, base; a late right ventricle in RBBB, a slow left one in LBBB.

Normal, LVH and the bundle branch blocks follow median beats of PTB-XL (Wagner et al. 2020).
"""

T: dict[str, Rows] = {
    "normal": ((0.54, 0.54, 0.38, 0.15, 0.09, -0.13), (0.65, 0.40, 0.35, 0.15, 0.09, -0.07)),
    "rbbb": ((0.58, 0.58, 0.42, 0.23, 0.13, 0.12),),
    "strain": ((0.62, 0.62, 0.38, -0.20, -0.02, -0.34),),
    "inferior": ((0.55, 0.55, 0.40, 0.05, 0.36, -0.06),),
    "anterior": ((0.55, 0.55, 0.40, 0.22, 0.05, -0.40),),
    "depression": ((0.66, 0.50, 0.34, 0.13, 0.10, -0.12),),
    # Only how it runs in time: the direction of "wide" opposes the QRS before it.
    "wide": ((0.57, 0.57, 0.43, 1.0, 0.0, 0.0),),
}
"""Repolarisation: rises slowly and falls fast."""

ST: dict[str, Rows] = {
    "anterior": ((0.45, 0.45, 0.55, 0.10, 0.0, -0.22),),
    "inferior": ((0.45, 0.45, 0.55, -0.08, 0.22, 0.02),),
    "depression": ((0.34, 0.34, 0.52, -0.14, -0.12, 0.04),),
    "strain": ((0.45, 0.45, 0.55, -0.05, -0.02, -0.06),),
    "wide": ((0.35, 0.35, 0.65, 1.0, 0.0, 0.0),),
}
"""Current of injury from the end of QRS to the end of T; not a wave, so never marked."""

F: dict[str, tuple[float, float, float]] = {
    "fibrillation": (-0.008, 0.022, -0.035),
    "flutter": (0.02, -0.11, -0.04),
}
"""Directions of fibrillatory and flutter waves: largest in V1, and in II, III, aVF."""

SPIKE: Rows = ((0.5, 0.5, 0.5, 0.25, 0.9, 0.3),)
"""The pacemaker's impulse."""


def lead_field(gains: Floats) -> Floats:
    """Return the matrix (12, 3) from dipole to leads; limb leads obey Einthoven exactly.

    Parameters
    ----------
    gains
        (8,) factors on I, II, V1..V6: a body is not Dower's mean torso; usually 0.8..1.2.
    """
    rows = np.array(list(DOWER.values())) * gains[:, None]
    one, two = rows[0], rows[1]
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return np.vstack([*limb, rows[2:]])


def bumps(u: Floats, timing: Floats) -> Floats:
    """Return each bump's height at wave time `u`; shape (*u.shape, bump).

    Parameters
    ----------
    u
        Time since the wave's onset as a fraction of its length.
    timing
        (bump, 3) centre, left and right half-width, as fractions of the wave's length.
    """
    distance = u[..., None] - timing[:, 0]
    v = distance / np.where(distance < 0, timing[:, 1], timing[:, 2])
    height = np.clip(1.0 - v * v, 0.0, None)
    return height * np.sqrt(height)
