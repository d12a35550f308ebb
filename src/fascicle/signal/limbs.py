"""Whether the limb leads agree with each other, and hints that electrodes were swapped."""

from __future__ import annotations

import numpy as np
from scipy.signal import find_peaks

from fascicle.record import Record, Signal
from fascicle.signal.filters import bandpass
from fascicle.signal.resample import resample

# Each limb lead from leads I and II (Einthoven 1913, Goldberger 1942).
FROM_I_II = {
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}
MISMATCH_SHARE = 0.7
MISMATCH_MV = 0.08
P_MV, QRS_MV = 0.01, 0.02  # mean over the wave's window
BEAT_HZ, LEAST_HZ = 250.0, 100.0
LEAST_BEATS, MOST_BEATS = 4, 500
LEAST_RR_S = 0.55  # in faster rhythms the window of P holds the T before
BEFORE_S, AFTER_S = 0.3, 0.45  # around the QRS


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


def swapped_limb_leads(record: Record) -> str | None:
    """Return which limb electrodes seem swapped, or None without strong evidence.

    "left and right arm": P and QRS of lead I point down, lead I runs against V6 whose QRS points up
    (in dextrocardia V6 is small or down too), and P of II is less negative. "right arm and left
    leg": P, QRS and T of lead II point down while P and QRS of aVR point up. Swaps that leave such
    signs out, as in atrial fibrillation, and rates over 110 bpm are not seen.
    """
    needed = ("I", "II", "aVR", "V6")
    if not set(needed) <= set(record.leads) or record.rate_hz < LEAST_HZ:
        return None
    signal = np.stack([record.lead(lead) for lead in needed])
    if np.isnan(signal).all(axis=1).any():
        return None
    beat = _median_beat(signal, record.rate_hz)
    if beat is None:
        return None
    at = round(BEFORE_S * BEAT_HZ)
    p = beat[:, at - round(0.22 * BEAT_HZ) : at - round(0.07 * BEAT_HZ)].mean(axis=1)
    qrs = beat[:, at - round(0.06 * BEAT_HZ) : at + round(0.06 * BEAT_HZ)]
    t = beat[:, at + round(0.12 * BEAT_HZ) : at + round(0.4 * BEAT_HZ)].mean(axis=1)
    area = qrs.mean(axis=1)
    one, two, avr, v6 = range(4)
    alike = float(qrs[one] @ qrs[v6]) / max(_rms(qrs[one]) * _rms(qrs[v6]) * qrs.shape[1], 1e-6)
    mirrored = p[one] < -P_MV and area[one] < -QRS_MV and alike < -0.5 and area[v6] > 0
    if mirrored and p[two] > p[one]:
        return "left and right arm"
    inverted = p[two] < -2 * P_MV and area[two] < -QRS_MV and t[two] < -QRS_MV
    if inverted and p[avr] > P_MV and area[avr] > 0:
        return "right arm and left leg"
    return None


def _median_beat(signal: Signal, rate_hz: float) -> Signal | None:
    """Return the median beat (lead, sample) at `BEAT_HZ`, level at zero; None if few or fast."""
    at_rate = resample(signal, rate_hz, BEAT_HZ)
    wide = bandpass(at_rate, BEAT_HZ, 0.5, 40.0)
    energy = np.abs(bandpass(at_rate, BEAT_HZ, 8.0, 25.0)).sum(axis=0)
    energy = np.convolve(energy, np.full(25, 1 / 25), mode="same")
    peaks, _ = find_peaks(energy, distance=75, height=0.35 * np.quantile(energy, 0.98))
    before, after = round(BEFORE_S * BEAT_HZ), round(AFTER_S * BEAT_HZ)
    whole = peaks[(peaks >= before) & (peaks <= wide.shape[1] - after)]
    if len(whole) < LEAST_BEATS or np.median(np.diff(peaks)) < LEAST_RR_S * BEAT_HZ:
        return None
    whole = whole[:MOST_BEATS]  # of a long record
    beats = wide[:, whole[:, None] + np.arange(-before, after)]
    beat = np.median(beats, axis=1)
    # Level between P and QRS, and in front of P: a wave in one of them does not shift the median.
    level = np.concatenate([beat[:, :10], beat[:, before - 22 : before - 15]], axis=1)
    return np.asarray(beat - np.median(level, axis=1, keepdims=True), dtype=np.float32)


def _rms(samples: Signal) -> float:
    return float(np.sqrt(np.mean(samples * samples)))
