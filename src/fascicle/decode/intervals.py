"""Consensus waves and beats become the intervals that a cardiologist reads.

Global intervals, from the earliest onset to the latest offset over the leads; value = median over
beats, with standard deviation and number of beats. What cannot be measured is None, with a reason
in the warnings that begins with the interval's key.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fascicle.decode.axis import frontal_axis
from fascicle.record import INTERVALS, WAVE_KINDS, Beat, Measure, Wave, WaveKind

Floats = NDArray[np.float64]

SHORTEST_PR_S, LONGEST_PR_S = 0.08, 0.4
LONGEST_QT_S = 0.8
REACH_S = 0.1  # an R peak may lie this far outside the QRS that it belongs to
UNSTEADY_PR_MS = 40.0
BESIDE_NORMAL = ("V", "F", "Q")
ONLY_ABERRANT = "every beat is ventricular, fusion or paced"
NO_QRS = "no whole QRS that belongs to a beat"


class _Spans(NamedTuple):
    onset: Floats
    offset: Floats


def intervals(
    waves: Sequence[Wave],
    beats: Sequence[Beat],
    signal: Mapping[str, NDArray[np.float32]],
    rate_hz: float,
) -> tuple[dict[str, Measure | None], list[str]]:
    """Return every interval of `record.INTERVALS`, and the warnings that explain gaps and doubts.

    Parameters
    ----------
    waves
        Consensus waves (lead None); others are left out.
    beats
        Beats with their classes. Ventricular, fusion and paced beats (V, F, Q) count for rate and
        RR only; if there are no others QRS, QT and axis are theirs, and P and PR are refused.
        Without beats each QRS counts as a normal beat.
    signal
        Cleaned leads by name, mV, (sample,); the axis needs I and aVF. Waves that touch an end of
        the record are not measured.
    rate_hz
        Samples per second of `signal`.
    """
    warnings: list[str] = []
    samples = max((row.size for row in signal.values()), default=math.inf)
    inner = (1.5 / rate_hz, (samples - 2.5) / rate_hz)  # one sample away from both ends
    spans = {kind: _spans(waves, kind, inner) for kind in WAVE_KINDS}
    times, aberrant = _beat_times(waves, beats, warnings)
    found: dict[str, Measure | None] = dict.fromkeys(INTERVALS)
    found |= _rates(times, warnings)
    qrs = _measured_qrs(spans["QRS"], times, aberrant, warnings)
    if qrs.size:
        found["qrs_ms"] = _measure(1000 * (spans["QRS"].offset - spans["QRS"].onset)[qrs])
    else:
        warnings.append(f"qrs_ms: {NO_QRS}")
    if aberrant.size and aberrant.all():
        found |= _refused(("p_ms", "pr_ms"), ONLY_ABERRANT, warnings)
    else:
        found |= _atrial(spans, qrs, warnings)
    found |= _repolarisation(spans, qrs, found["rr_ms"], warnings)
    axis, reason = frontal_axis(signal, rate_hz, spans["QRS"].onset[qrs], spans["QRS"].offset[qrs])
    found["axis_deg"] = axis
    if reason:
        warnings.append(f"axis_deg: {reason}")
    return found, warnings


def corrected_qt_ms(qt_ms: Floats, rr_ms: float) -> dict[str, Floats]:
    """Return QT at a heart rate of 60 per minute, ms, by the key of each formula.

    Bazett (1920) `QT / RR^(1/2)`, Fridericia (1920) `QT / RR^(1/3)`, Framingham (Sagie 1992)
    `QT + 0.154 (1 - RR)`; RR and QT in seconds.
    """
    rr_s = rr_ms / 1000
    return {
        "qtc_fridericia_ms": qt_ms / rr_s ** (1 / 3),
        "qtc_bazett_ms": qt_ms / math.sqrt(rr_s),
        "qtc_framingham_ms": qt_ms + 154 * (1 - rr_s),
    }


def _spans(waves: Sequence[Wave], kind: WaveKind, inner: tuple[float, float]) -> _Spans:
    """Return the consensus waves of a kind that lie inside `inner`, in order of time."""
    rows = sorted(
        (wave.onset_s, wave.offset_s)
        for wave in waves
        if wave.lead is None
        and wave.kind == kind
        and wave.onset_s is not None
        and wave.offset_s is not None
        and inner[0] < wave.onset_s < wave.offset_s < inner[1]
    )
    table = np.array(rows, dtype=np.float64).reshape(-1, 2)
    return _Spans(table[:, 0], table[:, 1])


def _beat_times(
    waves: Sequence[Wave], beats: Sequence[Beat], warnings: list[str]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the beats' times in order, and which are not conducted normally."""
    if not beats:
        peaks = sorted(
            wave.peak_s
            for wave in waves
            if wave.lead is None and wave.kind == "QRS" and wave.peak_s is not None
        )
        if peaks:
            warnings.append("intervals: no beats were given, so each QRS counts as a normal beat")
        return np.array(peaks, dtype=np.float64), np.zeros(len(peaks), dtype=bool)
    ordered = sorted(beats, key=lambda beat: beat.time_s)
    times = np.array([beat.time_s for beat in ordered], dtype=np.float64)
    return times, np.array([beat.kind in BESIDE_NORMAL for beat in ordered], dtype=bool)


def _rates(times: Floats, warnings: list[str]) -> dict[str, Measure | None]:
    """Return RR and heart rate.

    RR is the median over beats of the mean of two successive intervals: the median RR of a regular
    rhythm, the mean of short and long in bigeminy, and not moved by a pause or a missed beat.
    """
    rr_ms = 1000 * np.diff(times)
    rr_ms = rr_ms[rr_ms > 0]
    if rr_ms.size == 0:
        return _refused(
            ("heart_rate_bpm", "rr_ms"), f"needs two beats, found {times.size}", warnings
        )
    pairs = (rr_ms[1:] + rr_ms[:-1]) / 2
    value = float(np.median(pairs if pairs.size else rr_ms))
    count = int(rr_ms.size)
    return {
        "heart_rate_bpm": Measure(60000 / value, float(np.std(60000 / rr_ms)), count),
        "rr_ms": Measure(value, float(np.std(rr_ms)), count),
    }


def _measured_qrs(
    qrs: _Spans, times: Floats, aberrant: NDArray[np.bool_], warnings: list[str]
) -> NDArray[np.intp]:
    """Return the QRS that belong to a beat, without V, F and Q unless there are no others."""
    if qrs.onset.size == 0 or times.size == 0:
        return np.zeros(0, dtype=np.intp)
    middle = (qrs.onset + qrs.offset) / 2
    after = np.clip(np.searchsorted(times, middle), 0, times.size - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(times[before] - middle) < np.abs(times[after] - middle)
    beat = np.where(nearer, before, after)
    near = (times[beat] >= qrs.onset - REACH_S) & (times[beat] <= qrs.offset + REACH_S)
    normal = np.flatnonzero(near & ~aberrant[beat])
    if not (aberrant.all() and near.any()):
        return normal
    warnings.append(f"intervals: {ONLY_ABERRANT}; these were measured")
    return np.flatnonzero(near)


def _atrial(
    spans: Mapping[WaveKind, _Spans], qrs: NDArray[np.intp], warnings: list[str]
) -> dict[str, Measure | None]:
    """Return P duration and PR, from the last P before each measured QRS."""
    p, ventricle = spans["P"], spans["QRS"]
    onset = ventricle.onset[qrs]
    previous_end = np.where(qrs > 0, ventricle.offset[np.maximum(qrs - 1, 0)], -np.inf)
    last = np.searchsorted(p.onset, onset) - 1
    mine = last >= 0
    if p.onset.size:
        start = p.onset[np.maximum(last, 0)]
        pr_s = onset - start
        mine &= (start >= previous_end) & (pr_s >= SHORTEST_PR_S) & (pr_s <= LONGEST_PR_S)
    if qrs.size == 0 or 2 * mine.sum() < qrs.size:
        reason = f"a P wave leads to {mine.sum()} of {qrs.size} beats, under half"
        reason = reason if qrs.size else NO_QRS
        return _refused(("p_ms", "pr_ms"), reason, warnings)
    chosen = last[mine]
    pr = _measure(1000 * pr_s[mine])
    if pr.sd > UNSTEADY_PR_MS:
        warnings.append(f"pr_ms: varies from beat to beat, standard deviation {pr.sd:.0f} ms")
    return {"p_ms": _measure(1000 * (p.offset - p.onset)[chosen]), "pr_ms": pr}


def _repolarisation(
    spans: Mapping[WaveKind, _Spans],
    qrs: NDArray[np.intp],
    rr_ms: Measure | None,
    warnings: list[str],
) -> dict[str, Measure | None]:
    """Return QT and its corrections.

    The corrections take the printed QT and the printed RR, as electrocardiographs do: QT follows
    the rate over a minute, not the one preceding interval.
    """
    t, ventricle = spans["T"], spans["QRS"]
    keys = ("qtc_fridericia_ms", "qtc_bazett_ms", "qtc_framingham_ms")
    onset = ventricle.onset[qrs]
    next_onset = np.append(ventricle.onset[1:], np.inf)[qrs]
    first = np.searchsorted(t.onset, onset)
    mine = first < t.onset.size
    if t.onset.size:
        index = np.minimum(first, t.onset.size - 1)
        qt_s = t.offset[index] - onset
        mine &= (t.onset[index] < next_onset) & (qt_s <= LONGEST_QT_S)
    if qrs.size == 0 or 2 * mine.sum() < qrs.size:
        reason = f"a T wave follows {mine.sum()} of {qrs.size} beats, under half"
        reason = reason if qrs.size else NO_QRS
        return _refused(("qt_ms", *keys), reason, warnings)
    qt_ms = 1000 * qt_s[mine]
    found: dict[str, Measure | None] = {"qt_ms": _measure(qt_ms)}
    if rr_ms is None:
        return found | _refused(keys, "needs RR, which needs two beats", warnings)
    return found | {
        key: _measure(values) for key, values in corrected_qt_ms(qt_ms, rr_ms.value).items()
    }


def _refused(keys: Sequence[str], reason: str, warnings: list[str]) -> dict[str, Measure | None]:
    warnings.extend(f"{key}: {reason}" for key in keys)
    return dict.fromkeys(keys)


def _measure(values_ms: Floats) -> Measure:
    return Measure(float(np.median(values_ms)), float(np.std(values_ms)), int(values_ms.size))
