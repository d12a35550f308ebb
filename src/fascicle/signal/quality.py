"""Whether a lead can be trusted: scores per fault, and the verdict for each lead of a record.

A score is a measure over its limit, so 1 and above is a fault. The measures look at parts of the
record (1.5 s holds a beat even at 40 bpm), so that a fault of a fifth of the time shows. Limits
were chosen on real leads with injected faults (docs/signal.md). Noise is measured where the heart
is silent, in the quietest quarter of each part, against the QRS (content above 10 Hz).
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fascicle.record import LeadQuality, Record, Signal
from fascicle.signal.filters import LONG_S, STRETCH_S, bandpass, bridged, by_lead, highpass, lowpass
from fascicle.signal.resample import resample

Scores = NDArray[np.float64]
Values = TypeVar("Values", Signal, NDArray[np.bool_])

FAULTS = ("disconnected", "flat", "low amplitude", "clipped", "noisy", "electrode motion")

LOST_SHARE = 0.08  # of the time without a sample, or at exactly zero for half a second or more
FLAT_SHARE = 0.08  # of the parts with a range under FLAT_MV, or of the time at one value
FLAT_MV = 0.05
LOW_MV = 0.1  # from the 0.5 % to the 99.5 % quantile, 1-40 Hz
CLIPPED_SHARE = 0.002  # of the samples that tie with the largest or the smallest
CLIPPED_SAMPLES = 5
NOISE_RATIO, NOISE_MV = 0.2, 0.015  # silence over QRS, both rms above 10 Hz; and silence alone
MOTION_RATIO, MOTION_MV = 0.7, 0.05  # silence at 1-8 Hz (range in 0.1 s) over QRS; and alone
MOTION_SHARE = 0.2  # and over its own highest: a wide QRS has little above 10 Hz, and yet silence
WANDER_MV = 0.5  # 90 % quantile of the baseline's change in half a second
MAINS_SHARE = 0.5  # of the power above 10 Hz: the noise is mains, not muscle
MISSING_SHARE = 0.95
WORK_HZ, LEAST_HZ = 250.0, 50.0
PART_S = 1.5
HELD_S = 0.5


def lead_scores(signal: Signal, rate_hz: float) -> dict[str, Scores]:
    """Return for each of `FAULTS` the score of every lead, shape (lead,); 1 and above is a fault.

    Raises
    ------
    BadRequest
        The signal has no samples, or a rate of 2 Hz or less.
    """
    filled = bridged(signal)
    lost = _lost(signal, rate_hz)
    slow, work_hz = (filled, rate_hz)
    if rate_hz > WORK_HZ:
        slow, work_hz = resample(filled, rate_hz, WORK_HZ), WORK_HZ
    band = bandpass(slow, work_hz, 1.0, 40.0)
    low, high = np.quantile(band, [0.005, 0.995], axis=1, overwrite_input=True)
    del band  # here and below: what is as large as the signal goes as soon as it can
    noisy, motion = _noise(slow, work_hz)
    del slow
    return {
        "disconnected": lost.mean(axis=1) / LOST_SHARE,
        "flat": _flat_share(filled, lost, rate_hz) / FLAT_SHARE,
        "low amplitude": LOW_MV / np.maximum(high - low, 1e-3),
        "clipped": _ties(signal) / max(CLIPPED_SHARE * signal.shape[1], CLIPPED_SAMPLES),
        "noisy": noisy,
        "electrode motion": motion,
    }


def assess(record: Record, threads: int = 1) -> dict[str, LeadQuality]:
    """Return the quality of every lead of the record.

    A lead lost or flat for 95 % of the time is "missing": there is no ECG in it, and nets do better
    without it. One with any other fault is "poor", all others are "good".
    Reasons are "disconnected", "flat", "low amplitude", "clipped", "noisy: mains",
    "noisy: muscle" and "noisy: electrode motion". A dead lead is not called noisy too.
    Leads of a long record go one by one in little memory, or as many at a time as `threads`.
    """

    def measure(signal: Signal) -> tuple[dict[str, Scores], Scores]:
        return lead_scores(signal, record.rate_hz), _mains_share(signal, record.rate_hz)

    long = record.duration_s > LONG_S
    found = by_lead(measure, record.signal, threads) if long else [measure(record.signal)]
    scores = {fault: np.concatenate([every[fault] for every, _ in found]) for fault in FAULTS}
    mains = np.concatenate([share for _, share in found]) > MAINS_SHARE
    dead = {
        "disconnected": scores["disconnected"] * LOST_SHARE >= MISSING_SHARE,
        "flat": scores["flat"] * FLAT_SHARE >= MISSING_SHARE,
    }
    quality = {}
    for row, name in enumerate(record.leads):
        gone = next((fault for fault, leads in dead.items() if leads[row]), None)
        if gone is not None:
            quality[name] = LeadQuality("missing", (gone,))
            continue
        faults = [fault for fault in FAULTS if scores[fault][row] >= 1]
        if "disconnected" in faults or "flat" in faults:
            faults = [fault for fault in faults if fault in ("disconnected", "flat", "clipped")]
        noise = {
            "noisy": "noisy: mains" if mains[row] else "noisy: muscle",
            "electrode motion": "noisy: electrode motion",
        }
        reasons = tuple(noise.get(fault, fault) for fault in faults)
        quality[name] = LeadQuality("poor" if reasons else "good", reasons)
    return quality


def _keep_runs(mask: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """Return the mask (lead, sample) with only its runs of at least `least` samples."""
    kept = np.zeros_like(mask)
    for row, flags in zip(kept, mask, strict=True):
        edges = np.flatnonzero(np.diff(flags, prepend=False, append=False)).reshape(-1, 2)
        for start, stop in edges[edges[:, 1] - edges[:, 0] >= least]:
            row[start:stop] = True
    return kept


def _lost(signal: Signal, rate_hz: float) -> NDArray[np.bool_]:
    """Return where samples are missing, or exactly zero for at least half a second."""
    missing: NDArray[np.bool_] = ~np.isfinite(signal)
    return missing | _keep_runs(missing | (signal == 0), math.ceil(HELD_S * rate_hz))


def _blocks(signal: Values, width: int) -> Values:
    """Return the signal cut into blocks, (lead, block, sample); a rest at the end is left out."""
    width = max(1, min(width, signal.shape[1]))
    count = signal.shape[1] // width
    return signal[:, : count * width].reshape(signal.shape[0], count, width)


def _parts(values: Signal, count: int) -> Signal:
    """Return overlapping runs of `count` blocks, (lead, part, block), half of it apart."""
    count = min(count, values.shape[1])
    runs = np.lib.stride_tricks.sliding_window_view(values, count, axis=1)
    return runs[:, :: max(1, count // 2)]


def _flat_share(signal: Signal, lost: NDArray[np.bool_], rate_hz: float) -> Scores:
    """Return the share of the lead that is flat; what is lost does not count as flat.

    It is the share of parts with a range under `FLAT_MV`, or of time at one value if that is more.
    """
    width, count = round(rate_hz / 4), round(PART_S * 4)
    blocks = _blocks(signal, width)
    gone = _blocks(lost, width).any(axis=2)
    highest = np.where(gone, np.float32(np.inf), blocks.max(axis=2))
    ranges = _parts(highest, count).max(axis=2) - _parts(blocks.min(axis=2), count).min(axis=2)
    still = np.zeros_like(lost)
    np.equal(signal[:, 1:], signal[:, :-1], out=still[:, :-1])
    held = _keep_runs(still & ~lost, math.ceil(HELD_S * rate_hz))
    flat: Scores = np.maximum((ranges < FLAT_MV).mean(axis=1), held.mean(axis=1))
    return flat


def _ties(signal: Signal) -> Scores:
    """Return how many samples equal the lead's largest or smallest, less one each.

    Where an amplifier or a format clips, every beat ends at the same value; whole peaks differ.
    """
    there = np.isfinite(signal)
    largest = np.max(signal, axis=1, where=there, initial=-np.inf, keepdims=True)
    smallest = np.min(signal, axis=1, where=there, initial=np.inf, keepdims=True)
    tops = ((signal == largest) & there).sum(axis=1)
    bottoms = ((signal == smallest) & there).sum(axis=1)
    ties: Scores = np.maximum(tops - 1.0, 0.0) + np.maximum(bottoms - 1.0, 0.0)
    return ties


def _silence(values: Signal, count: int) -> Scores:
    """Return the level of the quietest quarter of a part, in the fifth of parts that is worst."""
    quiet = np.quantile(_parts(values, count), 0.25, axis=2)
    return np.asarray(np.quantile(quiet, 0.8, axis=1), dtype=np.float64)


def _noise(signal: Signal, rate_hz: float) -> tuple[Scores, Scores]:
    """Return the scores of noise above 10 Hz (mains, muscle) and below 8 Hz (electrode motion).

    A record shorter than one part has no silence to measure, one under 50 Hz no QRS to measure it
    against: the scores are 0.
    """
    if signal.shape[1] < PART_S * rate_hz or rate_hz < LEAST_HZ:
        return np.zeros(signal.shape[0]), np.zeros(signal.shape[0])
    fast = _blocks(highpass(signal, rate_hz, 10.0), round(0.05 * rate_hz))
    energy = np.sqrt(np.square(fast, out=fast).mean(axis=2))
    del fast
    per_part = round(PART_S / 0.05)
    qrs = np.maximum(np.median(_parts(energy, per_part).max(axis=2), axis=1), 1e-6)
    floor = _silence(energy, per_part)
    noisy = np.minimum(floor / qrs / NOISE_RATIO, floor / NOISE_MV)

    swings = np.ptp(_blocks(bandpass(signal, rate_hz, 1.0, 8.0), round(0.1 * rate_hz)), axis=2)
    per_part = round(PART_S / 0.1)
    swing = _silence(swings, per_part)
    highest = np.maximum(np.median(_parts(swings, per_part).max(axis=2), axis=1), 1e-6)
    motion = np.minimum(swing / qrs / MOTION_RATIO, swing / MOTION_MV)
    motion = np.minimum(motion, swing / highest / MOTION_SHARE)

    baseline = lowpass(signal, rate_hz, 0.8, 2.0)
    apart = round(rate_hz / 2)
    some = slice(None, None, apart // 4)
    change = np.abs(baseline[:, apart:][:, some] - baseline[:, :-apart][:, some])
    wander = np.quantile(change, 0.9, axis=1)
    return noisy, np.maximum(motion, wander / WANDER_MV)


def _mains_share(signal: Signal, rate_hz: float) -> Scores:
    """Return the share of the power above 10 Hz within 1 Hz of 50 or 60 Hz, the larger."""
    if rate_hz < LEAST_HZ:
        return np.zeros(signal.shape[0])
    fast = highpass(signal, rate_hz, 10.0)
    samples = fast.shape[1]
    size = samples if samples <= LONG_S * rate_hz else round(STRETCH_S * rate_hz)
    frequency_hz = np.fft.rfftfreq(size, 1 / rate_hz)
    near = [np.abs(frequency_hz - mains) <= 1 for mains in (50.0, 60.0)]
    sums = np.zeros((3, len(fast)))
    for start in range(0, samples - size + 1, size):  # what is left at the end is short
        power = np.abs(np.fft.rfft(fast[:, start : start + size], axis=1)) ** 2
        sums += [*(power[:, band].sum(axis=1) for band in near), power.sum(axis=1)]
    return np.asarray(np.maximum(*sums[:2]) / np.maximum(sums[2], 1e-12))
