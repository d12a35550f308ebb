"""Beats of a real record set into another rhythm: more patients with early beats and fibrillation.

A record is cut into its beats just before each P wave; they are laid down again at new intervals,
overlapping where they come early, and the P waves are changed as the rhythm asks. So the shapes
are real and the kinds are known. Few patients of a database have premature atrial beats, and a net
that learns them from few learns those patients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fascicle.data.pack import Entry, Pack
from fascicle.labels import rhythm_kinds
from fascicle.record import BEAT_KINDS, LEADS, Beat, Rhythm

Floats = NDArray[np.float32]
Matrix = NDArray[np.float64]
Kinds = NDArray[np.intp]

NORMAL, EARLY, VENTRICULAR = (BEAT_KINDS.index(kind) for kind in ("N", "S", "V"))
BEFORE_S = 0.25
"""A beat begins so long before its R peak, at most (its P wave belongs to it)."""
LONGEST_S = 3.0
PQ_S = 0.055
"""The P wave ends so long before the R peak, at least."""
FADE_S = 0.16
"""A beat that the next one overtakes fades out over this."""
SHORTEST_S = 0.3
"""No interval is made shorter."""
LEAST_BEATS = 12
"""A part with fewer beats stays as it is."""


def rearrange(
    signal: Floats,
    times: Matrix,
    kinds: Kinds,
    rhythm: str,
    rate_hz: float,
    rng: np.random.Generator,
) -> tuple[Floats, Matrix, Kinds]:
    """Return signal (lead, sample), R peaks in seconds and kinds of the record in another rhythm.

    Parameters
    ----------
    signal
        (lead, sample) prepared leads, mV.
    times, kinds
        (beat,) R peaks in seconds, ascending, and places in `BEAT_KINDS`.
    rhythm
        Key of `RHYTHMS`.
    rate_hz
        Samples per second.
    rng
        The only source of randomness.

    Raises
    ------
    ValueError
        If there are fewer than four beats, or they do not ascend.
    """
    if len(times) < 4 or (np.diff(times) <= 0).any():
        raise ValueError(f"four beats or more must ascend; found {len(times)}")
    pre = np.minimum(np.r_[np.median(np.diff(times)), np.diff(times)], LONGEST_S)
    intervals, made = RHYTHMS[rhythm](pre, kinds, rng)
    peaks = np.rint(times * rate_hz).astype(np.intp)
    ahead = np.rint(np.minimum(BEFORE_S, 0.45 * pre) * rate_hz).astype(np.intp)
    new = np.rint((1.0 + np.cumsum(intervals)) * rate_hz).astype(np.intp)
    out = np.zeros((len(signal), new[-1] + round(LONGEST_S * rate_hz)), dtype=np.float32)
    size = np.median([np.ptp(signal[:, max(p - 20, 0) : p + 20], axis=1) for p in peaks], axis=0)
    change_p = _p_changer(rhythm, kinds, made, len(signal), rate_hz, rng)
    for beat, piece in enumerate(_pieces(signal, peaks, ahead, rate_hz)):
        change_p(beat, piece[:, : max(ahead[beat] - round(PQ_S * rate_hz), 0)])
        start = int(new[beat] - ahead[beat])
        if beat + 1 < len(new):
            _fade(piece, int(new[beat + 1] - ahead[beat + 1]) - start, rate_hz)
        out[:, start : start + piece.shape[1]] += piece[:, : out.shape[1] - start]
    if rhythm == "fibrillation":
        out += size[:, None] * _fibrillation(out.shape, rate_hz, rng)
    noise = rng.normal(size=out.shape) * rng.uniform(0.003, 0.012)
    return (out + size[:, None] * noise).astype(np.float32), new / rate_hz, made


def _pieces(signal: Floats, peaks: Kinds, ahead: Kinds, rate_hz: float) -> list[Floats]:
    """Return each beat from before its P wave to the next one's, its ends brought to zero."""
    first = np.maximum(peaks - ahead, 0)
    last = np.r_[first[1:], min(peaks[-1] + round(0.6 * rate_hz), signal.shape[1])]
    last = np.minimum(np.maximum(last, peaks + 1), first + round(LONGEST_S * rate_hz))
    pieces = []
    for a, b in zip(first.tolist(), last.tolist(), strict=True):
        piece = signal[:, a:b].astype(np.float32)
        pieces.append(piece - _line(piece[:, :4].mean(axis=1), piece[:, -4:].mean(axis=1), b - a))
    return pieces


def _line(left: Floats, right: Floats, samples: int) -> Floats:
    share = np.linspace(0, 1, samples, dtype=np.float32)
    return np.asarray(left[:, None] * (1 - share) + right[:, None] * share, dtype=np.float32)


def _fade(piece: Floats, free: int, rate_hz: float) -> None:
    """Let what reaches beyond the free samples fade out."""
    over = np.arange(max(piece.shape[1] - max(free, 0), 0))
    if over.size:
        share = np.minimum(over / (FADE_S * rate_hz), 1)
        piece[:, -over.size :] *= (0.5 + 0.5 * np.cos(np.pi * share)).astype(np.float32)


def _p_changer(
    rhythm: str, kinds: Kinds, made: Kinds, leads: int, rate_hz: float, rng: np.random.Generator
) -> Callable[[int, Floats], None]:
    """Return what changes the P part of a beat (lead, sample) in place, as the rhythm asks.

    Fibrillation has none. Beats that were made early come from one of two foci, each with its own
    P in every lead: inverted, small, absent or tall, somewhat shifted.
    """
    foci = []
    for _ in range(2):
        same = rng.choice([rng.uniform(-1.3, 0.3), rng.uniform(1.6, 2.5), 0.0])
        gain = np.where(rng.random(leads) < 0.8, same, rng.uniform(-1, 0.5, leads))
        foci.append((gain, int(rng.integers(-8, 9) * rate_hz / 250)))

    def change(beat: int, part: Floats) -> None:
        if part.shape[1] < 8:
            return
        line = _line(part[:, 0], part[:, -1], part.shape[1])
        if rhythm == "fibrillation" and made[beat] == NORMAL:
            part[:] = line
        elif made[beat] == EARLY and kinds[beat] == NORMAL:
            gain, shift = foci[0 if rng.random() < 0.85 else 1]
            wave = np.roll(part - line, shift, axis=1) * np.exp(rng.normal(0, 0.15))
            part[:] = line + gain[:, None] * wave

    return change


def _fibrillation(shape: tuple[int, ...], rate_hz: float, rng: np.random.Generator) -> Matrix:
    """Return waves of 4.5 to 8.5 Hz (lead, sample) in units of the QRS; in some records none."""
    clock = np.arange(shape[1]) / rate_hz
    slow = 3 * np.sin(2 * np.pi * 0.3 * clock + rng.uniform(0, 6)) + 2 * np.sin(6.9 * clock)
    phase = 2 * np.pi * rng.uniform(4.5, 8.5) * clock + slow
    height = rng.choice([0.0, rng.uniform(0.01, 0.12)]) * rng.uniform(0.3, 1, shape[0])
    wave = (np.sin(phase) + 0.3 * np.sin(2 * phase + 1)) * (1 + 0.3 * np.sin(1.26 * clock))
    return np.asarray(height[:, None] * wave, dtype=np.float64)


def _early(pre: Matrix, kinds: Kinds, rng: np.random.Generator) -> tuple[Matrix, Kinds]:
    """Return intervals and kinds with premature atrial beats: single, in groups and in runs."""
    new, made = pre.copy(), kinds.copy()
    rate = np.exp(rng.uniform(np.log(0.03), np.log(0.25)))
    low = rng.uniform(0.5, 0.75)
    high = rng.uniform(low + 0.05, 0.93)
    beat = 2
    while beat < len(pre) - 2:
        if rng.random() > rate:
            beat += 1
            continue
        share = rng.uniform(low, high)
        following = min(share * rng.uniform(0.95, 1.25), 0.95)
        lengths = (1, 2, int(rng.integers(3, 9)), int(rng.integers(8, 40)))
        count = lengths[int(rng.integers(4))]
        step = int(rng.choice([1, 1, 2, 3]))  # 2 is bigeminy, 3 trigeminy
        pause = rng.uniform(0.97, 1.45 if count > 1 else 1.3)
        for place in range(beat, min(beat + step * count, len(pre) - 2), step):
            if (kinds[place - 1 : place + 2] != NORMAL).any():
                break
            early = share if step > 1 or place == beat else following
            new[place] = max(pre[place] * early * np.exp(rng.normal(0, 0.03)), SHORTEST_S)
            made[place] = EARLY
            new[place + 1] = pre[place + 1] * pause
            beat = place
        beat += 2
    return new, made


def _fibrillating(pre: Matrix, kinds: Kinds, rng: np.random.Generator) -> tuple[Matrix, Kinds]:
    """Return irregular intervals; beats of the atria are all N, for there is no usual one."""
    made = np.where(kinds == EARLY, NORMAL, kinds)
    base = np.convolve(np.pad(pre, 20, mode="edge"), np.ones(41) / 41, "valid")
    faster, spread = rng.uniform(0.55, 1.05), rng.uniform(0.1, 0.3)
    new = np.maximum(base * faster * np.exp(rng.normal(0, spread, len(pre))), SHORTEST_S)
    ventricular = kinds == VENTRICULAR
    new[ventricular] = np.minimum(new, pre * faster + 0.1)[ventricular]
    return new, made


def _breathing(pre: Matrix, kinds: Kinds, rng: np.random.Generator) -> tuple[Matrix, Kinds]:
    """Return sinus arrhythmia, slow changes of rate, and pauses; kinds stay."""
    clock = np.cumsum(pre)
    breath = rng.uniform(0.03, 0.25) * np.sin(2 * np.pi * clock / rng.uniform(2.5, 6))
    slow = np.exp(0.15 * np.sin(2 * np.pi * clock / rng.uniform(30, 200)))
    paused = (rng.random(len(pre)) < rng.choice([0, 0.01, 0.05, 0.15])) & (kinds == NORMAL)
    pause = np.where(paused, rng.uniform(1.3, 2.3, len(pre)), 1.0)
    return np.maximum(pre * (1 + breath) * slow * pause, SHORTEST_S), kinds.copy()


Rule = Callable[[Matrix, Kinds, np.random.Generator], tuple[Matrix, Kinds]]
RHYTHMS: Mapping[str, Rule] = {
    "early": _early,
    "fibrillation": _fibrillating,
    "breathing": _breathing,
}
"""Name -> (intervals before each beat, kinds, rng) -> new intervals, new kinds."""


def in_other_rhythm(
    pack: Pack, entry: Entry, start: int, samples: int, rng: np.random.Generator
) -> tuple[Floats, Entry, int] | None:
    """Return a window near this one with its beats in another rhythm, None where that cannot be.

    Parameters
    ----------
    pack, entry
        A record with marked beats.
    start, samples
        The window; three times its length is rearranged, and a part of that length is cut out.
    rng
        The only source of randomness.

    Returns
    -------
    signal, entry, start
        (12, sample) mV; what is known of the whole rearranged part: its beats, and its rhythm where
        rhythms are marked; the window's first sample in it.
    """
    rate_hz = pack.preprocessing.rate_hz
    first = max(start - samples, 0)
    last = min(start + 2 * samples, entry.samples)
    low_s, high_s = first / rate_hz, last / rate_hz
    beats = [b for b in entry.beats if low_s + BEFORE_S <= b.time_s < high_s - BEFORE_S]
    marks = [r.kind for r in entry.rhythms if r.start_s < high_s and r.end_s > low_s]
    if len(beats) < LEAST_BEATS or any(rhythm_kinds().get(mark) != "sinus" for mark in marks):
        return None
    signal = np.zeros((len(LEADS), last - first), dtype=np.float32)
    pack.window(entry, first, last - first, signal)
    times = np.array([beat.time_s - low_s for beat in beats])
    kinds = np.array([BEAT_KINDS.index(beat.kind) for beat in beats], dtype=np.intp)
    rhythm = str(rng.choice(list(RHYTHMS)))
    made, new, named = rearrange(signal, times, kinds, rhythm, rate_hz, rng)
    whole = round(float(new[-1]) * rate_hz)
    begin = round(float(new[0]) * rate_hz)
    if whole - begin < samples:
        return None
    known = tuple(Beat(t, BEAT_KINDS[k]) for t, k in zip(new.tolist(), named.tolist(), strict=True))
    mark = "AFIB" if rhythm == "fibrillation" else "N"
    told = replace(
        entry,
        samples=whole,
        waves=(),
        beats=known,
        rhythms=(Rhythm(0.0, float(new[-1]), mark),) if marks else (),
        labels={},
        annotated=entry.annotated - {"waves"},
    )
    begin += int(rng.integers(whole - begin - samples + 1))
    return made[:, begin : begin + samples], told, begin
