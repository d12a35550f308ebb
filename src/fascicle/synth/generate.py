"""From a condition and a seed to a Record."""

from __future__ import annotations

import numpy as np

from fascicle.errors import BadRequest
from fascicle.record import LEADS, Beat, Record, Rhythm, Wave
from fascicle.synth.conditions import AXIS_CODES, CONDITIONS, SINUS_CODES, Condition
from fascicle.synth.heart import axis_deg
from fascicle.synth.noise import Noise, breathing, draw_noise
from fascicle.synth.oscillation import oscillate
from fascicle.synth.plan import Plan, draw_plan
from fascicle.synth.render import Train, Windows, add, mark, r_peaks, sample
from fascicle.synth.shapes import Floats
from fascicle.synth.timing import Timing

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
        For an unknown condition or lead, or a seed, rate, duration or heart rate out of range.
    """
    known = _check(condition, seed, heart_rate_bpm, duration_s, rate_hz, leads)
    heart_rng, noise_rng = np.random.default_rng(seed).spawn(2)
    plan = draw_plan(heart_rng, known, heart_rate_bpm, duration_s)
    samples = round(duration_s * rate_hz)
    times = np.arange(samples) / rate_hz
    signal, waves, beats = _render(plan, rate_hz, samples)
    if plan.oscillation is not None:
        signal += oscillate(plan.oscillation, times) @ plan.heart.field.T
    chosen = signal.T[[LEADS.index(lead) for lead in leads]]
    if noise is not None:
        chosen = chosen * breathing(noise_rng, noise.respiration, times)
        chosen = chosen + draw_noise(noise_rng, noise, leads, samples, rate_hz)
    return Record(
        name=f"synth_{condition}_{seed}",
        signal=np.ascontiguousarray(chosen, dtype=np.float32),
        rate_hz=float(rate_hz),
        leads=tuple(leads),
        age=round(plan.heart.age),
        sex=plan.heart.sex,
        source="synthetic",
        waves=tuple(wave for wave in waves if wave.lead in leads),
        beats=beats,
        rhythms=(Rhythm(0.0, samples / rate_hz, known.rhythm),),
        labels={"SNOMED-CT": _codes(known, plan.bpm, axis_deg(plan.heart))},
        annotated=frozenset({"waves", "beats", "rhythms"}),
    )


def _check(
    condition: str,
    seed: int,
    bpm: float | None,
    duration_s: float,
    rate_hz: float,
    leads: tuple[str, ...],
) -> Condition:
    if condition not in CONDITIONS:
        raise BadRequest(f"unknown condition {condition!r}: known are {', '.join(CONDITIONS)}")
    known = CONDITIONS[condition]
    if seed < 0:
        raise BadRequest(f"seed must not be negative, got {seed}")
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


def _codes(known: Condition, bpm: float, axis: float) -> frozenset[str]:
    if not known.sinus:
        return known.codes
    pace = "slow" if bpm < 60.0 else "fast" if bpm > 100.0 else "normal"
    codes = known.codes | {SINUS_CODES[pace]}
    if -30.0 <= axis <= 90.0:
        return codes
    return codes | {AXIS_CODES["left" if -90.0 <= axis < -30.0 else "right"]}


def _render(
    plan: Plan, rate_hz: float, samples: int
) -> tuple[Floats, list[Wave], tuple[Beat, ...]]:
    """Return the clean signal (sample, lead), the marks in order of time, and the beats."""
    signal = np.zeros((samples, len(LEADS)))
    waves: list[Wave] = []
    drawn: list[tuple[Train, Windows]] = []
    for train in plan.trains:
        windows = sample(train, plan.heart.field, rate_hz)
        add(windows, signal)
        waves.extend(mark(train, windows, rate_hz, samples))
        drawn.append((train, windows))
    waves.sort(key=_begin)
    return signal, waves, _beats(drawn, plan.timing, rate_hz, samples)


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
