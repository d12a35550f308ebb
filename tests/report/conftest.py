"""A twelve-lead ECG of Gaussian waves at 75 bpm, and the findings that belong to it."""

from __future__ import annotations

import numpy as np
import pytest

from fascicle.record import (
    INTERVALS,
    LEADS,
    Beat,
    BundleInfo,
    Diagnosis,
    Findings,
    LeadQuality,
    Measure,
    Record,
    Wave,
    WaveKind,
)

RATE_HZ = 250.0
BEATS_S = tuple(0.5 + 0.8 * beat for beat in range(12))
SHAPES: tuple[tuple[WaveKind, float, float, float], ...] = (
    ("P", -0.16, 0.05, 0.15),
    ("QRS", 0.0, 0.04, 1.0),
    ("T", 0.3, 0.09, 0.3),
)
"""Kind, time after R in s, half width in s, height in mV."""


@pytest.fixture
def record() -> Record:
    times = np.arange(round(10 * RATE_HZ)) / RATE_HZ
    wave = np.zeros_like(times)
    for beat in BEATS_S:
        for _, after, half, height in SHAPES:
            wave += height * np.exp(-0.5 * ((times - beat - after) / (half / 3)) ** 2)
    signal = np.stack([wave] * len(LEADS)).astype(np.float32)
    signal[LEADS.index("aVR")] *= -1
    return Record("rec-1", signal, RATE_HZ, LEADS, age=63.0, sex="F")


@pytest.fixture
def findings() -> Findings:
    waves = tuple(
        Wave(lead, kind, beat + after - half, beat + after, beat + after + half, 0.9)
        for lead in (*LEADS, None)
        for beat in BEATS_S
        for kind, after, half, _ in SHAPES
    )
    beats = tuple(Beat(beat, "V" if i == 4 else "N", 0.95) for i, beat in enumerate(BEATS_S))
    intervals: dict[str, Measure | None] = dict.fromkeys(INTERVALS)
    intervals.update(heart_rate_bpm=Measure(75.0, 0.0, 12), axis_deg=Measure(-30.0, 1.0, 12))
    return Findings(
        name="rec-1",
        leads=LEADS,
        rate_hz=RATE_HZ,
        duration_s=10.0,
        age=63.0,
        sex="F",
        bundle=BundleInfo("default", "1.0", "0" * 64),
        quality={
            lead: LeadQuality("poor", ("noisy",)) if lead == "V3" else LeadQuality("good")
            for lead in LEADS
        },
        waves=waves,
        beats=beats,
        intervals=intervals,
        diagnoses=(
            Diagnosis("SR", "SCP-ECG", "sinus rhythm", 0.7, 0.5),
            Diagnosis("PVC", "SCP-ECG", "ventricular premature complex", 0.8, 0.5),
            Diagnosis("AFIB", "SCP-ECG", "atrial fibrillation", 0.1, 0.5),
            Diagnosis("CD", "PTB-XL superclass", "Conduction disturbance", 0.6, 0.5),
        ),
        warnings=("qt_ms: no T wave was sure enough",),
    )
