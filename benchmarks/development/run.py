"""Test the development bundle on the records that it has not seen; fill its card and the table.

    python benchmarks/development/run.py --data DIR

PTB-XL fold 9 on each lead set, MIT-BIH DS2 (with and without record 202, whose patient is in DS1
as 201), LUDB fold 0, and the CinC samples of other hospitals (those of PTB-XL left out).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fascicle.bundle import default_bundle, read_bundle, save_bundle
from fascicle.evaluate import Case, Scores, add_to_card, collect, evaluate, score
from fascicle.predict import Model, load
from fascicle.record import LEAD_SETS
from fascicle.train.held_out import follow

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import measuring  # noqa: E402

BUNDLE = HERE / "bundle.safetensors"
TESTS = (
    ("ptbxl", [9], None),
    ("mitdb", [2], None),
    ("ludb", [0], None),
    *(("ptbxl", [9], leads) for leads in LEAD_SETS if leads != "12"),
)
ROWS = (
    ("PTB-XL fold 9, superclasses, AUROC", "ptbxl", "diagnosis.PTB-XL superclass.macro.auroc"),
    ("PTB-XL fold 9, SCP statements, macro AUROC", "ptbxl", "diagnosis.SCP-ECG.macro.auroc"),
    ("PTB-XL fold 9, challenge classes, macro AUROC", "ptbxl", "diagnosis.SNOMED-CT.macro.auroc"),
    ("MIT-BIH DS2, R peaks, sensitivity", "mitdb", "beats.sensitivity"),
    ("MIT-BIH DS2, R peaks, PPV", "mitdb", "beats.ppv"),
    ("MIT-BIH DS2, ventricular beats, F1", "mitdb", "beats.V.f1"),
    ("MIT-BIH DS2, supraventricular beats, F1", "mitdb", "beats.S.f1"),
    ("MIT-BIH DS2, AAMI accuracy", "mitdb", "beats.accuracy"),
    ("MIT-BIH DS2, j-kappa", "mitdb", "beats.j_kappa"),
    ("LUDB fold 0, P, F1 at 150 ms", "ludb", "waves.P.f1_150"),
    ("LUDB fold 0, QRS, F1 at 150 ms", "ludb", "waves.QRS.f1_150"),
    ("LUDB fold 0, T, F1 at 150 ms", "ludb", "waves.T.f1_150"),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the data sets")
    parser.add_argument("--runs", type=Path, default=Path("runs/development-tests"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="LUDB alone, nothing written")
    arguments = parser.parse_args()
    model = load(BUNDLE, arguments.threads)
    results = []
    for source, folds, lead_set in TESTS[2:3] if arguments.quick else TESTS:
        print(f"{source} {folds} {lead_set or 'all leads'}", flush=True)
        kept = (
            arguments.runs / f"{source}-{lead_set or 'all'}-{model.bundle.weights_sha256[:12]}.json"
        )
        if kept.exists():
            result = json.loads(kept.read_text())
        else:
            result = evaluate(model, source, arguments.data, folds=folds, lead_set=lead_set)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(result))
        results.append(result)
        if not arguments.quick:
            add_to_card(BUNDLE, result)
    if arguments.quick:
        print(json.dumps(results[0]["groups"], indent=1))
        return
    further = {
        "mitdb_without_202": part(
            model, arguments.data, "mitdb", [2], "beats", lambda case: case.reference.name != "202"
        ),
        "cinc2021_without_ptbxl": part(
            model,
            arguments.data,
            "cinc2021",
            None,
            "diagnosis",
            lambda case: not case.item.patient.startswith("ptbxl/"),
        ),
    }
    shown = {"results": [short(result) for result in results], **further}
    measuring.write(HERE, shown, table(results, further))
    hand_scores_on()


def hand_scores_on() -> None:
    """Write these scores into the card of the net that ships, where this is its development run."""
    own, shipped = read_bundle(BUNDLE), read_bundle(default_bundle())
    if shipped.card.get("development", {}).get("weights_sha256") == own.weights_sha256:
        save_bundle(follow(shipped, own), default_bundle(), half=True)
        print(f"wrote the scores into the card of {default_bundle().name}")


def part(
    model: Model,
    data: Path,
    source: str,
    folds: list[int] | None,
    task: str,
    keep: Callable[[Case], bool],
) -> Scores:
    """Return the scores of one task over the cases that are kept."""
    cases = [case for case in collect(model, source, data, folds=folds) if keep(case)]
    scores, _ = score(cases, [model.tasks[task]])
    return {key: value for key, value in scores.items() if value is not None}


def short(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result without the classes that have no positive there."""
    scores = {key: value for key, value in result["scores"].items() if value is not None}
    return {**result, "scores": scores}


def table(results: list[dict[str, Any]], further: Mapping[str, Scores]) -> str:
    whole = {r["source"]: r["scores"] for r in results if r["lead_set"] is None}
    without, others = further["mitdb_without_202"], further["cinc2021_without_ptbxl"]
    lines = ["| what | score | 95 % interval |", "|---|---|---|"]
    lines += [f"| {name} | {figures(whole[source], key)} |" for name, source, key in ROWS]
    lines += [
        f"| MIT-BIH DS2 without 202, {name} | {figures(without, key)} |"
        for name, key in (
            ("R peaks, sensitivity", "beats.sensitivity"),
            ("R peaks, PPV", "beats.ppv"),
            ("ventricular beats, F1", "beats.V.f1"),
        )
    ]
    lines.append(
        "| CinC samples of four other sources, challenge classes, macro AUROC | "
        f"{figures(others, 'diagnosis.SNOMED-CT.macro.auroc')} |"
    )
    key = "diagnosis.PTB-XL superclass.macro.auroc"
    lines += [
        f"| PTB-XL fold 9, superclasses, {leads} lead{'s' if leads != '1' else ''} alone | "
        f"{figures(scores, key)} |"
        for leads, scores in ((r["lead_set"], r["scores"]) for r in results if r["lead_set"])
    ]
    return "\n".join(lines)


def figures(scores: Mapping[str, float | None], key: str) -> str:
    low, high = scores[f"{key}.low"], scores[f"{key}.high"]
    return f"{scores[key]:.4f} | {low:.4f} to {high:.4f}"


if __name__ == "__main__":
    main()
