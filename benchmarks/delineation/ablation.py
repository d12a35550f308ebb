"""What each rule of the post-processing gains, on the nets of the folds.

    python benchmarks/delineation/ablation.py --data DIR

One rule at a time is switched off (`decode.delineation.without`), and last that no P stands where
the net finds fibrillation or flutter, and no QRS where it finds no beat; the difference that this
makes is taken record by record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import parts
from folds import Held, held_out, on_clock
from measuring import progress, rows
from numpy.typing import NDArray

from fascicle.decode.beats import leave_out_qrs
from fascicle.decode.delineation import NO_RULES, Rules, delineate_leads, without
from fascicle.decode.rhythm import leave_out_p
from fascicle.metrics.bootstrap import sums_interval
from fascicle.metrics.waves import annotated_span, boundary_counts, tally, tally_scores
from fascicle.record import LEADS, WAVE_KINDS, Wave
from fascicle.tasks import Outcome

TOLERANCES_S = (0.150, 0.040)
ALL, RHYTHM, BEATS, NOTHING = "all rules", "no P in AF", "no QRS without a beat", "no rules"
TITLES = {
    RHYTHM: "no P in AF or flutter that was found",
    BEATS: "no QRS without a beat",
    NOTHING: "all of them",
}
Floats = NDArray[np.float64]
Filter = Callable[[Sequence[Wave], Outcome], Sequence[Wave]]
FILTERS: dict[str, Filter] = {
    RHYTHM: lambda waves, found: leave_out_p(waves, found.rhythms),
    BEATS: lambda waves, found: leave_out_qrs(waves, found.beats),
}
"""What leaves out waves once rhythms and beats are known."""


def main() -> None:
    asked = parts.options(__doc__ or "").parse_args()
    about = parts.start(asked)
    result = about | measure(held_out(asked))
    parts.write(asked, "ablation", result, table(result))


def measure(held: Sequence[Held]) -> dict[str, Any]:
    """Return F1 with all rules, and what is lost without each of them and without any."""
    names = [one.reference.name for one in held]
    whole = sums(held, Rules())
    changed: dict[str, tuple[Rules, Sequence[Filter]]] = {
        field.name: (without(field.name), tuple(FILTERS.values())) for field in fields(Rules)
    }
    for left_out in FILTERS:
        others = [filtered for name, filtered in FILTERS.items() if name != left_out]
        changed[left_out] = (Rules(), others)
    changed[NOTHING] = (NO_RULES, ())
    found = {}
    for name in progress(list(changed), "rules"):
        both = np.stack([whole, sums(held, *changed[name])], axis=1)
        found[name] = gains(both, names)
    return {"records": len(held), ALL: f1(whole.sum(axis=0)).tolist(), "gain": found}


def sums(
    held: Sequence[Held], rules: Rules, filters: Sequence[Filter] = tuple(FILTERS.values())
) -> Floats:
    """Return what each record adds to the counts, (record, tolerance, boundary, 5)."""
    total = np.zeros((len(held), len(TOLERANCES_S), 6, 5))
    for row, one in zip(total, held, strict=True):
        present = np.flatnonzero(one.prepared.present).tolist()
        every = delineate_leads({LEADS[r]: one.waves[r] for r in present}, one.rate_hz, rules)
        for lead, waves in every.items():
            theirs = [wave for wave in one.reference.waves if wave.lead == lead]
            if not theirs:
                continue
            for filtered in filters:
                waves = filtered(waves, one.found)
            found = on_clock(waves, one.reference.rate_hz)
            span = annotated_span(theirs)
            for level, tolerance_s in enumerate(TOLERANCES_S):
                row[level] += tally(
                    boundary_counts(theirs, found, tolerance_s=tolerance_s, span=span)
                )
    return total


def f1(counts: Floats) -> Floats:
    """Return F1 by tolerance and kind, (..., tolerance, boundary, 5) -> (..., 6)."""
    made = tally_scores(counts)
    stacked = np.stack([made[f"{kind}.f1"] for kind in WAVE_KINDS], axis=-1)
    return stacked.reshape(*stacked.shape[:-2], len(TOLERANCES_S) * len(WAVE_KINDS))


def gains(both: Floats, names: Sequence[str]) -> dict[str, list[float]]:
    """Return F1 with less F1 without the rule, and the limits over records."""

    def gain(counts: Floats) -> Floats:
        values = f1(counts)
        return np.asarray(values[..., 0, :] - values[..., 1, :])

    low, high = sums_interval(gain, both, names, rng=np.random.default_rng(0))
    value = gain(both.sum(axis=0))
    return {"value": value.tolist(), "low": low.tolist(), "high": high.tolist()}


def table(result: Mapping[str, Any]) -> str:
    """Return the gains times 1000, and in bold those whose interval leaves 0 out."""
    columns = [f"{kind} {1000 * t:.0f} ms" for t in TOLERANCES_S for kind in WAVE_KINDS]
    body = [
        [TITLES.get(name, f"`{name}`"), *map(shown, *found.values())]
        for name, found in result["gain"].items()
    ]
    f1_all = [f"{value:.4f}" for value in result[ALL]]
    return rows(["gain in F1 x 1000", *columns], [*body, ["F1 with all rules", *f1_all]])


def shown(value: float, low: float, high: float) -> str:
    if not any(np.round(1000 * np.array([value, low, high]), 1)):
        return "0"
    text = f"{1000 * value:+.1f} ({1000 * low:+.1f} to {1000 * high:+.1f})"
    return f"**{text}**" if low > 0 or high < 0 else text


if __name__ == "__main__":
    main()
