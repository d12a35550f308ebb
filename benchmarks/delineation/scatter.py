"""Where the errors of boundaries come from: records, leads and beats; and how evenly marks lie.

    python benchmarks/delineation/scatter.py --data DIR

Errors are those of matched boundaries (150 ms), parted as in an analysis of variance: the means of
records, of a record's leads about its mean, of a lead's beats about the lead's mean. Beside them
the marks alone: how far a mark lies from the median over the leads in its beat, about the mean of
its lead. In ten seconds that mean does not change, so this is how evenly one is set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import parts
from folds import Held, held_out
from measuring import rows
from numpy.typing import NDArray

from fascicle.decode.consensus import group_quantile, grouped
from fascicle.metrics.waves import BOUNDARIES, Side, annotated_span, boundary_counts
from fascicle.record import Wave, WaveKind

Floats = NDArray[np.float64]
TOLERANCE_S = 0.150
LEAST_LEADS = 6


def main() -> None:
    asked = parts.options(__doc__ or "").parse_args()
    about = parts.start(asked)
    result = about | measure(held_out(asked))
    parts.write(asked, "scatter", result, table(result))


def measure(held: Sequence[Held]) -> dict[str, Any]:
    """Return by boundary the standard deviations of the parts, ms."""
    found = {}
    for kind, side in BOUNDARIES:
        errors = [list(lead_errors(one, kind, side)) for one in held]
        marks = [lead for one in held for lead in lead_marks(one.reference.waves, kind, side)]
        found[f"{kind} {side}"] = parted(errors) | {"marks": spread(marks)}
    return {"records": len(held), "boundaries": found}


def lead_errors(one: Held, kind: WaveKind, side: Side) -> Iterator[Floats]:
    """Yield the errors of each lead in ms."""
    for lead in one.reference.leads:
        theirs = [wave for wave in one.reference.waves if wave.lead == lead]
        ours = [wave for wave in one.found.waves if wave.lead == lead]
        counts = boundary_counts(theirs, ours, tolerance_s=TOLERANCE_S, span=annotated_span(theirs))
        yield 1000 * np.array(counts[kind, side].errors_s)


def lead_marks(waves: Iterable[Wave], kind: WaveKind, side: Side) -> Iterator[Floats]:
    """Yield by lead how far its marks lie from the median over the leads in their beats, ms."""
    whole = [
        (wave.lead, wave.onset_s, wave.offset_s)
        for wave in waves
        if wave.kind == kind and wave.onset_s is not None and wave.offset_s is not None
    ]
    lead = np.array([name for name, *_ in whole])
    onset, offset = np.array([ends for _, *ends in whole], dtype=np.float64).reshape(-1, 2).T
    group, groups = grouped(onset, offset, LEAST_LEADS)
    if not groups:
        return
    member = group >= 0
    ends = (onset if side == "onset" else offset)[member]
    off = ends - group_quantile(ends, group[member], 0.5)[group[member]]
    for name in np.unique(lead[member]):
        yield 1000 * off[lead[member] == name]


def parted(errors: Sequence[Sequence[Floats]]) -> dict[str, float]:
    """Return the standard deviations of all errors, of records, of leads and of beats."""
    every = np.concatenate([lead for record in errors for lead in record])
    records = [np.concatenate(record) for record in errors]
    of_record = np.concatenate([np.full(one.size, one.mean()) for one in records if one.size])
    of_lead = np.concatenate(
        [np.full(lead.size, lead.mean()) for record in errors for lead in record if lead.size]
    )
    return {
        "all": float(every.std()),
        "records": float(of_record.std()),
        "leads": float((of_lead - of_record).std()),
        "beats": float((every - of_lead).std()),
    }


def spread(leads: Sequence[Floats]) -> float:
    """Return the standard deviation of all values about the mean of their lead."""
    return float(np.concatenate([lead - lead.mean() for lead in leads if lead.size]).std())


def table(result: dict[str, Any]) -> str:
    head = [
        "SD, ms",
        "all errors",
        "records",
        "leads of a record",
        "beats of a lead",
        "marks alone",
    ]
    keys = ("all", "records", "leads", "beats", "marks")
    body = [
        [name, *(f"{found[key]:.1f}" for key in keys)]
        for name, found in result["boundaries"].items()
    ]
    return rows(head, body)


if __name__ == "__main__":
    main()
