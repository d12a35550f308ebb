"""The two tables of `fascicle.signal.electrodes`: maps, weights and thresholds from beats."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from placements import IN_PLACE, PLACEMENTS, Case, limbs_only
from sklearn.linear_model import LogisticRegression

from fascicle.record import Signal
from fascicle.signal.electrodes import (
    CHEST,
    LEAST_P_RR_S,
    NOISE_MV,
    SWAPS,
    WAVES,
    electrode_features,
    named_swap,
    wave_spans,
    weighed,
)
from fascicle.signal.median_beat import MedianBeat

RIDGE, STRENGTH = 1e-3, 1.0
START, MOST_FALSE = 0.9, 0.01
"""A swap is named from this probability on, or from where false alarms are this rare."""
DOUBLED = tuple(f"{wave}_{axis}" for wave in WAVES for axis in ("2x", "2y"))
AXES = tuple(f"{wave}_{axis}" for wave in WAVES for axis in ("x", "y"))
FITS = tuple(f"{wave}_fit{of}" for wave in WAVES for of in ("", "_LA/RA", "_LA/LL"))
SIZES = ("I_size", "II_size", "III_size")
TERMS = {"12": (*FITS, "P_x", "P_y", *SIZES), "limbs": (*AXES, *DOUBLED, *SIZES)}
"""Leads -> the features that are weighed."""


def fit_tables(train: Sequence[Case], choose: Sequence[Case], tables: Path) -> None:
    """Fit on the first cases, choose thresholds on the others, write both tables."""
    maps = fit_maps([b for case in train if (b := case.beats[IN_PLACE]) is not None])
    lines = []
    for leads, terms in TERMS.items():
        known, held = (train, choose) if leads == "12" else (limbs_only(train), limbs_only(choose))
        weights = fit_weights(known, terms, maps)
        found = [
            weighed(electrode_features(beat, maps), weights)
            for case in held
            if (beat := case.beats[IN_PLACE]) is not None
        ]
        for term, row in (weights | {"threshold": thresholds(found)}).items():
            lines.append([leads, term, *(f"{value:.5g}" for value in row)])
    _write(tables / "electrode_swaps.csv", ["leads", "term", *SWAPS], lines)
    rows = [
        [wave, chest, *(f"{value:.4f}" for value in maps[wave][place])]
        for wave in WAVES
        for place, chest in enumerate(CHEST)
    ]
    _write(tables / "chest_to_limbs.csv", ["wave", "chest", "I", "II"], rows)


def fit_maps(beats: Sequence[MedianBeat]) -> dict[str, Signal]:
    """Return wave -> (chest lead, limb lead) by least squares over samples, each beat as heavy."""
    made = {}
    for wave in WAVES:
        squares, products = np.zeros((6, 6)), np.zeros((6, 2))
        for beat in beats:
            if wave == "P" and beat.rr_s < LEAST_P_RR_S:
                continue
            limbs, chest = np.split(beat.waves[:, wave_spans(beat.rr_s)[wave]], [2])
            heavy = max(float(np.mean(limbs * limbs)), 4 * NOISE_MV[wave] ** 2)
            squares += chest @ chest.T / heavy
            products += chest @ limbs.T / heavy
        ridge = RIDGE * np.trace(squares) * np.eye(6)
        made[wave] = np.linalg.solve(squares + ridge, products).astype(np.float32)
    return made


def fit_weights(
    cases: Sequence[Case], terms: Sequence[str], maps: Mapping[str, Signal]
) -> dict[str, NDArray[np.float64]]:
    """Return term -> a weight for each swap, against electrodes in place: softmax regression."""
    known, truth = [], []
    for case in cases:
        for place, placement in enumerate(PLACEMENTS):
            beat = case.beats[placement]
            if beat is not None:
                features = electrode_features(beat, maps)
                known.append([features[term] for term in terms])
                truth.append(place)
    rows = np.array(known)
    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    model = LogisticRegression(C=STRENGTH, max_iter=1000).fit((rows - mean) / spread, truth)
    weights = (model.coef_ - model.coef_[:1])[1:] / spread  # (swap, term)
    constant = (model.intercept_ - model.intercept_[0])[1:] - weights @ mean
    return {"constant": constant} | dict(zip(terms, weights.T, strict=True))


def thresholds(found: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
    """Return a threshold for each swap from records in place, of which few are named."""
    chosen = dict.fromkeys(SWAPS, START)
    while True:
        named = [named_swap(each, chosen) for each in found]
        false = {s: [p[s] for p, n in zip(found, named, strict=True) if n == s] for s in SWAPS}
        if sum(map(len, false.values())) <= MOST_FALSE * len(found):
            return np.array(list(chosen.values()))
        most = max(false, key=lambda swap: len(false[swap]))
        chosen[most] = min(false[most]) + 1e-4


def _write(path: Path, head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([head, *lines])
