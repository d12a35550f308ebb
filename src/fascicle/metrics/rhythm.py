"""Rhythms by duration: how long the reference and the estimate agree (after ANSI/AAMI EC57, 4.3.4).

Time counts, not episodes: the sensitivity of AF is the share of reference AF that was called AF,
its PPV the share of what was called AF that was. Times are exact, in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fascicle.metrics.counts import Floats, f1_score, predictivity, ratio, sensitivity
from fascicle.record import Rhythm


def rhythm_durations(
    reference: Sequence[Rhythm], estimate: Sequence[Rhythm], kinds: Sequence[str]
) -> Floats:
    """Return the seconds (kind, kind + 1) of each pair of reference and estimate.

    The last column is time without an estimate. Time whose reference is none of the kinds does not
    count: nobody knows what is right there.

    Parameters
    ----------
    reference, estimate
        Spans in order of time; those of one list do not overlap.

    Raises
    ------
    ValueError
        If spans overlap, are out of order or end before they begin, or an estimate is none of the
        kinds.
    """
    for spans in (reference, estimate):
        _check(spans)
    strangers = {span.kind for span in estimate} - set(kinds)
    if strangers:
        raise ValueError(f"estimates must be of {', '.join(kinds)}; found {sorted(strangers)}")
    table = np.zeros((len(kinds), len(kinds) + 1))
    edges = np.unique([t for s in (*reference, *estimate) for t in (s.start_s, s.end_s)])
    if edges.size < 2:
        return table
    middle, length = (edges[:-1] + edges[1:]) / 2, np.diff(edges)
    theirs, ours = (_at(spans, middle, kinds) for spans in (reference, estimate))
    known = theirs < len(kinds)
    np.add.at(table, (theirs[known], ours[known]), length[known])
    return table


def _check(spans: Sequence[Rhythm]) -> None:
    times = [time_s for span in spans for time_s in (span.start_s, span.end_s)]
    if not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise ValueError("spans must be finite, in order of time and apart from each other")


def _at(spans: Sequence[Rhythm], times: Floats, kinds: Sequence[str]) -> np.ndarray:
    """Return the place in `kinds` of the span at each time; their number where there is none."""
    nothing = len(kinds)
    if not spans:
        return np.full(times.shape, nothing)
    places = {kind: place for place, kind in enumerate(kinds)}
    codes = np.array([places.get(span.kind, nothing) for span in spans])
    starts, ends = (np.array([getattr(s, name) for s in spans]) for name in ("start_s", "end_s"))
    place = np.searchsorted(starts, times, side="right") - 1
    inside = (place >= 0) & (times < ends[np.maximum(place, 0)])
    return np.where(inside, codes[np.maximum(place, 0)], nothing)


def rhythm_scores(tables: Floats, kinds: Sequence[str]) -> dict[str, Floats]:
    """Return sensitivity, PPV and F1 of each kind, of AF and flutter as one, and accuracy.

    Parameters
    ----------
    tables
        (..., kind, kind + 1) seconds, as `rhythm_durations` gives them.
    """
    right = np.diagonal(tables[..., : len(kinds)], axis1=-2, axis2=-1)
    whole, found = tables.sum(axis=-1), tables[..., : len(kinds)].sum(axis=-2)
    scores: dict[str, Floats] = {}
    for place, kind in enumerate(kinds):
        scores |= _ratios(kind, right[..., place], whole[..., place], found[..., place])
    both = [place for place, kind in enumerate(kinds) if kind in ("AF", "flutter")]
    block = tables[..., both, :][..., both].sum(axis=(-2, -1))
    scores |= _ratios(
        "AF_or_flutter", block, whole[..., both].sum(axis=-1), found[..., both].sum(axis=-1)
    )
    scores["accuracy"] = ratio(right.sum(axis=-1), whole.sum(axis=-1))
    scores["told"] = ratio(found.sum(axis=-1), whole.sum(axis=-1))
    return scores


def _ratios(kind: str, right: Floats, whole: Floats, found: Floats) -> dict[str, Floats]:
    missed, false = whole - right, found - right
    return {
        f"{kind}.sensitivity": sensitivity(right, missed),
        f"{kind}.ppv": predictivity(right, false, missed),
        f"{kind}.f1": f1_score(right, false, missed),
        f"{kind}.reference_s": whole,
    }
