"""Synthetic sinus rhythm beside LUDB's marked records: the same measure, medians within ranges."""

from __future__ import annotations

import ast
import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fascicle.io import read
from fascicle.record import LEADS, Record, Signal
from fascicle.synth import synthesize

Quartiles = dict[str, tuple[float, float, float]]


def measure(record: Record) -> dict[str, float]:
    """Return medians over beats and leads: heart rate, P, PR, QRS, QT, T, and R of every lead."""
    found: dict[str, list[float]] = {key: [] for key in ("rr", "p", "pr", "qrs", "qt", "t")}
    heights: dict[str, float] = {}
    for lead in LEADS:
        waves = [wave for wave in record.waves if wave.lead == lead]
        peaks = [w.peak_s for w in waves if w.kind == "QRS" and w.peak_s is not None]
        found["rr"] += np.diff(peaks).tolist()
        tops = []
        for wave, after in pairwise([*waves, None]):
            if wave is None or wave.onset_s is None or wave.offset_s is None:
                continue
            found[wave.kind.lower()].append(wave.offset_s - wave.onset_s)
            if wave.kind == "P" and after and after.kind == "QRS" and after.onset_s is not None:
                found["pr"].append(after.onset_s - wave.onset_s)
            if wave.kind != "QRS":
                continue
            if after and after.kind == "T" and after.offset_s is not None:
                found["qt"].append(after.offset_s - wave.onset_s)
            begin, end = (round(time * record.rate_hz) for time in (wave.onset_s, wave.offset_s))
            window = record.lead(lead)[begin : end + 1]
            tops.append(float(window.max() - window[0]))
        if tops:
            heights[f"R {lead}"] = float(np.median(tops))
    result = {key: 1000.0 * float(np.median(value)) for key, value in found.items() if value}
    return {"bpm": 60000.0 / result.pop("rr"), **result, **heights}


def table(rows: list[dict[str, float]]) -> Quartiles:
    """Return the quartiles of every measure."""
    quartiles: Quartiles = {}
    for key in rows[0]:
        low, middle, high = np.quantile([row[key] for row in rows if key in row], [0.25, 0.5, 0.75])
        quartiles[key] = (float(low), float(middle), float(high))
    return quartiles


def ordinary(row: dict[str, str]) -> bool:
    """Whether an LUDB record has sinus rhythm, narrow QRS and no pacing."""
    conduction = row["Conduction abnormalities"].lower()
    return (
        "inus" in row["Rhythms"]
        and "block" not in conduction.replace("hemiblock", "")
        and "delay" not in conduction
        and not row["Cardiac pacing"].strip()
        and not row["Extrasystolies"].strip()
    )


@pytest.fixture(scope="module")
def both(data_dir: Path) -> tuple[Quartiles, Quartiles]:
    folder = data_dir / "ludb"
    with (folder / "ludb.csv").open(encoding="utf-8") as file:
        names = [row["ID"].strip() for row in csv.DictReader(file) if ordinary(row)]
    paths = [folder / "data" / f"{name}.hea" for name in names]
    real = [measure(read(path)) for path in paths if path.is_file()]
    assert len(real) > 50
    ours = [
        measure(synthesize("sinus", seed=seed, heart_rate_bpm=row["bpm"]))
        for seed, row in enumerate(real)
    ]
    return table(real), table(ours)


def test_intervals_agree_with_ludb(
    both: tuple[Quartiles, Quartiles],
) -> None:
    real, ours = both
    for key, tolerance_ms in (("p", 8.0), ("pr", 10.0), ("qrs", 10.0), ("qt", 12.0), ("t", 15.0)):
        assert ours[key][1] == pytest.approx(real[key][1], abs=tolerance_ms), key
    assert ours["bpm"][1] == pytest.approx(real["bpm"][1], abs=1.5)


def test_spread_of_intervals_is_neither_nil_nor_wild(
    both: tuple[Quartiles, Quartiles],
) -> None:
    real, ours = both
    for key in ("p", "pr", "qrs", "qt", "t"):
        spread = ours[key][2] - ours[key][0]
        assert 0.5 < spread / (real[key][2] - real[key][0]) < 1.6, key


def test_limb_leads_are_as_tall_as_in_ludb(
    both: tuple[Quartiles, Quartiles],
) -> None:
    # LUDB's chest leads are half as tall as other collections', so limb leads only.
    real, ours = both
    for lead in ("I", "II", "III", "aVF"):
        assert 0.6 < ours[f"R {lead}"][1] / real[f"R {lead}"][1] < 1.6, lead


def heights(signal: Signal) -> Signal:
    """Return the median over 2.4 s windows of highest and lowest value of each lead (24,)."""
    centred = signal - np.median(signal, axis=1, keepdims=True)
    windows = centred[:, :4800].reshape(12, 4, 1200)
    return np.concatenate(
        [np.median(windows.max(axis=2), axis=1), np.median(windows.min(axis=2), axis=1)]
    )


@pytest.fixture(scope="module")
def tall(data_dir: Path) -> tuple[Signal, Signal]:
    folder = data_dir / "ptbxl"
    with (folder / "ptbxl_database.csv").open(encoding="utf-8") as file:
        normal = [
            row["filename_hr"]
            for row in csv.DictReader(file)
            if ast.literal_eval(row["scp_codes"]).get("NORM", 0) >= 100
        ]
    paths = [folder / f"{name}.hea" for name in normal]
    real = [heights(read(path).signal) for path in paths if path.is_file()][:120]
    assert len(real) > 50
    ours = [heights(synthesize("sinus", seed=seed).signal) for seed in range(120)]
    return np.median(real, axis=0), np.median(ours, axis=0)


def test_voltages_agree_with_normal_records_of_ptbxl(
    tall: tuple[Signal, Signal],
) -> None:
    real, ours = tall
    large = np.abs(real) > 0.3
    ratio = ours[large] / real[large]
    assert large.sum() >= 12
    assert np.all((ratio > 0.6) & (ratio < 1.6)), dict(
        zip(np.flatnonzero(large), ratio, strict=True)
    )
