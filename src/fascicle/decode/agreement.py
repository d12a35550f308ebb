"""Leads agree on the waves of a beat: what few of them show is doubtful, what most show is there.

The atria beat for all leads at once. A P that hardly any lead shows is noise; a P or T that most
leads show is as a rule there in the others, if faint. A lead keeps its own boundaries; only a wave
that it is given lies where the others have it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fascicle.decode.consensus import grouped
from fascicle.decode.rules import P, Rules, T
from fascicle.decode.runs import Found, Runs

LEAST_LEADS = 4
"""Fewer leads have no majority worth the name."""
HINT = 0.1
"""Mean probability of the wave's class that a lead must have where it is given one."""


def agreed(
    found: Sequence[Found], probabilities: Sequence[NDArray[np.float32]], rules: Rules
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
    return leads


def _without_lone_p(leads: Sequence[Found], need: int) -> list[Found]:
    """Return the waves less each P that fewer than `need` leads show at its time."""
    own = [np.flatnonzero(lead.runs.kind == P) for lead in leads]
    group, _ = _grouped(leads, own, need)
    kept = []
    for lead, places, groups in zip(leads, own, group, strict=True):
        keep = np.ones(lead.onset.size, dtype=bool)
        keep[places[groups < 0]] = False
        kept.append(_taken(lead, keep))
    return kept


def _completed(
    leads: Sequence[Found], probabilities: Sequence[NDArray[np.float32]], kind: int, need: int
) -> list[Found]:
    """Return the waves, and those of a kind that at least `need` other leads show at a time."""
    own = [np.flatnonzero(lead.runs.kind == kind) for lead in leads]
    group, groups = _grouped(leads, own, need)
    shows = np.zeros((groups, len(leads)), dtype=bool)
    ends = np.full((2, groups, len(leads)), np.nan)
    for row, (lead, places, mine) in enumerate(zip(leads, own, group, strict=True)):
        inside = mine >= 0
        shows[mine[inside], row] = True
        ends[0, mine[inside], row] = lead.onset[places[inside]]
        ends[1, mine[inside], row] = lead.offset[places[inside]]
    lacking = shows.sum(axis=1) >= need
    onset, offset = np.nanmedian(ends[:, lacking], axis=2)
    made = []
    for row, (lead, columns) in enumerate(zip(leads, probabilities, strict=True)):
        absent = ~shows[lacking, row]
        made.append(_with(lead, columns[kind], kind, onset[absent], offset[absent]))
    return made


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
    mean = np.array([probability[a:b].mean() for a, b in zip(start, stop, strict=True)])
    new = np.flatnonzero(free & (mean >= HINT)) if mean.size else np.zeros(0, dtype=np.intp)
    if not new.size:
        return lead
    place = np.searchsorted(lead.onset, onset[new])
    parts = (start[new], stop[new], np.full(new.size, kind))
    runs = Runs(*(np.insert(a, place, b) for a, b in zip(lead.runs, parts, strict=True)))
    ends = ((lead.onset, onset), (lead.offset, offset), (lead.probability, mean))
    return Found(runs, *(np.insert(a, place, b[new]) for a, b in ends))


def _grouped(
    leads: Sequence[Found], own: Sequence[NDArray[np.intp]], need: int
) -> tuple[list[NDArray[np.intp]], int]:
    """Return per lead the group of each of its own waves, and the number of groups."""
    onset = np.concatenate([lead.onset[mine] for lead, mine in zip(leads, own, strict=True)])
    offset = np.concatenate([lead.offset[mine] for lead, mine in zip(leads, own, strict=True)])
    group, groups = grouped(onset, offset, need)
    return np.split(group, np.cumsum([mine.size for mine in own])[:-1]), groups


def _taken(lead: Found, keep: NDArray[np.bool_]) -> Found:
    runs = Runs(*(column[keep] for column in lead.runs))
    return Found(runs, lead.onset[keep], lead.offset[keep], lead.probability[keep])
