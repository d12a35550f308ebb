"""How well swapped limb electrodes are told on PTB-XL, and false alarms of other hospitals.

    python benchmarks/lead-reversal/run.py --data DIR [--fit] [--work runs/lead-reversal]
    python benchmarks/lead-reversal/run.py --quick

`--fit` first fits the tables in src/fascicle/tables anew: weights on PTB-XL folds 1 to 7,
thresholds on fold 8 and every second record of LUDB. Median beats are kept in --work.
"""

from __future__ import annotations

import argparse
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import measuring  # noqa: E402
from placements import IN_PLACE, PLACEMENTS, Case, all_beats, limbs_only  # noqa: E402

from fascicle.data.sources import SOURCES  # noqa: E402
from fascicle.evaluate import items_of  # noqa: E402
from fascicle.metrics.bootstrap import ranking_intervals, sums_interval  # noqa: E402
from fascicle.metrics.classification import auroc  # noqa: E402
from fascicle.signal.electrodes import (  # noqa: E402
    SWAPS,
    has_chest,
    named_swap,
    swap_probabilities,
    swap_thresholds,
)
from fascicle.signal.median_beat import MedianBeat  # noqa: E402
from fascicle.synth import CONDITIONS, synthesize  # noqa: E402

TABLES = measuring.ROOT / "src" / "fascicle" / "tables"
COMMAND = "python benchmarks/lead-reversal/run.py --data DIR --fit"
REPORTED = "21572_hr"
"""Its report doubts the arm electrodes: it teaches nothing."""
PARTS = ("PTB-XL fold 9", "PTB-XL fold 8", "LUDB, chosen on", "LUDB, the others", "CinC samples")
LEADS = {"12": "twelve leads", "limbs": "limb leads alone"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder that holds ptbxl, ludb and cinc2021")
    parser.add_argument("--work", type=Path, default=Path("runs/lead-reversal"))
    parser.add_argument("--fit", action="store_true", help="write the tables of the package anew")
    parser.add_argument("--quick", action="store_true", help="synthetic ECGs, nothing written")
    asked = parser.parse_args()
    if asked.quick:
        print(table(scored({"synthetic": synthetic()})))
        return
    if asked.data is None:
        parser.error("--data is needed")
    cases = read(asked.data, asked.work)
    parts = {part: [case for case in cases if part_of(case) == part] for part in PARTS}
    if asked.fit:
        from fit import fit_tables

        train = [c for c in cases if c.source == "ptbxl" and c.fold < 8 and c.name != REPORTED]
        fit_tables(train, parts[PARTS[1]] + parts[PARTS[2]], TABLES)
    reported = next(case for case in cases if case.name == REPORTED).beats[IN_PLACE]
    assert reported is not None
    results = {
        "command": COMMAND,
        "commit": measuring.commit(),
        "thresholds": {leads: swap_thresholds(leads == "12") for leads in LEADS},
        "reported_by_a_person": {REPORTED: swap_probabilities(reported)},
        **scored(parts),
    }
    measuring.write(HERE, results, table(results))


def read(data: Path, work: Path) -> list[Case]:
    """Return all records with median beats of every placement, from `work` if they are there."""
    kept = work / "beats.pickle"
    if kept.exists():
        cases: list[Case] = pickle.loads(kept.read_bytes())
        return cases
    items = [
        (source, i)
        for source in ("ludb", "cinc2021", "ptbxl")
        for i in items_of(source, data, None)
    ]
    made = []
    for number, (source, item) in enumerate(measuring.progress(items, "record")):
        record = SOURCES[source].load(item)
        beats = all_beats(record, np.random.default_rng(number))
        made.append(Case(source, record.name, item.patient, item.fold or 0, beats))
    work.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(pickle.dumps(made))
    return made


def synthetic() -> list[Case]:
    """Return cases of synthetic records of sinus rhythm and other conditions."""
    made = []
    for seed, condition in enumerate(("sinus", *CONDITIONS)):
        record = synthesize(condition, seed=seed, rate_hz=250.0, duration_s=8.0)
        beats = all_beats(record, np.random.default_rng(seed))
        made.append(Case("synth", str(seed), str(seed), 0, beats))
    return made


def part_of(case: Case) -> str | None:
    """Return which of `PARTS` a case belongs to."""
    if case.source == "ptbxl":
        return {9: PARTS[0], 8: PARTS[1]}.get(case.fold)
    if case.source == "ludb":
        return PARTS[2 + int(case.name) % 2]
    # HR records are PTB-XL's.
    return None if case.name.startswith("HR") else PARTS[4]


def scored(parts: dict[str, list[Case]]) -> dict[str, Any]:
    """Return for each set of leads the swaps in the first part, and false alarms in each."""
    found: dict[str, Any] = {"swaps": {}, "false_alarms": {}}
    for leads in LEADS:
        some = parts if leads == "12" else {p: limbs_only(c) for p, c in parts.items()}
        found["swaps"][leads] = told(next(iter(some.values())))
        found["false_alarms"][leads] = {part: alarms(cases) for part, cases in some.items()}
    return found


def told(cases: Sequence[Case]) -> dict[str, dict[str, list[float]]]:
    """Return for each swap AUROC against electrodes in place, and shares named and warned of."""
    made = {}
    rows = {placement: [case.beats[placement] for case in cases] for placement in PLACEMENTS}
    patients = [case.patient for case in cases]
    for swap in SWAPS:
        pairs = [
            (beat, kind, who)
            for kind in (IN_PLACE, swap)
            for beat, who in zip(rows[kind], patients, strict=True)
            if beat
        ]
        scores = np.array([[log_odds(beat, swap)] for beat, _, _ in pairs])
        labels = np.array([[kind == swap] for _, kind, _ in pairs])
        limits = ranking_intervals(
            "auroc", labels, scores, [who for _, _, who in pairs], rng=np.random.default_rng(0)
        )
        names = [name_of(beat) for beat in rows[swap]]
        made[swap] = {
            "auroc": [float(auroc(labels, scores)[0]), float(limits.low[0]), float(limits.high[0])],
            "named": share([name == swap for name in names], patients),
            "warned": share([name is not None for name in names], patients),
        }
    return made


def log_odds(beat: MedianBeat, swap: str) -> float:
    found = swap_probabilities(beat)
    return float(np.log(found[swap] + 1e-12) - np.log(1.0 - sum(found.values()) + 1e-12))


def name_of(beat: MedianBeat | None) -> str | None:
    """Return the swap that is named; without a beat none is."""
    return beat and named_swap(swap_probabilities(beat), swap_thresholds(has_chest(beat)))


def share(flags: Sequence[bool], patients: Sequence[str]) -> list[float]:
    """Return the share that holds, with its interval over patients."""
    counts = np.array([[flag, 1.0] for flag in flags])
    low, high = sums_interval(
        lambda sums: sums[:, 0] / sums[:, 1], counts, patients, rng=np.random.default_rng(0)
    )
    return [float(np.mean(flags)), float(low), float(high)]


def alarms(cases: Sequence[Case]) -> dict[str, Any]:
    """Return the records in place of which a swap is named."""
    named = {case.name: name for case in cases if (name := name_of(case.beats[IN_PLACE]))}
    without = sum(case.beats[IN_PLACE] is None for case in cases)
    flags, patients = [case.name in named for case in cases], [case.patient for case in cases]
    return {
        "records": len(cases),
        "no_beat": without,
        "share": share(flags, patients),
        "named": named,
    }


def table(results: dict[str, Any]) -> str:
    """Return the Markdown tables of the page."""
    body = [
        [f"{SWAPS[swap]}", text, *(shown(found[key]) for key in ("auroc", "named", "warned"))]
        for leads, text in LEADS.items()
        for swap, found in results["swaps"][leads].items()
    ]
    head = ("swapped", "leads", "AUROC", "named rightly", "warned of any swap")
    false = [
        [part, text, str(found["records"]), str(len(found["named"])), shown(found["share"])]
        for leads, text in LEADS.items()
        for part, found in results["false_alarms"][leads].items()
    ]
    below = ("electrodes in place", "leads", "records", "warned", "share")
    return measuring.rows(head, body) + "\n\n" + measuring.rows(below, false)


def shown(figure: Sequence[float]) -> str:
    value, low, high = figure
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
