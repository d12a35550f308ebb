"""Batches: rows are drawn from groups of pack entries, cut, varied and stacked.

A row carries its own random seed, so that a batch is the same whoever makes which part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fascicle.data.augment import (
    Augmentation,
    augment_signal,
    draw_leads,
    draw_shifts,
    draw_stretch,
    shift_leads,
    stretch_marks,
    stretch_signal,
)
from fascicle.data.pack import Entry, Pack
from fascicle.data.rhythms import in_other_rhythm
from fascicle.data.targets import Target
from fascicle.labels import Vocabulary
from fascicle.record import LEADS

TargetFunction = Callable[[Entry, int, int, float, Vocabulary | None], Target]


@dataclass(frozen=True, slots=True)
class Aim:
    """What a batch needs of a task: its target function, its vocabulary, what moves its marks."""

    target: TargetFunction
    vocabulary: Vocabulary | None
    moves_with_lead: bool = False
    stretches: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Entries of one pack that share their tasks; `source` is the name of the pack's set.

    `rows` of every batch come from here; a share `rare_beats` of them has, anywhere in its window,
    a beat whose kind was drawn with equal chances among S, V and F. `chances` (entry,) sum to 1:
    how entries are drawn, alike where None. With `windows`, (place in entries, first sample),
    these windows alone are drawn, alike. Only `leads` are seen. Its rows have `window` samples,
    where None as many as those of other groups.
    """

    pack: Pack
    entries: tuple[Entry, ...]
    tasks: tuple[str, ...]
    rows: int
    rare_beats: float = 0.0
    chances: NDArray[np.float64] | None = None
    windows: tuple[tuple[int, int], ...] | None = None
    leads: tuple[str, ...] = LEADS
    source: str = ""
    window: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One window to cut."""

    group: Group
    entry: Entry
    start: int
    seed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors of one step.

    `signal` (batch, lead, sample) mV, `present` (batch, lead), `valid` (batch,) samples,
    `covariates` (batch, 6) as of `encode_covariates`; `targets` and `weights` per task, of its rows
    alone, which `rows` per task (batch,) bool tells; a task without a row in this batch has
    neither.
    """

    names: tuple[str, ...]
    signal: Tensor
    present: Tensor
    valid: Tensor
    covariates: Tensor
    targets: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    rows: Mapping[str, Tensor]


def draw_rows(groups: Sequence[Group], window: int, seed: tuple[int, ...]) -> list[Row]:
    """Return the rows of one batch; the same seed draws the same rows."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for group in groups:
        for _ in range(group.rows):
            entry, start = _draw_window(group, group.window or window, rng)
            rows.append(Row(group, entry, start, (*seed, len(rows))))
    return rows


def by_length(rows: Sequence[Row], window: int) -> list[tuple[int, list[Row]]]:
    """Return (samples, rows) for each length of windows; `window` is the length of most groups."""
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row.group.window or window, []).append(row)
    return list(found.items())


def _draw_window(group: Group, window: int, rng: np.random.Generator) -> tuple[Entry, int]:
    """Return a record and the first sample of its window."""
    if group.windows is not None:
        place, start = group.windows[int(rng.integers(len(group.windows)))]
        return group.entries[place], start
    if group.chances is None:
        entry = group.entries[int(rng.integers(len(group.entries)))]
    else:
        entry = group.entries[int(rng.choice(len(group.entries), p=group.chances))]
    start = int(rng.integers(0, max(entry.samples - window, 0) + 1))
    if group.rare_beats and rng.random() < group.rare_beats:
        return _around_rare_beat(group, window, rng) or (entry, start)
    return entry, start


def _around_rare_beat(
    group: Group, window: int, rng: np.random.Generator
) -> tuple[Entry, int] | None:
    """Return a record and a start, None where no record has the kind that was drawn."""
    kind = "SVF"[int(rng.integers(3))]
    having = [e for e in group.entries if any(beat.kind == kind for beat in e.beats)]
    if not having:
        return None
    entry = having[int(rng.integers(len(having)))]
    times = [beat.time_s for beat in entry.beats if beat.kind == kind]
    peak = times[int(rng.integers(len(times)))] * group.pack.preprocessing.rate_hz
    start = int(peak - rng.integers(0, window))
    return entry, min(max(start, 0), max(entry.samples - window, 0))


def make_batch(
    rows: Sequence[Row],
    window: int,
    aims: Mapping[str, Aim],
    augmentation: Augmentation | None = None,
) -> Batch:
    """Return the batch of these rows, varied by `augmentation` with each row's own seed."""
    made = [_make_row(row, window, aims, augmentation) for row in rows]
    targets, weights, chosen = {}, {}, {}
    for task in aims:
        has = np.array([task in row.group.tasks for row in rows])
        parts = [part[task] for _, _, _, _, part in made if task in part]
        chosen[task] = torch.from_numpy(has)
        if parts:
            targets[task] = torch.from_numpy(np.stack([target for target, _ in parts]))
            weights[task] = torch.from_numpy(np.stack([weight for _, weight in parts]))
    return Batch(
        names=tuple(row.entry.key for row in rows),
        signal=torch.from_numpy(np.stack([row[0] for row in made])),
        present=torch.from_numpy(np.stack([row[1] for row in made])),
        valid=torch.tensor([row[2] for row in made]),
        covariates=torch.from_numpy(np.stack([row[3] for row in made])),
        targets=targets,
        weights=weights,
        rows=chosen,
    )


MadeRow = tuple[NDArray[np.float32], NDArray[np.bool_], int, NDArray[np.float32], dict[str, Target]]


def _make_row(
    row: Row, window: int, aims: Mapping[str, Aim], augmentation: Augmentation | None
) -> MadeRow:
    entry, rate_hz = row.entry, row.group.pack.preprocessing.rate_hz
    tasks = [task for task in row.group.tasks if task in aims]
    rng = None if augmentation is None else np.random.default_rng(row.seed)
    length = window
    if augmentation and rng and all(aims[task].stretches for task in tasks):
        length = draw_stretch(window, augmentation, rng)
    signal, entry, start, valid = _cut(row, length, augmentation, rng)
    present = _present(entry.leads, row.group.leads).copy()
    covariates = encode_covariates(entry.age, entry.sex, entry.rate_hz)
    parts = {
        task: aims[task].target(entry, start, length, rate_hz, aims[task].vocabulary)
        for task in tasks
    }
    if augmentation and rng:
        augment_signal(signal[:, :valid], rate_hz, augmentation, rng)
        present = draw_leads(present, augmentation, rng)
        _shift(signal, parts, aims, draw_shifts(len(LEADS), rate_hz, augmentation, rng))
        if rng.random() < augmentation.covariate_drop:
            covariates[:4] = 0
    if length != window:
        signal = stretch_signal(signal, window)
        valid = max(valid * window // length, 1)
        parts = {
            task: (stretch_marks(target, window), stretch_marks(weight, window))
            for task, (target, weight) in parts.items()
        }
    signal[~present] = 0
    for task, (_, weight) in parts.items():
        if aims[task].moves_with_lead:
            weight[~present] = 0
    return signal, present, valid, covariates, parts


def _cut(
    row: Row, samples: int, augmentation: Augmentation | None, rng: np.random.Generator | None
) -> tuple[NDArray[np.float32], Entry, int, int]:
    """Return a window's signal, what is known of its record, its start there, and valid samples."""
    pack, entry = row.group.pack, row.entry
    share = augmentation.other_rhythms if augmentation and row.group.windows is None else 0.0
    if rng is not None and share and rng.random() < share:
        other = in_other_rhythm(pack, entry, row.start, samples, rng)
        if other is not None:
            return *other, samples
    signal = np.zeros((len(LEADS), samples), dtype=np.float32)
    return signal, entry, row.start, pack.window(entry, row.start, samples, signal)


@cache
def _present(recorded: tuple[str, ...], seen: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return which of `LEADS` are there; kept, as it is half the cost of a short window."""
    return np.isin(LEADS, recorded) & np.isin(LEADS, seen)


def _shift(
    signal: NDArray[np.float32],
    parts: Mapping[str, Target],
    aims: Mapping[str, Aim],
    shifts: NDArray[np.int64],
) -> None:
    """Shift single leads, but only where a task's marks move with them."""
    moving = [part for task, part in parts.items() if aims[task].moves_with_lead]
    if moving and shifts.any():
        shift_leads(signal, shifts)
        for target, weight in moving:
            shift_leads(target, shifts)
            shift_leads(weight, shifts)


def encode_covariates(
    age: float | None, sex: str | None, rate_hz: float | None = None
) -> NDArray[np.float32]:
    """Return (6,): age / 100, known, sex (F 1, M -1), known, recorded kHz, known; else 0 and 0."""
    return np.array(
        [
            0.0 if age is None else age / 100,
            float(age is not None),
            {"F": 1.0, "M": -1.0}.get(sex or "", 0.0),
            float(sex is not None),
            0.0 if rate_hz is None else rate_hz / 1000,
            float(rate_hz is not None),
        ],
        dtype=np.float32,
    )
