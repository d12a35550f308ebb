"""What a second view of the diagnoses gains: the net alone, the typical beat alone, and both.

    python benchmarks/second-view/run.py --data DIR
    python benchmarks/second-view/run.py --quick

The development bundle on the PTB-XL records that it has not seen, by lead set; gains are paired.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import measuring  # noqa: E402

measuring.limit_threads()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from diagnosing import BUNDLE, VIEWS, answers, drawn, judged, limits, macro  # noqa: E402

from fascicle.bundle import VIEWED  # noqa: E402
from fascicle.data.sources import SOURCES  # noqa: E402
from fascicle.evaluate import items_of  # noqa: E402
from fascicle.predict import Model, load  # noqa: E402
from fascicle.record import Record  # noqa: E402
from fascicle.synth import Noise, synthesize  # noqa: E402

PARTS = {
    "fold 8, which chose": (8, ("12",)),
    "fold 9, tested": (9, ("12", "3", "2", "1")),
}
"""Fold and lead sets: from leads I and II the six limb leads follow, so 6 is 2, and 4 is 3."""
SYSTEMS = ("PTB-XL superclass", "SCP-ECG", "SNOMED-CT")


def main() -> None:
    asked = measuring.parser(__doc__.splitlines()[0], HERE).parse_args()
    if asked.data is None and not asked.quick:
        raise SystemExit("--data is needed")
    about = measuring.describe(["numpy", "torch"], measuring.pin(asked.core), asked.note)
    torch.set_num_threads(1)
    model = load(BUNDLE)
    parts = {"synthetic": (0, ("12", "2"))} if asked.quick else PARTS
    found = [
        {"fold": title, "leads": leads, **part(model, records_of(asked, fold), leads)}
        for title, (fold, lead_sets) in parts.items()
        for leads in lead_sets
    ]
    out = measuring.out_folder(asked, HERE)
    measuring.write(out, {**about, "parts": found}, table(found, about))


def records_of(asked: Any, fold: int) -> Iterable[Record]:
    """Yield records with their names made those of their patients."""
    if asked.quick:
        for seed, kind in enumerate(("sinus", "af", "pvc", "lbbb")):
            yield replace(synthesize(kind, seed=seed, noise=Noise()), name=str(seed))
        return
    for item in measuring.progress(items_of("ptbxl", asked.data, [fold]), f"fold {fold}"):
        yield replace(SOURCES["ptbxl"].load(item), name=item.patient)


def part(model: Model, records: Iterable[Record], leads: str) -> dict[str, Any]:
    """Return the macro AUROC of each view and code system, and what both gain over the net."""
    vocabulary = model.bundle.vocabularies[VIEWED]
    rows, labels, known, patients = [], [], [], []
    for record in records:
        rows.append(answers(model, record, leads))
        target, mask = vocabulary.encode(record.labels)
        labels.append(target > 0)
        known.append(mask)
        patients.append(record.name)
    logits, flags, told = np.stack(rows), np.stack(labels), np.stack(known)
    systems = np.array([term.system for term in vocabulary.terms])
    draws = drawn(patients)
    scores = {}
    for system in SYSTEMS:
        classes = judged(systems, system, flags, told)
        if classes:
            values = [macro(logits[:, k], flags, told, classes, draws) for k in range(len(VIEWS))]
            scores[system] = dict(zip(VIEWS, map(limits, values), strict=True))
            scores[system]["gain"] = limits(values[2] - values[0])
    return {"records": len(rows), "scores": scores}


def table(found: Sequence[dict[str, Any]], about: dict[str, Any]) -> str:
    head = ("fold", "leads", "classes", *VIEWS, "gain of both over the net")
    body = [
        (
            part["fold"],
            part["leads"],
            system,
            *(f"{scores[view][0]:.4f}" for view in VIEWS),
            "{:+.4f} ({:+.4f} to {:+.4f})".format(*scores["gain"]),
        )
        for part in found
        for system, scores in part["scores"].items()
    ]
    return f"{measuring.rows(head, body)}\n\nCommit {about['commit']}."


if __name__ == "__main__":
    main()
