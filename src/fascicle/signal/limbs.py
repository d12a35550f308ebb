"""Whether the limb leads agree with each other."""

from __future__ import annotations

import numpy as np

from fascicle.record import Record, Signal
from fascicle.signal.filters import bandpass

# Each limb lead from leads I and II (Einthoven 1913, Goldberger 1942).
FROM_I_II = {
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}
MISMATCH_SHARE = 0.7
MISMATCH_MV = 0.08


def limb_lead_mismatch(record: Record) -> str | None:
    """Return a warning when a limb lead is not what I and II make it, else None.

    Leads III = II - I, aVR = -(I + II) / 2, aVL = I - II / 2 and aVF = II - I / 2 hold for any ECG.
    A lead is named when the rms of the difference (1-40 Hz) is over 0.08 mV and over 70 % of the
    larger rms of the two: a lead that is inverted or another one, not one that was sampled some
    milliseconds later, as the leads of LUDB were.
    """
    if not {"I", "II"} <= set(record.leads):
        return None
    named = [lead for lead in FROM_I_II if lead in record.leads and lead not in record.derived]
    rows = np.stack([record.lead(lead) for lead in ("I", "II", *named)])
    known = np.isfinite(rows).all(axis=0)
    if not known.any() or record.rate_hz <= 2:
        return None
    clean = bandpass(rows, record.rate_hz, 1.0, 40.0)[:, known]
    wrong = []
    for lead, measured in zip(named, clean[2:], strict=True):
        first, second = FROM_I_II[lead]
        expected = first * clean[0] + second * clean[1]
        difference, size = _rms(measured - expected), max(_rms(measured), _rms(expected))
        if difference > max(MISMATCH_MV, MISMATCH_SHARE * size):
            wrong.append(lead)
    return f"leads I and II do not make up lead {', '.join(wrong)}" if wrong else None


def _rms(samples: Signal) -> float:
    return float(np.sqrt(np.mean(samples * samples)))
