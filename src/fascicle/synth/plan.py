"""Everything that is drawn for one record, before anything is rendered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fascicle.synth import shapes
from fascicle.synth.conditions import Condition
from fascicle.synth.heart import Heart, Shape, draw_heart
from fascicle.synth.oscillation import Oscillation, draw_oscillation
from fascicle.synth.render import Train
from fascicle.synth.shapes import Floats
from fascicle.synth.timing import RULES, Timing, with_early_beats


@dataclass(frozen=True, slots=True)
class Plan:
    """The drawn parameters: the rest is a pure function of them."""

    bpm: float
    heart: Heart
    timing: Timing
    trains: tuple[Train, ...]
    oscillation: Oscillation | None


def draw_plan(
    rng: np.random.Generator, known: Condition, bpm: float | None, duration_s: float
) -> Plan:
    """Return a plan for a condition; the rate is drawn from its usual range when None."""
    usual = rng.uniform(*known.usual_bpm)
    rate = usual if bpm is None else float(bpm)
    heart = draw_heart(rng, known.ventricle)
    timing = _draw_timing(rng, known, heart, rate, duration_s)
    trains = _trains(rng, known, heart, timing, rate)
    oscillation = (
        draw_oscillation(rng, known.timing, timing.atrial_hz) if timing.atrial_hz else None
    )
    return Plan(rate, heart, timing, tuple(trains), oscillation)


def _draw_timing(
    rng: np.random.Generator, known: Condition, heart: Heart, bpm: float, duration_s: float
) -> Timing:
    if known.ectopic != "none":
        return with_early_beats(rng, heart, bpm, duration_s, known.ectopic)
    return RULES[known.timing](rng, heart, bpm, duration_s)


def _trains(
    rng: np.random.Generator, known: Condition, heart: Heart, timing: Timing, bpm: float
) -> list[Train]:
    """Return P, QRS, T and the unmarked parts of every beat; QRS trains come first."""
    onset = np.array([beat.onset_s for beat in timing.ventricles])
    wide = np.array([beat.ectopic for beat in timing.ventricles])
    # A QRS leaves room for the rest of its beat, however fast.
    longest = (0.6 if known.timing == "ventricular" else 0.36) * 60.0 / bpm
    qrs = np.minimum(np.where(wide, heart.wide_s, heart.qrs_s), longest)
    atria = np.array([atrial.onset_s for atrial in timing.atria])
    qt = _qt(heart, onset, qrs, atria if known.timing != "dissociated" else atria[:0], bpm)
    t = np.minimum(qt - qrs - 0.004, 0.06 + heart.t_share * (qt - qrs))
    gain = 1.0 + np.clip(rng.normal(0.0, 0.02, len(onset)), -0.06, 0.06)
    soft = 1.0 + np.clip(rng.normal(0.0, 0.03, len(onset)), -0.08, 0.08)
    seen = np.ones(len(onset), dtype=bool)
    trains = []
    for name, mine in (("normal", ~wide), ("ectopic", wide)):
        if not mine.any():
            continue
        trains.append(Train("QRS", heart.qrs[name], onset[mine], qrs[mine], gain[mine], seen[mine]))
        begin = (onset + qt - t)[mine]
        trains.append(Train("T", heart.t[name], begin, t[mine], soft[mine], seen[mine]))
        if name in heart.st:
            start = 0.75 * qrs[mine]
            length = qt[mine] - start
            trains.append(
                Train(None, heart.st[name], onset[mine] + start, length, soft[mine], seen[mine])
            )
    trains.extend(_atrial_trains(rng, heart, timing, onset, qrs))
    if known.timing == "paced":
        table = np.array(shapes.SPIKE)
        spike = Shape(table[:, :3], table[:, 3:] * rng.uniform(0.5, 1.3))
        length = np.full(len(onset), 0.006)
        trains.append(Train(None, spike, onset - 0.006, length, gain, seen))
    return trains


def _atrial_trains(
    rng: np.random.Generator,
    heart: Heart,
    timing: Timing,
    qrs_onset: Floats,
    qrs: Floats,
) -> list[Train]:
    """Return the P waves; one that a QRS hides is there but not marked."""
    onset = np.array([atrial.onset_s for atrial in timing.atria])
    ectopic = np.array([atrial.ectopic for atrial in timing.atria], dtype=bool)
    trains = []
    for name, mine in (("normal", ~ectopic), ("ectopic", ectopic)):
        if not mine.any():
            continue
        begin = onset[mine]
        length = np.full(len(begin), heart.p_s)
        following = qrs_onset[np.minimum(np.searchsorted(qrs_onset, begin), len(qrs_onset) - 1)]
        gap = following - begin
        # A conducted P ends before its QRS, however short the PR interval became.
        conducted = (gap > 0.07) & (gap < 0.5)
        length = np.where(conducted, np.minimum(length, 0.88 * gap), length)
        hidden = (
            (begin[:, None] < qrs_onset + qrs) & (begin[:, None] + length[:, None] > qrs_onset)
        ).any(axis=1)
        gain = 1.0 + np.clip(rng.normal(0.0, 0.04, len(begin)), -0.1, 0.1)
        trains.append(Train("P", heart.p[name], begin, length, gain, ~hidden))
    return trains


def _qt(heart: Heart, onset: Floats, qrs: Floats, atria: Floats, bpm: float) -> Floats:
    """Return QT per beat: Fridericia's cube root of a remembered RR, cut before what follows."""
    rr = np.diff(onset, prepend=onset[0] - 60.0 / bpm)
    remembered = 0.8 * np.mean(rr) + 0.2 * rr
    qt = heart.qtc_s * np.cbrt(remembered) + 0.5 * np.maximum(qrs - 0.110, 0.0)
    events = np.sort(np.concatenate([onset, atria, [np.inf]]))
    following = events[np.searchsorted(events, onset + qrs, side="right")]
    return np.maximum(np.minimum(qt, following - onset - 0.004), qrs + 0.07)
