"""Windows around known beats: which class each has, how they part, how they are mixed.

Classes are names: "normal" and "abnormal" go by the beat's own symbol (normal is "N" and nothing
else), NSVT, SVTA, AFIB and AFL by the rhythm at the beat, and "other" is any beat that has none of
the classes beside it; "any" alone is every beat. For the parameter-sharing paper's two problems.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fascicle.data.pack import Entry
from fascicle.errors import BadData, BadRequest

ANOMALY = ("normal", "abnormal")
ARRHYTHMIAS = ("NSVT", "SVTA", "AFIB", "AFL")
OTHER = "other"
ANY = "any"
SUSTAINED_S = 30.0
"""A run of ventricular tachycardia from this length on is no NSVT."""

PARTS = ("train", "validation", "test")
Spans = Mapping[str, tuple[float, float]]
"""Part -> which share of a record it takes, from and to."""


@dataclass(frozen=True, slots=True)
class BeatWindows:
    """Arrays (window,): place among the entries, first sample, time of the beat, class index."""

    entry: NDArray[np.int64]
    start: NDArray[np.int64]
    time_s: NDArray[np.float64]
    label: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.entry)

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> BeatWindows:
        """Return the windows of a mask or of places."""
        return BeatWindows(
            self.entry[chosen], self.start[chosen], self.time_s[chosen], self.label[chosen]
        )

    def places(self) -> tuple[tuple[int, int], ...]:
        """Return (place among the entries, first sample) of each, as `batch.Group` takes them."""
        return tuple(zip(self.entry.tolist(), self.start.tolist(), strict=True))


def beat_near(entry: Entry, time_s: float) -> int:
    """Return the place of the beat nearest to a time. Raises BadData if there is none."""
    if not entry.beats:
        raise BadData(f"{entry.key}: a window around a beat, and no beat is marked")
    after = bisect_left(entry.beats, time_s, key=lambda beat: beat.time_s)
    around = [place for place in (after - 1, after) if 0 <= place < len(entry.beats)]
    return min(around, key=lambda place: abs(entry.beats[place].time_s - time_s))


def class_of(entry: Entry, place: int, names: Sequence[str]) -> int:
    """Return the index in `names` of a beat's class, -1 where it has none of them.

    Raises
    ------
    BadData
        If "normal" or "abnormal" is asked of a beat without its annotator's symbol.
    """
    if ANY in names:
        return 0
    beat = entry.beats[place]
    if "abnormal" in names:
        if not beat.symbol:
            raise BadData(f"{entry.key}: the beat at {beat.time_s:.2f} s has no symbol")
        return names.index(ANOMALY[beat.symbol != "N"])
    found = arrhythmia_at(entry, beat.time_s)
    if found in names:
        return names.index(found)
    return names.index(OTHER) if OTHER in names else -1


def arrhythmia_at(entry: Entry, time_s: float) -> str:
    """Return the one of `ARRHYTHMIAS` that holds at a time, "" if none does."""
    place = bisect_right(entry.rhythms, time_s, key=lambda rhythm: rhythm.start_s) - 1
    if place < 0 or time_s >= entry.rhythms[place].end_s:
        return ""
    rhythm = entry.rhythms[place]
    if rhythm.kind == "VT":
        return "NSVT" if rhythm.end_s - rhythm.start_s < SUSTAINED_S else ""
    return rhythm.kind if rhythm.kind in ARRHYTHMIAS else ""


def check_classes(names: Sequence[str]) -> None:
    """Refuse names that are no classes of beats, or do not go together (BadRequest)."""
    if tuple(names) == (ANY,):
        return
    anomaly, rhythm = set(names) <= set(ANOMALY), set(names) <= {*ARRHYTHMIAS, OTHER}
    if len(set(names)) < 2 or not (anomaly or rhythm):
        raise BadRequest(
            f"classes of beats are {' and '.join(ANOMALY)}, or two and more of "
            f"{', '.join((*ARRHYTHMIAS, OTHER))}, or {ANY} alone; found "
            f"{', '.join(names) or 'none'}"
        )


def find_windows(
    entries: Sequence[Entry], rate_hz: float, samples: int, names: Sequence[str]
) -> BeatWindows:
    """Return a window of `samples` around each beat of these classes that fits into its record.

    Parameters
    ----------
    rate_hz
        Of the pack that holds the entries.
    names
        The classes; "normal" and "abnormal", or arrhythmias with or without "other".
    """
    check_classes(names)
    found: list[tuple[int, int, float, int]] = []
    for number, entry in enumerate(entries):
        for place, beat in enumerate(entry.beats):
            start = round(beat.time_s * rate_hz) - samples // 2
            if 0 <= start <= entry.samples - samples:
                label = class_of(entry, place, names)
                if label >= 0:
                    found.append((number, start, beat.time_s, label))
    columns = list(zip(*found, strict=True)) or [(), (), (), ()]
    entry_, start_, label_ = (np.array(columns[i], dtype=np.int64) for i in (0, 1, 3))
    return BeatWindows(entry_, start_, np.array(columns[2], dtype=np.float64), label_)


def part_by_time(
    windows: BeatWindows, durations_s: Sequence[float], spans: Spans, apart_s: float
) -> dict[str, BeatWindows]:
    """Return the windows of each part: spans of every record, parts at least `apart_s` apart.

    That is from beat to beat. Where parts come nearer, test keeps its windows, then validation.
    """
    share = windows.time_s / np.asarray(durations_s, dtype=np.float64)[windows.entry]
    chosen = {part: (low <= share) & (share < high) for part, (low, high) in spans.items()}
    return _apart(windows, chosen, apart_s)


def part_by_class(windows: BeatWindows, spans: Spans, apart_s: float) -> dict[str, BeatWindows]:
    """Return the windows of each part: spans of every record's beats of a class, in their order.

    A class that lasts less than twice `apart_s` in a record cannot be cut there: by turns, the
    whole of it trains and (where there is a test) tests: other episodes. Else as `part_by_time`.
    """
    chosen = {part: np.zeros(len(windows), dtype=np.bool_) for part in spans}
    for label in np.unique(windows.label):
        turns = 0
        for entry in np.unique(windows.entry[windows.label == label]):
            mine = np.flatnonzero((windows.label == label) & (windows.entry == entry))
            if np.ptp(windows.time_s[mine]) < 2 * apart_s:
                part = "test" if turns % 2 and "test" in spans else "train"
                chosen[part][mine] = True
                turns += 1
                continue
            share = np.arange(len(mine)) / len(mine)
            for part, (low, high) in spans.items():
                chosen[part][mine[(low <= share) & (share < high)]] = True
    return _apart(windows, chosen, apart_s)


def _apart(
    windows: BeatWindows, chosen: Mapping[str, NDArray[np.bool_]], apart_s: float
) -> dict[str, BeatWindows]:
    """Drop what lies nearer than `apart_s` to a window of a part that goes before."""
    far = 10 * (apart_s + float(windows.time_s.max(initial=0.0)))
    clock = windows.time_s + far * windows.entry  # records do not meet on it
    kept: dict[str, NDArray[np.bool_]] = {}
    for part in reversed(PARTS):
        if part in chosen:
            mask = chosen[part].copy()
            for other in kept.values():
                mask &= _distance(clock, np.sort(clock[other])) >= apart_s
            kept[part] = mask
    return {part: windows.take(kept[part]) for part in PARTS if part in kept}


def _distance(clock: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each time is from the nearest of the others, in order; infinite if none."""
    fenced = np.concatenate([[-np.inf], others, [np.inf]])
    after = np.searchsorted(fenced, clock)
    nearest: NDArray[np.float64] = np.minimum(clock - fenced[after - 1], fenced[after] - clock)
    return nearest


def few(windows: BeatWindows, per_class: int, rng: np.random.Generator) -> BeatWindows:
    """Return at most so many windows of each class of each record, in their order."""
    order = rng.permutation(len(windows))
    groups = np.stack([windows.entry[order], windows.label[order]], axis=1)
    _, kind = np.unique(groups, axis=0, return_inverse=True)
    kept = [order[kind == k][:per_class] for k in range(kind.max(initial=-1) + 1)]
    return windows.take(np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *kept])))


def mixed(windows: BeatWindows, shares: Sequence[float]) -> BeatWindows:
    """Return windows, some of them often, so that class k makes up the share k / sum(shares).

    A class without a window is left out, and the others keep their proportions.
    """
    members = [np.flatnonzero(windows.label == label) for label in range(len(shares))]
    there = [(m, share) for m, share in zip(members, shares, strict=True) if len(m) and share > 0]
    if not there:
        return windows.take(np.zeros(0, dtype=np.int64))
    # as many as the class that is cut most needs to appear whole
    count = max(len(m) / share for m, share in there)
    return windows.take(np.concatenate([np.resize(m, round(count * s)) for m, s in there]))
