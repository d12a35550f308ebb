"""Targets: the annotations of one window become arrays (target, weight), one function per task.

Each takes (entry, start, samples, rate_hz, vocabulary); the weight is 0 where nothing is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fascicle.data.beat_windows import beat_near, class_of
from fascicle.data.pack import Entry
from fascicle.labels import Vocabulary, rewrite, rhythm_kinds, said_rhythm
from fascicle.record import BEAT_KINDS, LEADS, WAVE_KINDS, Wave

Target = tuple[NDArray[np.float32], NDArray[np.float32]]

BUMP_S = 0.02
"""Standard deviation of the bump that marks an R peak."""
KIND_REACH_S = 0.06
"""The kind of a beat is learnt this far to each side of its R peak."""
NO_P, SOME_P = 4, 5
"""What a rhythm tells of the samples of a lead: none is of a P wave, or some are."""
P_OF_RHYTHM: Mapping[str, int] = {"AF": NO_P, "flutter": NO_P, "sinus": SOME_P}
RHYTHM_WEIGHT = 0.25
"""What such a sample counts beside one whose wave is marked."""
UNSURE_S = 0.2
"""Reach of the doubt before a peak whose onset is not marked (and after one without offset)."""


def waves_target(
    entry: Entry, start: int, samples: int, rate_hz: float, _: Vocabulary | None
) -> Target:
    """Return classes (lead, sample), 0 none, 1 P, 2 QRS, 3 T, and weights (lead, sample).

    A lead counts from its first mark to its last (the LUDB convention of docs/metrics.md). Where no
    waves are marked, rhythms teach: `NO_P` in fibrillation and flutter, `SOME_P` in sinus rhythm.
    """
    if not entry.waves:
        return _p_of_rhythms(entry, start, samples, rate_hz)
    target = np.zeros((len(LEADS), samples), dtype=np.float32)
    weight = np.zeros_like(target)
    for row, lead in enumerate(LEADS):
        waves = [wave for wave in entry.waves if wave.lead == lead]
        marks = [m for w in waves for m in (w.onset_s, w.peak_s, w.offset_s) if m is not None]
        if marks:
            weight[row, _span(min(marks), max(marks), start, samples, rate_hz)] = 1
        for wave in waves:
            _draw_wave(target[row], weight[row], wave, start, rate_hz)
    return target, weight


def _p_of_rhythms(entry: Entry, start: int, samples: int, rate_hz: float) -> Target:
    """Return what rhythms tell of P waves, in every recorded lead."""
    target = np.zeros((len(LEADS), samples), dtype=np.float32)
    weight = np.zeros_like(target)
    there = np.isin(LEADS, entry.leads)
    for inside, kind in _told_rhythms(entry, start, samples, rate_hz):
        code = P_OF_RHYTHM.get(kind or "")
        if code is not None:
            target[there, inside] = code
            weight[there, inside] = RHYTHM_WEIGHT
    return target, weight


def _draw_wave(
    target: NDArray[np.float32],
    weight: NDArray[np.float32],
    wave: Wave,
    start: int,
    rate_hz: float,
) -> None:
    peak = wave.peak_s
    onset, offset = wave.onset_s, wave.offset_s
    if onset is None:
        if peak is None:
            return
        weight[_span(peak - UNSURE_S, peak, start, len(weight), rate_hz)] = 0
        onset = peak
    if offset is None:
        if peak is None:
            return
        weight[_span(peak, peak + UNSURE_S, start, len(weight), rate_hz)] = 0
        offset = peak
    inside = _span(onset, offset, start, len(target), rate_hz)
    target[inside] = 1 + WAVE_KINDS.index(wave.kind)


def beats_target(
    entry: Entry, start: int, samples: int, rate_hz: float, _: Vocabulary | None
) -> Target:
    """Return (2, sample): a bump at each R peak and the kind's index; and the weights of both.

    Where only waves are marked, QRS peaks teach where beats are, not which.
    """
    target = np.zeros((2, samples), dtype=np.float32)
    weight = np.zeros_like(target)
    if "beats" in entry.annotated:
        times = [(beat.time_s, BEAT_KINDS.index(beat.kind)) for beat in entry.beats]
        weight[0] = 1
    else:
        times = [(time_s, -1) for time_s in _qrs_times(entry)]
        if times:
            reach = 2 * KIND_REACH_S
            weight[0, _span(times[0][0] - reach, times[-1][0] + reach, start, samples, rate_hz)] = 1
    clock = (start + np.arange(samples)) / rate_hz
    for time_s, kind in times:
        near = _span(time_s - 0.1, time_s + 0.1, start, samples, rate_hz)
        bump = np.exp(-0.5 * ((clock[near] - time_s) / BUMP_S) ** 2)
        np.maximum(target[0, near], bump, out=target[0, near])
        if kind >= 0:
            close = _span(time_s - KIND_REACH_S, time_s + KIND_REACH_S, start, samples, rate_hz)
            target[1, close] = kind
            weight[1, close] = 1
    weight[:, max(entry.samples - start, 0) :] = 0
    return target, weight


def _qrs_times(entry: Entry) -> list[float]:
    """Return a time per QRS that at least half of the leads mark: the median of their peaks."""
    peaks = sorted(w.peak_s for w in entry.waves if w.kind == "QRS" and w.peak_s is not None)
    leads = len({wave.lead for wave in entry.waves})
    if not peaks:
        return []
    groups = np.split(np.asarray(peaks), np.flatnonzero(np.diff(peaks) > 0.1) + 1)
    return [float(np.median(group)) for group in groups if 2 * len(group) >= leads]


def rhythm_target(
    entry: Entry, start: int, samples: int, rate_hz: float, vocabulary: Vocabulary | None
) -> Target:
    """Return (1, sample): the place of the rhythm in the vocabulary; and weights of that shape.

    Marks count where there are any. Without, a statement that names one kind of rhythm holds for
    the whole record; a mark or a record that names none, or several, has weight 0.
    """
    assert vocabulary is not None
    places = {term.code: place for place, term in enumerate(vocabulary.terms)}
    target = np.zeros((1, samples), dtype=np.float32)
    weight = np.zeros_like(target)
    for inside, kind in _told_rhythms(entry, start, samples, rate_hz):
        if kind in places:
            target[0, inside] = places[kind]
            weight[0, inside] = 1
    return target, weight


def _told_rhythms(
    entry: Entry, start: int, samples: int, rate_hz: float
) -> list[tuple[slice, str | None]]:
    """Return the parts of a window whose rhythm is told, and which it is."""
    spans = [(0.0, entry.samples / rate_hz, said_rhythm(entry.labels))]
    if "rhythms" in entry.annotated:
        kinds = rhythm_kinds()
        spans = [(span.start_s, span.end_s, kinds.get(span.kind)) for span in entry.rhythms]
    end = min(entry.samples - start, samples)
    edges = [
        [min(max(round(time_s * rate_hz) - start, 0), max(end, 0)) for time_s in span[:2]]
        for span in spans
    ]
    return [(slice(*edge), span[2]) for edge, span in zip(edges, spans, strict=True)]


def labels_target(
    entry: Entry, start: int, samples: int, rate_hz: float, vocabulary: Vocabulary | None
) -> Target:
    """Return (class,) and the weights: a class is known where its code system is."""
    del start, samples, rate_hz
    assert vocabulary is not None
    target, known = vocabulary.encode(entry.labels)
    return target.astype(np.float32), known.astype(np.float32)


def rewritten_target(
    entry: Entry, start: int, samples: int, rate_hz: float, vocabulary: Vocabulary | None
) -> Target:
    """Return what `labels_target` does, with rhythm labels rewritten."""
    return labels_target(
        replace(entry, labels=rewrite(entry.labels)), start, samples, rate_hz, vocabulary
    )


def beat_class_target(
    entry: Entry, start: int, samples: int, rate_hz: float, vocabulary: Vocabulary | None
) -> Target:
    """Return (class,), one-hot, of the beat in the middle of the window, and one weight (1,).

    A beat of none of the classes has weight 0.
    """
    assert vocabulary is not None
    names = [term.code for term in vocabulary.terms]
    target, weight = np.zeros(len(names), dtype=np.float32), np.zeros(1, dtype=np.float32)
    place = class_of(entry, beat_near(entry, (start + samples // 2) / rate_hz), names)
    if place >= 0:
        target[place] = weight[0] = 1
    return target, weight


def timing_target(
    entry: Entry, start: int, samples: int, rate_hz: float, _: Vocabulary | None
) -> Target:
    """Return (2,), how early the beat in the middle and the next one come, and one weight (1,).

    The intervals to the beat before and after, over the median of the 16 around, less 1, within
    -1 and 1. A record's first and last beats have weight 0. Needs the beats' times alone.
    """
    place = beat_near(entry, (start + samples // 2) / rate_hz)
    times = [beat.time_s for beat in entry.beats[max(place - 8, 0) : place + 9]]
    here = min(place, 8)
    if here == 0 or here == len(times) - 1:
        return np.zeros(2, dtype=np.float32), np.zeros(1, dtype=np.float32)
    intervals = np.diff(times)
    relative = intervals[here - 1 : here + 1] / max(float(np.median(intervals)), 1e-3) - 1
    return np.clip(relative, -1, 1).astype(np.float32), np.ones(1, dtype=np.float32)


def _span(low_s: float, high_s: float, start: int, samples: int, rate_hz: float) -> slice:
    """Return the samples of the window from low_s to high_s, both included."""
    low = int(np.ceil(low_s * rate_hz - 1e-6)) - start
    high = int(np.floor(high_s * rate_hz + 1e-6)) - start + 1
    return slice(min(max(low, 0), samples), min(max(high, 0), samples))
