"""Rhythm probabilities become spans: one likeliest course over the whole record.

A rhythm lasts. Frames are joined to steps of a second, and the course is the one with the highest
sum of log probabilities less a price for every change (Viterbi): a change must be seen for some
seconds. What is said with too little certainty, or lasts too short a time, is not said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fascicle.labels import SNOMED, said_rhythm
from fascicle.record import Beat, BeatKind, Diagnosis, Rhythm, Wave

Floats = NDArray[np.float64]

STEP_S = 1.0
CHANGE = 20.0
"""Price of a change, in natural logarithms of probability; half of it is that of each kind."""
BRIEF = MappingProxyType({"VT": 0.2, "SVT": 0.2})
"""Kinds whose half is only this share of the others': they come in short runs."""
SURE = 0.5
"""Least mean probability of a span."""
SHORTEST_S = 5.0
"""A shorter record holds too few beats to name its rhythm."""
LEAST_S: Mapping[str, float] = MappingProxyType({"VT": 1.0, "SVT": 2.0})
"""Shortest span of a kind; `LEAST_OTHERS_S` of all others."""
LEAST_OTHERS_S = 4.0

RUN = 3
"""So many beats of a kind in a row are a tachycardia, at 100 bpm or more."""
SLOWEST_S = 0.6
RUNS: Mapping[str, str] = MappingProxyType({"V": "VT", "S": "SVT"})
"""Kind of the beats -> that of their run."""
NO_RUN: Mapping[str, Sequence[str]] = MappingProxyType(
    {"V": ("paced",), "S": ("AF", "flutter", "paced")}
)
"""Rhythms in which such beats in a row are no tachycardia of their own."""
WITHOUT_P = ("AF", "flutter")
"""Rhythms in which the atria make no P waves."""
KIND_THERE: Mapping[str, Mapping[BeatKind, BeatKind]] = MappingProxyType(
    {"AF": {"S": "N"}, "flutter": {"S": "N"}, "paced": {"N": "Q", "S": "Q"}}
)
"""Rhythm -> kinds that no beat has in it, and what such a beat is: in fibrillation and flutter no
beat of the atria is early, and those that a pacemaker makes are Q (EC57)."""


def find_rhythms(
    probabilities: NDArray[np.float32],
    duration_s: float,
    kinds: Sequence[str],
    change: float = CHANGE,
    sure: float = SURE,
) -> tuple[Rhythm, ...]:
    """Return spans in order of time that do not overlap; what is left out has no known rhythm.

    Parameters
    ----------
    probabilities
        (kind, frame) softmax over the kinds; frames share the record evenly, the last may be cut.
    duration_s
        Length of the record in seconds.
    kinds
        Name of each row.
    change, sure
        Price of a change between two lasting rhythms, and least mean probability of a span.

    Raises
    ------
    ValueError
        If shapes do not match, or a value is no probability.
    """
    if probabilities.ndim != 2 or len(probabilities) != len(kinds):
        raise ValueError(f"expected (kind, frame) of {len(kinds)} kinds, not {probabilities.shape}")
    if probabilities.size and not (probabilities.min() >= 0 and probabilities.max() <= 1.001):
        raise ValueError("probabilities must lie in 0..1; are these logits?")
    frames = probabilities.shape[1]
    if duration_s < SHORTEST_S or not frames:
        return ()
    steps = max(round(duration_s / STEP_S), 1)
    edges = np.linspace(0, frames, min(steps, frames) + 1).round().astype(int)
    counts = np.diff(edges)
    means = np.add.reduceat(probabilities.astype(np.float64), edges[:-1], axis=1) / counts
    half = np.array([change / 2 * BRIEF.get(kind, 1.0) for kind in kinds])
    course = likeliest_course(np.log(np.maximum(means, 1e-6)), half)
    bounds = np.flatnonzero(np.diff(course, prepend=-1, append=-1))
    times = edges * (duration_s / frames)
    found = []
    for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        kind = int(course[first])
        span = Rhythm(float(times[first]), float(times[last]), kinds[kind])
        lasts = span.end_s - span.start_s >= LEAST_S.get(span.kind, LEAST_OTHERS_S)
        if lasts and means[kind, first:last].mean() >= sure:
            found.append(span)
    return tuple(found)


def with_runs(rhythms: Sequence[Rhythm], beats: Sequence[Beat]) -> tuple[Rhythm, ...]:
    """Return the rhythms with each run of ventricular or supraventricular beats in its place.

    By definition three beats or more in a row, at a mean rate of 100 bpm or more, are a
    tachycardia; it lasts from its first beat to the next other one. Runs of supraventricular beats
    count outside fibrillation, flutter and paced rhythm, those of ventricular ones outside paced
    rhythm.
    """
    times = [beat.time_s for beat in beats]
    runs: list[Rhythm] = []
    for letter, name in RUNS.items():
        without = np.array(_during(times, rhythms, NO_RUN[letter]), dtype=bool)
        own = np.array([beat.kind == letter for beat in beats], dtype=bool) & ~without
        edges = np.flatnonzero(np.diff(own, prepend=False, append=False)).reshape(-1, 2)
        for first, after in edges.tolist():
            step_s = (times[after - 1] - times[first]) / max(after - first - 1, 1)
            if after - first >= RUN and step_s <= SLOWEST_S:
                next_s = times[after] if after < len(times) else np.inf
                end_s = min(times[after - 1] + step_s, next_s)
                runs.append(Rhythm(times[first], end_s, name))
    runs.sort(key=lambda run: run.start_s)
    rest = [part for span in rhythms for part in _outside(span, runs)]
    joined: list[Rhythm] = []
    for span in sorted([*rest, *runs], key=lambda span: span.start_s):
        if joined and (joined[-1].kind, joined[-1].end_s) == (span.kind, span.start_s):
            joined[-1] = replace(joined[-1], end_s=span.end_s)
        else:
            joined.append(span)
    return tuple(joined)


def _outside(span: Rhythm, runs: Sequence[Rhythm]) -> Iterator[Rhythm]:
    """Yield what is left of a span without the runs, which are in order of time."""
    start_s = span.start_s
    for run in runs:
        if start_s < run.end_s and run.start_s < span.end_s:
            if start_s < run.start_s:
                yield replace(span, start_s=start_s, end_s=run.start_s)
            start_s = run.end_s
    if start_s < span.end_s:
        yield replace(span, start_s=start_s)


def leave_out_p(waves: Iterable[Wave], rhythms: Iterable[Rhythm]) -> tuple[Wave, ...]:
    """Return the waves less the P waves that begin in a rhythm without any."""
    every = tuple(waves)
    onsets = [np.nan if wave.onset_s is None else wave.onset_s for wave in every]
    there = _during(onsets, rhythms, WITHOUT_P)
    return tuple(
        wave for wave, without in zip(every, there, strict=True) if wave.kind != "P" or not without
    )


def named_by_rhythm(beats: Iterable[Beat], rhythms: Sequence[Rhythm]) -> tuple[Beat, ...]:
    """Return the beats, each of a kind that its rhythm knows (`KIND_THERE`)."""
    every = tuple(beats)
    times = [beat.time_s for beat in every]
    for kind, names in KIND_THERE.items():
        inside = _during(times, rhythms, (kind,))
        every = tuple(
            replace(beat, kind=names[beat.kind]) if there and beat.kind in names else beat
            for beat, there in zip(every, inside, strict=True)
        )
    return every


def rhythm_doubts(rhythms: Sequence[Rhythm], diagnoses: Iterable[Diagnosis]) -> list[str]:
    """Return a warning if the diagnoses present name one kind of rhythm, and no span has it.

    The two come of different heads: the one sees each time, the other the record as a whole.
    """
    present = {one.code: one for one in diagnoses if one.present and one.system == SNOMED}
    said = said_rhythm({SNOMED: frozenset(present)})
    kinds = {span.kind for span in rhythms}
    lasting = sorted(kinds - set(RUNS.values()))
    if said is None or not lasting or said in kinds:
        return []
    if "other" in kinds:  # it may be one that a diagnosis calls by the atria alone
        return []
    names = [
        f"{one.name} ({one.probability:.0%})"
        for code, one in present.items()
        if said_rhythm({SNOMED: frozenset({code})})
    ]
    return [f"rhythm is {', '.join(lasting)}, but diagnoses say {', '.join(names)}"]


def _during(
    times_s: Sequence[float], rhythms: Iterable[Rhythm], kinds: Sequence[str]
) -> list[bool]:
    """Return which times lie in a rhythm of these kinds; rhythms do not overlap."""
    spans = sorted((span.start_s, span.end_s) for span in rhythms if span.kind in kinds)
    start, end = np.array([*spans, (np.inf, -np.inf)]).T
    at = np.searchsorted(start, times_s, side="right") - 1  # -1, the last, before the first
    inside: list[bool] = (np.array(times_s) < end[at]).tolist()
    return inside


def likeliest_course(log: Floats, half: Floats) -> NDArray[np.intp]:
    """Return the row (step,) at each step: most of the sum of log (row, step), less the changes.

    A change costs what `half` (row,) says of both its rows.
    """
    rows, steps = log.shape
    price = (half[:, None] + half) * (1 - np.eye(rows))
    before = np.empty((steps, rows), dtype=np.intp)
    best = log[:, 0].copy()
    for step in range(1, steps):
        worth = best - price  # (to, from)
        before[step] = worth.argmax(axis=1)
        best = worth.max(axis=1) + log[:, step]
    course = np.empty(steps, dtype=np.intp)
    course[-1] = best.argmax()
    for step in range(steps - 1, 0, -1):
        course[step - 1] = before[step, course[step]]
    return course
