"""Global P, PQ, QRS and QT on LUDB: the nets of the folds beside the cardiologists' marks.

    python benchmarks/delineation/global_intervals.py --data DIR

The same rule makes both sides' intervals (`decode.consensus`, `decode.intervals`): all twelve
leads, earliest onset to latest offset, median over the beats of the annotated part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import parts
from folds import Held, held_out
from measuring import rows
from numpy.typing import NDArray

from fascicle.decode.consensus import consensus
from fascicle.decode.intervals import intervals
from fascicle.metrics.bootstrap import interval
from fascicle.metrics.waves import annotated_span
from fascicle.record import Wave

ALLOWED = {"p_ms": (10, 15), "pr_ms": (10, 10), "qrs_ms": (10, 10), "qt_ms": (25, 30)}
"""Mean and standard deviation, ms, that IEC 60601-2-25 allows on biological ECGs."""
TITLES = {"p_ms": "P", "pr_ms": "PQ", "qrs_ms": "QRS", "qt_ms": "QT"}
LEFT_OUT = 0.04
Floats = NDArray[np.float64]


def main() -> None:
    asked = parts.options(__doc__ or "").parse_args()
    about = parts.start(asked)
    result = about | measure(held_out(asked))
    parts.write(asked, "global_intervals", result, table(result))


def measure(held: Sequence[Held]) -> dict[str, Any]:
    """Return by interval mean and SD of the differences, ours - theirs, and who has none."""
    pairs = [(theirs(one), ours(one)) for one in held]
    names = [one.reference.name for one in held]
    found = {}
    for key in ALLOWED:
        wanted = np.array([there.get(key, np.nan) for there, _ in pairs])
        had = np.array([here.get(key, np.nan) for _, here in pairs])
        found[key] = compared(wanted, had, names)
    return {"records": len(held), "intervals": found}


def theirs(one: Held) -> dict[str, float]:
    """Return the intervals of the marks; a wave that lacks a boundary is left out of its lead."""
    whole = [
        wave
        for wave in one.reference.waves
        if wave.onset_s is not None and wave.offset_s is not None and wave.peak_s is not None
    ]
    return measured(whole, one.reference.leads)


def ours(one: Held) -> dict[str, float]:
    """Return the intervals of the found waves that lie inside the annotated part."""
    first, last = annotated_span(one.reference.waves) or (0.0, 0.0)
    inside = [
        wave
        for wave in one.found.waves
        if first < ((wave.onset_s or 0.0) + (wave.offset_s or 0.0)) / 2 < last
    ]
    return measured(inside, one.reference.leads)


def measured(waves: Sequence[Wave], leads: Sequence[str]) -> dict[str, float]:
    agreed = consensus({lead: [wave for wave in waves if wave.lead == lead] for lead in leads})
    found, _ = intervals(agreed, beats=(), signal={}, rate_hz=1000.0)
    return {key: m.value for key in ALLOWED if (m := found[key]) is not None}


def compared(wanted: Floats, had: Floats, names: Sequence[str]) -> dict[str, Any]:
    """Return the differences' mean and SD, with and without the 4 % farthest from their mean."""
    both = np.flatnonzero(np.isfinite(wanted) & np.isfinite(had))
    difference = (had - wanted)[both]
    far = np.argsort(-np.abs(difference - difference.mean()), kind="stable")
    out = far[: int(LEFT_OUT * both.size)]
    kept = np.delete(difference, out)
    rng = np.random.default_rng(0)
    return {
        "records": int(both.size),
        "only_theirs": [names[i] for i in np.flatnonzero(np.isfinite(wanted) & np.isnan(had))],
        "only_ours": [names[i] for i in np.flatnonzero(np.isnan(wanted) & np.isfinite(had))],
        "mean": float(kept.mean()),
        "mean_limits": interval(lambda r: float(kept[r].mean()), range(kept.size), rng=rng),
        "sd": float(kept.std(ddof=1)) if kept.size > 1 else 0.0,
        "sd_limits": interval(lambda r: float(kept[r].std(ddof=1)), range(kept.size), rng=rng)
        if kept.size > 1
        else (0.0, 0.0),
        "mean_of_all": float(difference.mean()),
        "sd_of_all": float(difference.std(ddof=1)) if difference.size > 1 else 0.0,
        "left_out": {names[both[i]]: round(float(difference[i]), 1) for i in out.tolist()},
    }


def table(result: Mapping[str, Any]) -> str:
    head = [
        *("interval", "records", "mean difference, ms", "allowed", "SD, ms", "allowed"),
        *("of all records, mean ± SD", "left out, ms"),
    ]
    body = []
    for key, title in TITLES.items():
        found = result["intervals"][key]
        mean, spread = ALLOWED[key]
        out = sorted(found["left_out"].values())
        body.append(
            [
                title,
                str(found["records"]),
                "{:+.1f} ({:+.1f} to {:+.1f})".format(found["mean"], *found["mean_limits"]),
                f"±{mean}",
                "{:.1f} ({:.1f} to {:.1f})".format(found["sd"], *found["sd_limits"]),
                str(spread),
                f"{found['mean_of_all']:+.1f} ± {found['sd_of_all']:.1f}",
                ", ".join(f"{value:+.0f}" for value in out),
            ]
        )
    return rows(head, body)


if __name__ == "__main__":
    main()
