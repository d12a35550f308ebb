"""Hints that limb electrodes were swapped, from the median beat, with the evidence in words.

The chest leads tell roughly what I and II should be (redundancy of the leads: Kors & van Herpen, Am
J Cardiol 88:396, 2001), a swap to a leg's ground leaves a lead flat, and P has a usual axis. A
softmax regression weighs these features; `benchmarks/lead-reversal` fits and measures it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fascicle.labels.sources import rows
from fascicle.record import LEADS, Record, Signal
from fascicle.signal.median_beat import BEAT_HZ, BEFORE_S, MedianBeat, median_beat

SWAPS: Mapping[str, str] = MappingProxyType(
    {
        "LA/RA": "left and right arm",
        "LA/LL": "left arm and left leg",
        "RA/LL": "right arm and left leg",
        "RA/RL": "right arm and right leg",
        "LA/RL": "left arm and right leg",
    }
)
"""Swap -> its electrodes. The legs are not here: their potentials hardly differ."""
UNDO: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = MappingProxyType(
    {
        "LA/RA": ((-1.0, 0.0), (-1.0, 1.0)),
        "LA/LL": ((0.0, 1.0), (1.0, 0.0)),
        "RA/LL": ((1.0, -1.0), (0.0, -1.0)),
    }
)
"""Leads (I, II) with and without a swap are made from each other by these rows (Einthoven 1913)."""
CHEST = LEADS[6:]
WAVES = ("P", "QRS", "T")
NOISE_MV = {"P": 0.01, "QRS": 0.03, "T": 0.02}
LEAST_P_RR_S = 0.55  # in faster rhythms the window of P holds the T before
FLAT_MV = 0.003
Features = dict[str, float]


def swapped_electrodes(record: Record) -> str | None:
    """Return which limb electrodes seem swapped and the evidence, or None without strong evidence.

    Needs leads I and II; without all of V1 to V6 left arm and left leg are hardly ever named.
    """
    beat = electrode_beat(record)
    if beat is None:
        return None
    swap = named_swap(swap_probabilities(beat), swap_thresholds(has_chest(beat)))
    return swap and f"electrodes of {SWAPS[swap]} seem swapped: {_evidence(beat, swap)}"


def named_swap(found: Mapping[str, float], thresholds: Mapping[str, float]) -> str | None:
    """Return the most probable swap if it reaches its threshold, else None."""
    swap = max(found, key=lambda name: found[name])
    return swap if found[swap] >= thresholds[swap] else None


def electrode_beat(record: Record) -> MedianBeat | None:
    """Return the median beat of I and II, and of V1 to V6 where all are there.

    None without leads I and II, under 100 Hz, with under four beats, or where I or II was lost.
    """
    there = [lead for lead in record.leads if _recorded(record.lead(lead))]
    if not {"I", "II"} <= set(there):
        return None
    leads = ("I", "II", *CHEST) if set(CHEST) <= set(there) else ("I", "II")
    return median_beat(np.stack([record.lead(lead) for lead in leads]), record.rate_hz)


def has_chest(beat: MedianBeat) -> bool:
    """Return whether a beat of `electrode_beat` holds V1 to V6."""
    return len(beat.waves) > 2


def swap_probabilities(beat: MedianBeat) -> dict[str, float]:
    """Return the probability of each of `SWAPS`, where each and none are as likely beforehand."""
    return weighed(electrode_features(beat, _maps()), _weights(has_chest(beat)))


def weighed(features: Features, weights: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Return the probabilities from features and term -> a weight for each swap."""
    known = features | {"constant": 1.0}
    odds = np.exp(np.minimum(sum(row * known[term] for term, row in weights.items()), 50.0))
    return dict(zip(SWAPS, (odds / (1.0 + odds.sum())).tolist(), strict=True))


def electrode_features(beat: MedianBeat, maps: Mapping[str, Signal]) -> Features:
    """Return what tells swapped limb electrodes, by name.

    `P_x`, `P_y`: direction of the P vector in the frontal plane (x along lead I, y down), shorter
    where it is noise; `P_2x`, `P_2y`: the same with the angle doubled. `P_fit`: correlation of
    leads I, II and III with what the chest leads predict; `P_fit_LA/RA`: the same with arms put
    back. The same for QRS and T. `I_size`: log of the rms of lead I over that of the largest.

    Parameters
    ----------
    beat
        Of leads I and II, or of these and V1 to V6.
    maps
        Wave -> (chest lead, limb lead) weights that predict I and II; used if there is V1 to V6.
    """
    found: Features = {}
    for wave, span in wave_spans(beat.rr_s).items():
        known = 0.0 if wave == "P" and beat.rr_s < LEAST_P_RR_S else 1.0
        limbs = _three(beat.waves[:2, span])
        mean = known * limbs.mean(axis=1) / (np.abs(limbs).mean() + NOISE_MV[wave])
        vector = complex(mean[0], (mean[1] + mean[2]) / np.sqrt(3))
        doubled = vector * vector / (abs(vector) + 1e-9)
        found |= {f"{wave}_x": vector.real, f"{wave}_y": vector.imag}
        found |= {f"{wave}_2x": doubled.real, f"{wave}_2y": doubled.imag}
        if has_chest(beat):
            expected = _three(maps[wave].T @ beat.waves[2:, span])
            found[f"{wave}_fit"] = known * _fit(limbs, expected, NOISE_MV[wave])
            for swap in ("LA/RA", "LA/LL"):  # with the third they add up to zero
                back = _three(_undone(beat.waves[:2, span], swap))
                found[f"{wave}_fit_{swap}"] = known * _fit(back, expected, NOISE_MV[wave])
    sizes = _sizes(beat) + FLAT_MV
    found |= dict(zip(("I_size", "II_size", "III_size"), np.log(sizes / sizes.max()), strict=True))
    return {name: float(value) for name, value in found.items()}


def _recorded(samples: Signal) -> bool:
    """Return whether a lead is not constant: swapped electrodes leave some noise in a flat lead."""
    known = samples[np.isfinite(samples)]
    return known.size > 0 and bool(np.ptp(known) > 0)


def wave_spans(rr_s: float) -> dict[str, slice]:
    """Return where P, QRS and T lie in a median beat; T ends before the next P."""
    middle = round(BEFORE_S * BEAT_HZ)
    end = max(min(0.40, rr_s - 0.25), 0.18)
    limits_s = {"P": (-0.22, -0.07), "QRS": (-0.06, 0.06), "T": (0.12, end)}
    return {
        wave: slice(middle + round(start * BEAT_HZ), middle + round(stop * BEAT_HZ))
        for wave, (start, stop) in limits_s.items()
    }


def _three(limbs: Signal) -> Signal:
    """Return leads I, II and III from I and II: all three weigh the same in sums of squares."""
    return np.concatenate([limbs, limbs[1:2] - limbs[:1]])


def _undone(limbs: Signal, swap: str) -> Signal:
    return np.asarray(np.array(UNDO[swap], dtype=np.float32) @ limbs)


def _fit(limbs: Signal, expected: Signal, noise_mv: float) -> float:
    size = np.sqrt(np.sum(limbs * limbs) * np.sum(expected * expected))
    return float(np.sum(limbs * expected) / (size + noise_mv**2 * limbs.size))


def _sizes(beat: MedianBeat) -> NDArray[np.float64]:
    """Return the rms of leads I, II and III from P to T, mV."""
    spans = wave_spans(beat.rr_s)
    limbs = _three(beat.waves[:2, spans["P"].start : spans["T"].stop])
    return np.asarray(np.sqrt(np.mean(limbs.astype(np.float64) ** 2, axis=1)))


def _evidence(beat: MedianBeat, swap: str) -> str:
    """Return the numbers that a person can check on the page."""
    spans, limbs = wave_spans(beat.rr_s), _three(beat.waves[:2])
    if swap.endswith("RL"):
        flat = 1 if swap == "RA/RL" else 2
        sizes = _sizes(beat)
        others = f"rms {sizes[flat]:.3f} mV, of lead I {sizes[0]:.2f} mV"
        return f"lead {('I', 'II', 'III')[flat]} is nearly flat ({others})"
    wave = "P and QRS" if beat.rr_s >= LEAST_P_RR_S else "QRS"
    peaks = [
        " and ".join(f"{_extreme(limbs[lead, spans[part]]):+.2f}" for part in wave.split(" and "))
        for lead in (0, 1)
    ]
    shown = f"{wave} {peaks[0]} mV in lead I, {peaks[1]} mV in lead II"
    if not has_chest(beat):
        return shown
    expected = np.concatenate([_maps()[w].T @ beat.waves[2:, spans[w]] for w in WAVES], axis=1)
    measured = np.concatenate([beat.waves[:2, spans[w]] for w in WAVES], axis=1)
    as_it_is = _fit(_three(measured), _three(expected), 0.01)
    back = _fit(_three(_undone(measured, swap)), _three(expected), 0.01)
    agree = f"correlation with what V1 to V6 predict {as_it_is:.2f}, put back {back:.2f}"
    return f"{shown}; {agree}"


def _extreme(samples: Signal) -> float:
    return float(samples[np.argmax(np.abs(samples))])


def swap_thresholds(chest: bool) -> dict[str, float]:
    """Return the probability from which each swap is named, with or without chest leads."""
    return dict(zip(SWAPS, _table(chest)["threshold"].tolist(), strict=True))


def _weights(chest: bool) -> dict[str, NDArray[np.float64]]:
    return {term: row for term, row in _table(chest).items() if term != "threshold"}


@cache
def _table(chest: bool) -> dict[str, NDArray[np.float64]]:
    """Return term -> a number for each swap: weights against electrodes in place, a threshold."""
    kind = "12" if chest else "limbs"
    return {
        row["term"]: np.array([float(row[swap]) for swap in SWAPS])
        for row in rows("electrode_swaps")
        if row["leads"] == kind
    }


@cache
def _maps() -> dict[str, Signal]:
    """Return wave -> (chest lead, limb lead) weights that predict I and II."""
    lines = rows("chest_to_limbs")
    made = {
        wave: [[float(row[lead]) for lead in ("I", "II")] for row in lines if row["wave"] == wave]
        for wave in WAVES
    }
    return {wave: np.array(weights, dtype=np.float32) for wave, weights in made.items()}
