"""From a condition and a seed to a Record: draw the parameters, then render them."""

from __future__ import annotations

import numpy as np

from fascicle.errors import BadRequest
from fascicle.record import LEADS, Beat, Record, Rhythm, Wave
from fascicle.synth import shapes
from fascicle.synth.conditions import CONDITIONS, SINUS_CODES, Condition
from fascicle.synth.heart import Heart, Shape, draw_heart
from fascicle.synth.noise import Noise, breathing, draw_noise
from fascicle.synth.render import Train, Windows, add, mark, r_peaks, sample
from fascicle.synth.shapes import Floats
from fascicle.synth.timing import RULES, Timing, with_early_beats

MAXIMUM_DURATION_S = 3600.0
RATES_HZ = (50.0, 10000.0)


def synthesize(
    condition: str = "sinus",
    *,
    seed: int,
    heart_rate_bpm: float | None = None,
    duration_s: float = 10.0,
    rate_hz: float = 500.0,
    noise: Noise | None = Noise(),  # noqa: B008 (frozen)
    leads: tuple[str, ...] = LEADS,
) -> Record:
    """Return a synthetic ECG with its waves, beats, rhythm and codes.

    Parameters
    ----------
    condition
        A key of `CONDITIONS`.
    seed
        Same seed and arguments, same record; the heart and its clean beats do not depend on
        `noise`, `rate_hz` or `leads`.
    heart_rate_bpm
        Mean ventricular rate (of the sinus clock, where early beats are mixed in); drawn from the
        condition's usual range when None.
    duration_s
        Length, over 0 and up to an hour.
    rate_hz
        Samples per second, 50..10000.
    noise
        What is added to the clean ECG; None for nothing.
    leads
        Any of the twelve, in any order.

    Returns
    -------
    Record
        `waves` per lead in order of time, `beats` at the largest deflection of each QRS over the
        leads, one `rhythms` span, `labels["SNOMED-CT"]`.

    Raises
    ------
    BadRequest
        For an unknown condition or lead, or a rate, duration or heart rate out of range.
    """
    known = _check(condition, heart_rate_bpm, duration_s, rate_hz, leads)
    rng, noise_rng = np.random.default_rng(seed).spawn(2)
    bpm = rng.uniform(*known.usual_bpm)
    if heart_rate_bpm is not None:
        bpm = float(heart_rate_bpm)
    heart = draw_heart(rng, known.ventricle)
    timing = _draw_timing(rng, known, heart, bpm, duration_s)
    trains = _trains(rng, known, heart, timing, bpm)
    samples = round(duration_s * rate_hz)
    signal, waves, beats = _render(trains, timing, heart.field, rate_hz, samples)
    times = np.arange(samples) / rate_hz
    if timing.atrial_hz:
        signal += _atrial_waves(rng, known.timing, timing.atrial_hz, times, heart.field)
    chosen = signal.T[[LEADS.index(lead) for lead in leads]]
    if noise is not None:
        chosen = chosen * breathing(noise_rng, noise.respiration, times)
        chosen = chosen + draw_noise(noise_rng, noise, leads, samples, rate_hz)
    return Record(
        name=f"synth_{condition}_{seed}",
        signal=np.ascontiguousarray(chosen, dtype=np.float32),
        rate_hz=float(rate_hz),
        leads=tuple(leads),
        age=round(heart.age),
        sex=heart.sex,
        source="synthetic",
        waves=tuple(wave for wave in waves if wave.lead in leads),
        beats=beats,
        rhythms=(Rhythm(0.0, samples / rate_hz, known.rhythm),),
        labels={"SNOMED-CT": _codes(known, bpm)},
        annotated=frozenset({"waves", "beats", "rhythms"}),
    )


def _check(
    condition: str,
    bpm: float | None,
    duration_s: float,
    rate_hz: float,
    leads: tuple[str, ...],
) -> Condition:
    if condition not in CONDITIONS:
        raise BadRequest(f"unknown condition {condition!r}: known are {', '.join(CONDITIONS)}")
    known = CONDITIONS[condition]
    low, high = known.allowed_bpm
    if bpm is not None and not low <= bpm <= high:
        raise BadRequest(f"{condition} exists at {low:g} to {high:g} beats per minute, not {bpm}")
    if not 0.0 < duration_s <= MAXIMUM_DURATION_S:
        raise BadRequest(f"duration_s must be over 0 and up to 3600, got {duration_s}")
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        raise BadRequest(f"rate_hz must be within 50..10000, got {rate_hz}")
    if round(duration_s * rate_hz) < 1:
        raise BadRequest(f"{duration_s} s at {rate_hz} Hz hold no sample")
    unknown = [lead for lead in leads if lead not in LEADS]
    if unknown or not leads or len(set(leads)) != len(leads):
        raise BadRequest(f"leads must be different ones of {', '.join(LEADS)}, got {leads}")
    return known


def _draw_timing(
    rng: np.random.Generator, known: Condition, heart: Heart, bpm: float, duration_s: float
) -> Timing:
    if known.ectopic != "none":
        return with_early_beats(rng, heart, bpm, duration_s, known.ectopic)
    return RULES[known.timing](rng, heart, bpm, duration_s)


def _codes(known: Condition, bpm: float) -> frozenset[str]:
    if not known.sinus:
        return known.codes
    pace = "slow" if bpm < 60.0 else "fast" if bpm > 100.0 else "normal"
    return known.codes | {SINUS_CODES[pace]}


def _trains(
    rng: np.random.Generator, known: Condition, heart: Heart, timing: Timing, bpm: float
) -> list[Train]:
    """Return P, QRS, T and the unmarked parts of every beat; QRS trains come first."""
    onset = np.array([beat.onset_s for beat in timing.ventricles])
    wide = np.array([beat.ectopic for beat in timing.ventricles])
    qrs = np.where(wide, heart.wide_s, heart.qrs_s)
    atria = np.array([atrial.onset_s for atrial in timing.atria])
    qt = _qt(heart, onset, qrs, atria if known.timing != "dissociated" else atria[:0], bpm)
    t = np.minimum(qt - qrs - 0.004, 0.06 + 0.45 * (qt - qrs))
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
    return np.maximum(np.minimum(qt, following - onset - 0.004), qrs + 0.09)


def _render(
    trains: list[Train], timing: Timing, field: Floats, rate_hz: float, samples: int
) -> tuple[Floats, list[Wave], tuple[Beat, ...]]:
    """Return the clean signal (sample, lead), the marks in order of time, and the beats."""
    signal = np.zeros((samples, len(LEADS)))
    waves: list[Wave] = []
    drawn: list[tuple[Train, Windows]] = []
    for train in trains:
        windows = sample(train, field, rate_hz)
        add(windows, signal)
        waves.extend(mark(train, windows, rate_hz, samples))
        drawn.append((train, windows))
    waves.sort(key=_begin)
    return signal, waves, _beats(drawn, timing, rate_hz, samples)


def _begin(wave: Wave) -> tuple[int, float]:
    times = (wave.onset_s, wave.peak_s, wave.offset_s)
    return LEADS.index(wave.lead or "I"), min(time for time in times if time is not None)


def _beats(
    drawn: list[tuple[Train, Windows]], timing: Timing, rate_hz: float, samples: int
) -> tuple[Beat, ...]:
    peak: dict[float, int] = {}
    for train, windows in drawn:
        if train.kind == "QRS":
            peak.update(zip(train.onset_s.tolist(), r_peaks(windows).tolist(), strict=True))
    found = [(peak[beat.onset_s], beat) for beat in timing.ventricles]
    return tuple(
        Beat(index / rate_hz, beat.kind, symbol=beat.symbol)
        for index, beat in sorted(found, key=lambda pair: pair[0])
        if 0 <= index < samples
    )


def _atrial_waves(
    rng: np.random.Generator, kind: str, hertz: float, times: Floats, field: Floats
) -> Floats:
    """Return f or F waves (sample, lead): a saw-tooth of few harmonics, irregular in fibrillation.

    After Stridh and Sörnmo, IEEE Trans Biomed Eng 48:105, 2001 (saw-tooth with slowly modulated
    amplitude and frequency).
    """
    steady = kind == "flutter"
    total = np.zeros((len(times), len(shapes.AXES)))
    for strength in (1.0,) if steady else (1.0, 0.5, 0.4):
        wander = 0.0 if steady else 2.5
        phase = 2 * np.pi * hertz * times + rng.uniform(0.0, 2 * np.pi)
        for _ in range(3):
            slow = rng.uniform(0.2, 1.2)
            phase = phase + wander * rng.normal() * np.sin(
                2 * np.pi * slow * times + rng.uniform(0.0, 2 * np.pi)
            )
        wave = sum(np.sin(k * phase) / k**1.3 for k in range(1, 5))
        turned = np.array(shapes.F[kind]) * (1.0 if steady else rng.normal(1.0, 0.3, 3))
        total += strength * rng.uniform(0.7, 1.2) * wave[:, None] * turned
    return total @ field.T
