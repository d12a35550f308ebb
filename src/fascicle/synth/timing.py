"""When atria and ventricles beat: one function per rule, each from a generator and a rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fascicle.record import BeatKind
from fascicle.synth.heart import Heart
from fascicle.synth.shapes import Floats

LEAD_IN_S = 2.5
"""Beats start this long before the record and end this long after it, so its edges are ordinary."""
CONDUCTED = np.arange(2, 6)
"""Flutter waves for one beat."""


@dataclass(frozen=True, slots=True)
class Atrial:
    """One P wave: onset, and whether it comes from an ectopic focus."""

    onset_s: float
    ectopic: bool = False


@dataclass(frozen=True, slots=True)
class Ventricular:
    """One QRS: onset, AAMI class, annotator's symbol; `ectopic` ones are wide."""

    onset_s: float
    kind: BeatKind = "N"
    symbol: str = "N"
    ectopic: bool = False


@dataclass(frozen=True, slots=True)
class Timing:
    """All beats of a record, and the frequency of continuous atrial waves (0 where none)."""

    atria: tuple[Atrial, ...]
    ventricles: tuple[Ventricular, ...]
    atrial_hz: float = 0.0


def pr_interval_s(heart: Heart, bpm: float) -> float:
    """Return the PR interval at a rate: it shortens as the heart speeds up, and always fits."""
    return min(heart.pr_s - 0.0002 * max(bpm - 60.0, 0.0), 0.36 * 60.0 / bpm)


def _regular(rng: np.random.Generator, bpm: float, duration_s: float, jitter: float) -> Floats:
    """Return onsets whose mean distance is exactly 60 / bpm, with sinus arrhythmia and jitter."""
    count = int(np.ceil((duration_s + 2 * LEAD_IN_S) * bpm / 60.0)) + 2
    breath_hz, phase = rng.uniform(0.2, 0.3), rng.uniform(0.0, 2 * np.pi)
    index = np.arange(count)
    rsa = jitter * np.sin(2 * np.pi * breath_hz * index * 60.0 / bpm + phase)
    slow = 0.5 * jitter * np.sin(2 * np.pi * 0.1 * index * 60.0 / bpm + 2 * phase)
    rr = 1.0 + rsa + slow + rng.normal(0.0, 0.3 * jitter, count)
    rr *= 60.0 / bpm / rr.mean()
    onsets: Floats = np.cumsum(rr) - rr[0] * rng.uniform() - LEAD_IN_S
    return onsets


def sinus(rng: np.random.Generator, heart: Heart, bpm: float, duration_s: float) -> Timing:
    """Return sinus rhythm: every P is conducted after the PR interval."""
    onsets = _regular(rng, bpm, duration_s, 0.025 * min(1.0, 70.0 / bpm))
    return _conducted(rng, onsets, pr_interval_s(heart, bpm))


def slow_conduction(rng: np.random.Generator, _: Heart, bpm: float, duration_s: float) -> Timing:
    """Return first-degree block: every P is conducted, after 215 to 320 ms."""
    onsets = _regular(rng, bpm, duration_s, 0.02)
    return _conducted(rng, onsets, min(rng.uniform(0.215, 0.320), max(0.215, 0.42 * 60.0 / bpm)))


def _conducted(rng: np.random.Generator, onsets: Floats, pr_s: float) -> Timing:
    pr = pr_s + np.clip(rng.normal(0.0, 0.001, len(onsets)), -0.003, 0.003)
    return Timing(
        tuple(Atrial(float(p)) for p in onsets),
        tuple(Ventricular(float(q)) for q in onsets + pr),
    )


def with_early_beats(
    rng: np.random.Generator, heart: Heart, bpm: float, duration_s: float, kind: str
) -> Timing:
    """Return sinus rhythm with early beats: "pvc" (full pause, no P), "pac" or "bigeminy".

    Premature ventricular beats leave the sinus clock alone, so the next sinus beat is lost in
    refractory tissue; premature atrial beats reset it.
    """
    sinus_onsets = _regular(rng, bpm, duration_s, 0.02)
    pr_s, rr_s = pr_interval_s(heart, bpm), 60.0 / bpm
    early = _early_indices(rng, len(sinus_onsets), kind)
    coupling_s = max(rng.uniform(0.52, 0.66) * rr_s, 0.40)
    atria: list[Atrial] = []
    ventricles: list[Ventricular] = []
    shift = 0.0
    for index, planned in enumerate(sinus_onsets):
        onset = float(planned) + shift
        if index not in early:
            atria.append(Atrial(onset))
            ventricles.append(Ventricular(onset + pr_s))
        elif kind == "pac":
            moved = rng.uniform(0.22, 0.32) * rr_s
            shift -= moved
            atria.append(Atrial(onset - moved, ectopic=True))
            ventricles.append(Ventricular(onset - moved + 1.05 * pr_s, "S", "A"))
            shift += 0.10 * rr_s
        else:
            at = float(sinus_onsets[index - 1]) + pr_s + coupling_s + rng.normal(0.0, 0.006)
            ventricles.append(Ventricular(at, "V", "V", ectopic=True))
    return Timing(tuple(atria), tuple(ventricles))


def _early_indices(rng: np.random.Generator, count: int, kind: str) -> set[int]:
    if kind == "bigeminy":
        return set(range(1 + int(rng.integers(2)), count, 2))
    # Early beats every 4 to 7 beats: at least one falls into ten seconds at 40 per minute.
    chosen, index = set(), int(rng.integers(2, 5))
    while index < count:
        chosen.add(index)
        index += int(rng.integers(4, 8))
    return chosen


def wenckebach(rng: np.random.Generator, heart: Heart, bpm: float, duration_s: float) -> Timing:
    """Return Mobitz I: PR grows by ever smaller steps, every third to fifth P is not conducted."""
    cycle = int(rng.integers(3, 6))
    sinus_bpm = bpm * cycle / (cycle - 1)
    onsets = _regular(rng, sinus_bpm, duration_s, 0.012)
    first_s = min(heart.pr_s + 0.02, 0.25 * 60.0 / sinus_bpm)
    # Decreasing steps make the RR intervals shorten before the pause, as Wenckebach saw.
    steps = np.concatenate([[0.0], 0.07 * 0.6 ** np.arange(cycle - 2)])
    delay = first_s + np.cumsum(steps)
    start = int(rng.integers(cycle))
    ventricles = [
        Ventricular(float(p) + float(delay[(start + k) % cycle]))
        for k, p in enumerate(onsets)
        if (start + k) % cycle != cycle - 1
    ]
    return Timing(tuple(Atrial(float(p)) for p in onsets), tuple(ventricles))


def dropped(rng: np.random.Generator, heart: Heart, bpm: float, duration_s: float) -> Timing:
    """Return Mobitz II: constant PR, every third or fourth P is not conducted."""
    cycle = int(rng.integers(3, 5))
    sinus_bpm = bpm * cycle / (cycle - 1)
    onsets = _regular(rng, sinus_bpm, duration_s, 0.012)
    pr_s, start = pr_interval_s(heart, sinus_bpm), int(rng.integers(cycle))
    ventricles = [
        Ventricular(float(p) + pr_s)
        for k, p in enumerate(onsets)
        if (start + k) % cycle != cycle - 1
    ]
    return Timing(tuple(Atrial(float(p)) for p in onsets), tuple(ventricles))


def dissociated(rng: np.random.Generator, _: Heart, bpm: float, duration_s: float) -> Timing:
    """Return third-degree block: sinus atria at 70-95, an escape rhythm of its own below.

    The escape is ventricular (wide, "E") under 40 per minute and mostly junctional ("j") above.
    """
    ratio = rng.uniform(70.0, 95.0) / bpm
    # Far from a whole ratio, so that the two clocks visibly drift past each other.
    ratio = np.floor(ratio) + 0.2 + 0.6 * (ratio % 1.0)
    atria = _regular(rng, ratio * bpm, duration_s, 0.015)
    wide = bool(rng.random() < (0.8 if bpm < 40.0 else 0.25))
    onsets = _regular(rng, bpm, duration_s, 0.006)
    escape = ("V", "E") if wide else ("N", "j")
    return Timing(
        tuple(Atrial(float(p)) for p in atria),
        tuple(Ventricular(float(q), *escape, ectopic=wide) for q in onsets),  # type: ignore[arg-type]
    )


def fibrillation(rng: np.random.Generator, _: Heart, bpm: float, duration_s: float) -> Timing:
    """Return irregular beats without memory, none closer than the node's refractory time."""
    mean = 60.0 / bpm
    count = int(np.ceil((duration_s + 2 * LEAD_IN_S) / mean)) + 2
    floor = max(0.52 * mean, 0.26)
    spread = rng.gamma(3.0, 1.0, count)
    rr = floor + spread * (mean - floor) / spread.mean()
    onsets = np.cumsum(rr) - rr[0] * rng.uniform() - LEAD_IN_S
    return Timing((), tuple(Ventricular(float(q)) for q in onsets), rng.uniform(5.2, 7.5))


def flutter(rng: np.random.Generator, _: Heart, bpm: float, duration_s: float) -> Timing:
    """Return beats locked to flutter waves, one for every 2 to 5; the mean ratio keeps F near 300.

    The ratio stays, alternates around its mean or, in variable block, is drawn for each beat, whose
    conduction then takes more or less long.
    """
    ratio = int(np.clip(round(300.0 / bpm), 2, 5))
    count = int(np.ceil((duration_s + 2 * LEAD_IN_S) * bpm / 60.0)) + 2
    ratios, delay_s = np.full(count, ratio), np.zeros(count)
    kind = rng.choice(["fixed", "alternating", "variable"]) if ratio > 2 else "fixed"
    if kind == "alternating":
        ratios[::2] += 1
        ratios[1::2] -= 1
    elif kind == "variable":
        chance = np.exp(-0.5 * ((CONDUCTED - ratio) / rng.uniform(0.5, 1.2)) ** 2)
        ratios = rng.choice(CONDUCTED, count, p=chance / chance.sum())
        delay_s = rng.normal(0.0, rng.uniform(0.002, 0.02), count)
    cycle_s = 60.0 / bpm / ratios.mean()
    onsets = np.cumsum(ratios) * cycle_s - ratio * cycle_s * rng.uniform() - LEAD_IN_S + delay_s
    return Timing((), tuple(Ventricular(float(q)) for q in onsets), 1.0 / cycle_s)


def ventricular(rng: np.random.Generator, _: Heart, bpm: float, duration_s: float) -> Timing:
    """Return regular wide beats without P waves."""
    onsets = _regular(rng, bpm, duration_s, 0.004)
    return Timing((), tuple(Ventricular(float(q), "V", "V") for q in onsets))


def paced(rng: np.random.Generator, heart: Heart, bpm: float, duration_s: float) -> Timing:
    """Return paced beats: exactly regular without P, or after each P with a fixed delay."""
    tracking = bool(rng.random() < 0.5)
    onsets = _regular(rng, bpm, duration_s, 0.012 if tracking else 0.0)
    delay = pr_interval_s(heart, bpm)
    return Timing(
        tuple(Atrial(float(p)) for p in onsets) if tracking else (),
        tuple(Ventricular(float(q), "Q", "/") for q in onsets + delay),
    )


RULES: dict[str, Callable[[np.random.Generator, Heart, float, float], Timing]] = {
    "sinus": sinus,
    "slow_conduction": slow_conduction,
    "wenckebach": wenckebach,
    "dropped": dropped,
    "dissociated": dissociated,
    "fibrillation": fibrillation,
    "flutter": flutter,
    "ventricular": ventricular,
    "paced": paced,
}
"""Name of a rule, as `Condition.timing` has it -> the function."""
