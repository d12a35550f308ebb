"""Leads agree on the waves of a beat: what few of them show is doubtful, what most show is there.

The atria beat for all leads at once. A P that hardly any lead shows is noise; a P or T that most
leads show is as a rule there in the others, if faint. A lead keeps its own boundaries as far as
leads can differ; a wave that it is given lies where the others have it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fascicle.decode.consensus import group_quantile, grouped
from fascicle.decode.rules import P, Rules, T
from fascicle.decode.runs import Found, Runs, pick, within_neighbours

LEAST_LEADS = 4
"""Fewer leads have no majority worth the name."""
HINT = 0.2
"""Mean probability of the wave's class that a lead must have where it is given one."""


def agreed(
    found: Sequence[Found],
    probabilities: Sequence[NDArray[np.float32]],
    rate_hz: float,
    rules: Rules,
) -> list[Found]:
    """Return the leads' waves after they have agreed; `probabilities` are (class, sample) each."""
    leads = list(found)
    if len(leads) < LEAST_LEADS:
        return leads
    if rules.lone_p_leads > 0:
        leads = _without_lone_p(leads, math.floor(rules.lone_p_leads * len(leads) + 1e-9) + 1)
    if rules.most_leads > 0:
        need = math.ceil(rules.most_leads * len(leads) - 1e-9)
        for kind in (P, T):
            leads = _completed(leads, probabilities, kind, need)
    if rules.far_t_s > 0:
        leads = _drawn_in(leads, T, rules.far_t_s * rate_hz)
    return leads


def _without_lone_p(leads: Sequence[Found], need: int) -> list[Found]:
    """Return the waves less each P that fewer than `need` leads show at its time."""
    own, row, onset, offset = _of_kind(leads, P)
    group, _ = grouped(onset, offset, need)
    kept = []
    for number, lead in enumerate(leads):
        keep = np.ones(lead.onset.size, dtype=bool)
        keep[own[(row == number) & (group < 0)]] = False
        kept.append(lead if keep.all() else _taken(lead, keep))
    return kept


def _completed(
    leads: Sequence[Found], probabilities: Sequence[NDArray[np.float32]], kind: int, need: int
) -> list[Found]:
    """Return the waves, and those of a kind that at least `need` other leads show at a time."""
    _, row, onset, offset = _of_kind(leads, kind)
    group, groups = grouped(onset, offset, need)
    member = group >= 0
    group = group[member]
    shows = np.zeros((len(leads), groups), dtype=bool)
    shows[row[member], group] = True
    lacks = ~shows & (shows.sum(axis=0) >= need)
    if not lacks.any():
        return list(leads)
    first, last = (group_quantile(ends[member], group, 0.5) for ends in (onset, offset))
    return [
        _with(lead, columns[kind], kind, first[missing], last[missing]) if missing.any() else lead
        for lead, columns, missing in zip(leads, probabilities, lacks, strict=True)
    ]


def _with(
    lead: Found,
    probability: NDArray[np.float32],
    kind: int,
    onset: NDArray[np.float64],
    offset: NDArray[np.float64],
) -> Found:
    """Return the waves and those new ones that the lead hints at and has room for."""
    start = np.rint(onset).astype(np.intp)
    stop = np.rint(offset).astype(np.intp) + 1
    before = np.searchsorted(lead.onset, offset)
    free = (before == 0) | (np.append(lead.offset, np.inf)[before - 1] < onset)
    free[1:] &= onset[1:] > offset[:-1]
    mean = np.array([probability[a:b].mean() for a, b in zip(start, stop, strict=True)])
    new = np.flatnonzero(free & (mean >= HINT))
    if not new.size:
        return lead
    place = np.searchsorted(lead.onset, onset[new])
    parts = (start[new], stop[new], np.full(new.size, kind))
    runs = Runs(*(np.insert(a, place, b) for a, b in zip(lead.runs, parts, strict=True)))
    ends = ((lead.onset, onset), (lead.offset, offset), (lead.probability, mean))
    return Found(runs, *(np.insert(a, place, b[new]) for a, b in ends))


def _drawn_in(leads: Sequence[Found], kind: int, far: float) -> list[Found]:
    """Return the waves, boundaries of a kind at most `far` samples from the leads' median."""
    own, row, onset, offset = _of_kind(leads, kind)
    group, _ = grouped(onset, offset, max(LEAST_LEADS, math.ceil(len(leads) / 2)))
    member = group >= 0
    own, row, group = own[member], row[member], group[member]
    moved = np.stack([onset[member], offset[member]])
    for side in moved:
        middle = group_quantile(side, group, 0.5)[group]
        np.clip(side, middle - far, middle + far, out=side)
    drawn = []
    for number, lead in enumerate(leads):
        ends = np.stack([lead.onset, lead.offset])
        ends[:, own[row == number]] = moved[:, row == number]
        first, last = within_neighbours(ends, lead.onset, lead.offset)
        drawn.append(lead._replace(onset=first, offset=last))
    return drawn


def _of_kind(
    leads: Sequence[Found], kind: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Return all leads' waves of a kind: place in its lead, lead, onset and offset, (wave,)."""
    own = [np.flatnonzero(lead.runs.kind == kind) for lead in leads]
    row = np.repeat(np.arange(len(leads)), [mine.size for mine in own])
    onset = np.concatenate([lead.onset[mine] for lead, mine in zip(leads, own, strict=True)])
    offset = np.concatenate([lead.offset[mine] for lead, mine in zip(leads, own, strict=True)])
    return np.concatenate(own), row, onset, offset


def _taken(lead: Found, keep: NDArray[np.bool_]) -> Found:
    kept = (column[keep] for column in (lead.onset, lead.offset, lead.probability))
    return Found(pick(lead.runs, keep), *kept)
