"""Annotations beside a WFDB record as beats, rhythms and waves; and findings as such a file."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from fascicle.errors import BadFile
from fascicle.files import write_whole
from fascicle.io.marks import BEATS, Mark, decode_marks, encode_marks
from fascicle.io.raw import read_bytes
from fascicle.labels import UNSAID, aami_kind, rhythm_mark
from fascicle.record import LEADS, Beat, Record, Rhythm, Wave, WaveKind

PEAKS: dict[str, WaveKind] = {"p": "P", "N": "QRS", "t": "T"}
NEAR_S = 0.02
REPEAT_S = 0.1
GAP_S = 0.5
"""Rhythms that are closer than this follow each other."""
WAVE_NUMBER: dict[WaveKind, int] = {"P": 0, "QRS": 1, "T": 2}


def annotate(record: Record, base: Path, ticks_hz: float) -> Record:
    """Return the record with the annotations found beside it.

    A damaged file is left out with a warning, as if it were not there.

    Parameters
    ----------
    record
        A WFDB record.
    base
        The record's path without suffix.
    ticks_hz
        The annotations' clock, unless their file states another: frames per second.
    """
    record = _add_beats(record, base, ticks_hz)
    waves: list[Wave] = []
    found: list[str] = []
    warnings: list[str] = []
    for lead in LEADS:
        path = Path(f"{base}.{lead.lower()}")
        if lead in record.leads and path.is_file():
            marks = _marks(path, record, ticks_hz, warnings)
            if marks is not None:
                found.append(lead)
                waves += _waves(marks, lead, path, warnings)
    if found:
        absent = [lead for lead in record.leads if lead not in found]
        warnings += [f"no waves are annotated in lead {lead}" for lead in absent]
        record = replace(
            record, waves=(*record.waves, *waves), annotated=record.annotated | {"waves"}
        )
    return replace(record, warnings=(*record.warnings, *warnings))


def _marks(
    path: Path, record: Record, ticks_hz: float, warnings: list[str]
) -> list[tuple[float, Mark]] | None:
    """Return the marks of a file with their times inside the record; None if it is damaged."""
    try:
        marks, stated_hz = decode_marks(read_bytes(path))
    except (ValueError, BadFile) as error:
        warnings.append(f"{path.name} is left out: {error}")
        return None
    rate_hz = stated_hz or ticks_hz
    timed = [(mark.sample / rate_hz, mark) for mark in marks]
    inside = [(time_s, mark) for time_s, mark in timed if time_s < record.duration_s]
    if len(inside) < len(timed):
        warnings.append(f"{path.name} has {len(timed) - len(inside)} marks after the record's end")
    return inside


def _add_beats(record: Record, base: Path, ticks_hz: float) -> Record:
    path = Path(f"{base}.atr")
    warnings: list[str] = []
    marks = _marks(path, record, ticks_hz, warnings) if path.is_file() else None
    if marks is None:
        return replace(record, warnings=(*record.warnings, *warnings))
    beats = tuple(
        Beat(time_s, aami_kind(mark.symbol) or "Q", symbol=mark.symbol)
        for time_s, mark in marks
        if mark.symbol in BEATS
    )
    unclassed = sorted({beat.symbol for beat in beats if aami_kind(beat.symbol) is None})
    if unclassed:
        warnings.append(f"beats marked {' '.join(unclassed)} have no AAMI class: taken as Q")
    changes = [
        (t, mark.aux[1:].strip()) for t, mark in marks if mark.symbol == "+" and mark.aux[:1] == "("
    ]
    ends = [*(time_s for time_s, _ in changes), record.duration_s][1:]
    rhythms = tuple(
        Rhythm(start, end, kind)
        for (start, kind), end in zip(changes, ends, strict=True)
        if end > start
    )
    parts = {name for name, found in (("beats", beats), ("rhythms", rhythms)) if found}
    return replace(
        record,
        beats=beats,
        rhythms=rhythms,
        annotated=record.annotated | parts,
        warnings=(*record.warnings, *warnings),
    )


def _waves(
    marks: Sequence[tuple[float, Mark]], lead: str, path: Path, warnings: list[str]
) -> list[Wave]:
    """Return the waves of one lead's marks "(", peak, ")"; a bracket may be absent.

    In some records of LUDB a peak stands just before its "(" or just after its ")", and a few waves
    are marked several times over: of such a run the middle mark counts.
    """
    once = _without_repeats(marks)
    if len(once) < len(marks):
        warnings.append(f"{path.name} has {len(marks) - len(once)} marks more than once")
    waves: list[Wave] = []
    onset_s: float | None = None
    pair: tuple[float, float] | None = None
    lost = 0
    for time_s, mark in once:
        last = waves[-1] if waves and waves[-1].offset_s is None else None
        if mark.symbol == "(":
            lost += onset_s is not None
            onset_s = time_s
        elif mark.symbol in PEAKS:
            kind = PEAKS[mark.symbol]
            if pair is not None and time_s - pair[1] <= NEAR_S:
                waves.append(Wave(lead, kind, pair[0], time_s, pair[1]))
            else:
                lost += 2 * (pair is not None)
                waves.append(Wave(lead, kind, onset_s, time_s, None))
                onset_s = None
            pair = None
        elif mark.symbol == ")" and onset_s is None:
            if last is None:
                lost += 1
            else:
                waves[-1] = replace(last, offset_s=time_s)
        elif mark.symbol == ")" and onset_s is not None:
            if last is not None and last.onset_s is None and _near(last.peak_s, onset_s):
                waves[-1] = replace(last, onset_s=onset_s, offset_s=time_s)
            else:
                lost += 2 * (pair is not None)
                pair = (onset_s, time_s)
            onset_s = None
    lost += 2 * (pair is not None) + (onset_s is not None)
    if lost:
        warnings.append(f"{path.name} has {lost} boundaries that belong to no wave")
    return waves


def _near(peak_s: float | None, onset_s: float) -> bool:
    return peak_s is not None and onset_s - peak_s <= NEAR_S


def _without_repeats(marks: Sequence[tuple[float, Mark]]) -> list[tuple[float, Mark]]:
    """Return the marks with each run of one symbol within `REPEAT_S` replaced by its middle one."""
    runs: list[list[tuple[float, Mark]]] = []
    for item in marks:
        same = runs and runs[-1][0][1].symbol == item[1].symbol
        if same and item[0] - runs[-1][0][0] <= REPEAT_S:
            runs[-1].append(item)
        else:
            runs.append([item])
    return [run[len(run) // 2] for run in runs]


def write_annotations(
    path: Path | str,
    record_rate_hz: float,
    waves: Iterable[Wave],
    beats: Iterable[Beat],
    rhythms: Sequence[Rhythm] = (),
    duration_s: float = 0.0,
) -> None:
    """Write the consensus waves (lead None), beats and rhythms as a WFDB annotation file, or none.

    Waves are "(", "p", "N" or "t", ")", with the wave's number (P 0, QRS 1, T 2) in `num`; a QRS
    that a beat lies in has the beat's class in place of "N". Kinds of rhythm are marks of MIT-BIH
    such as "(AFIB", which hold until the next one; "(UNKNOWN" ends one that nothing follows before
    `duration_s`. `wfdb.rdann` reads the file.

    Raises
    ------
    ValueError
        The rate is not positive, or a time is negative or not finite.
    """
    path = Path(path)
    if not (math.isfinite(record_rate_hz) and record_rate_hz > 0):
        raise ValueError(f"record_rate_hz must be positive, not {record_rate_hz}")
    marks = _rhythm_marks(rhythms, duration_s)
    marks += _consensus(list(waves), sorted(beats, key=lambda beat: beat.time_s))
    if not all(math.isfinite(time_s) and time_s >= 0 for time_s, _ in marks):
        raise ValueError("times must be finite and not negative")
    timed = [replace(mark, sample=round(time_s * record_rate_hz)) for time_s, mark in marks]
    content = encode_marks(sorted(timed, key=lambda mark: mark.sample), record_rate_hz)
    write_whole(path, content)


def _rhythm_marks(rhythms: Sequence[Rhythm], duration_s: float) -> list[tuple[float, Mark]]:
    """Return where each rhythm begins, and where one ends that no other follows at once."""
    marks = []
    following = [*(span.start_s for span in rhythms), duration_s][1:]
    for span, next_s in zip(rhythms, following, strict=False):
        marks.append((span.start_s, Mark(0, "+", aux=f"({rhythm_mark(span.kind)}")))
        if next_s - span.end_s > GAP_S:
            marks.append((span.end_s, Mark(0, "+", aux=f"({UNSAID}")))
    return marks


def _consensus(waves: list[Wave], beats: list[Beat]) -> list[tuple[float, Mark]]:
    """Return marks with their times, wave by wave, so that brackets stay in pairs."""
    times = [beat.time_s for beat in beats]
    free = [True] * len(beats)
    groups: list[list[tuple[float, Mark]]] = []
    for wave in waves:
        bounds = [t for t in (wave.onset_s, wave.peak_s, wave.offset_s) if t is not None]
        if wave.lead is not None or not bounds:
            continue
        inside = range(bisect_left(times, min(bounds)), bisect_right(times, max(bounds)))
        inside = inside if wave.kind == "QRS" else range(0)
        for index in inside:
            free[index] = False
        groups.append(_wave_marks(wave, [beats[index] for index in inside]))
    groups += [
        [(b.time_s, Mark(0, b.kind, 1))] for b, alone in zip(beats, free, strict=True) if alone
    ]
    return [mark for group in sorted(groups, key=lambda group: group[0][0]) for mark in group]


def _wave_marks(wave: Wave, beats: list[Beat]) -> list[tuple[float, Mark]]:
    """Return a wave's marks in order; `beats`, if any, stand for its peak."""
    number = WAVE_NUMBER[wave.kind]
    peak = next(symbol for symbol, kind in PEAKS.items() if kind == wave.kind)
    marks = [(beat.time_s, Mark(0, beat.kind, number)) for beat in beats]
    if wave.peak_s is not None and not beats:
        marks = [(wave.peak_s, Mark(0, peak, number))]
    if wave.onset_s is not None:
        marks.insert(0, (wave.onset_s, Mark(0, "(", number)))
    if wave.offset_s is not None:
        marks.append((wave.offset_s, Mark(0, ")", number)))
    return marks
