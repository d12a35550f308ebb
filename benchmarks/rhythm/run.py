"""Rhythms on MIT-BIH by duration, and atrial fibrillation on PTB-XL from lead I alone.

    python benchmarks/rhythm/run.py --data DIR [--bundle FILE] [--work runs/rhythm] [--quick]

What the development net finds in each record is kept in --work, so that a stopped run goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fascicle.data.sources import SOURCES, Item
from fascicle.evaluate import items_of
from fascicle.labels import SNOMED, rhythm_classes, rhythm_kinds
from fascicle.metrics.beats import confusion, match_beats
from fascicle.metrics.bootstrap import ranking_intervals, sums_interval
from fascicle.metrics.classification import auroc
from fascicle.metrics.rhythm import rhythm_durations, rhythm_scores
from fascicle.predict import Model, choose_leads, load
from fascicle.record import BEAT_KINDS, Beat, Record, Rhythm
from fascicle.signal.quality import assess

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import measuring  # noqa: E402

DEVELOPMENT = HERE.parent / "development" / "bundle.safetensors"
COMMAND = "python benchmarks/rhythm/run.py --data DIR"
KINDS = tuple(term.code for term in rhythm_classes().terms)
AF = "164889003"
FOLDS = (0, 2)
"""Of MIT-BIH: the paced records and DS2."""
PARTS = {"DS2": (2, ""), "DS2 without 202": (2, "202"), "paced records": (0, "")}
"""Part of MIT-BIH -> its fold, and a record that is left out: 202 is the patient of DS1's 201."""
LEAD_SETS = ("1", "12")
P_FAR_S, P_NEAR_S = 0.40, 0.03
"""A beat has a P if a consensus P peaks this long before its R peak."""
TARGET = 0.90
Table = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the data sets")
    parser.add_argument("--bundle", type=Path, default=DEVELOPMENT)
    parser.add_argument("--work", type=Path, default=Path("runs/rhythm"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="4 records a set, nothing written")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    model = load(asked.bundle, asked.threads)
    records = [
        found_in(model, item, asked.work)
        for item in measuring.progress(chosen("mitdb", FOLDS, asked), "MIT-BIH, record")
    ]
    results: dict[str, Any] = {
        "command": COMMAND,
        "commit": measuring.commit(),
        "net": {"name": model.bundle.info.name, "weights_sha256": model.bundle.weights_sha256},
        "parameters": sum(p.numel() for p in model.network.heads["rhythm"].parameters()),
        "target": TARGET,
        "parts": {part: scored(some) for part, some in parts(records).items()},
        "records": {r["name"]: of_record(r) for r in records},
        "p_waves": p_waves(records),
        "paced_beats": {part: paced_beats(some) for part, some in parts(records).items()},
        "ptbxl": {leads: ptbxl(model, leads, asked) for leads in LEAD_SETS},
    }
    if asked.quick:
        print(table(results))
        return
    measuring.write(HERE, results, table(results))


def parts(records: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the records of each part that has any."""
    made = {
        part: [r for r in records if r["fold"] == fold and r["name"] != without]
        for part, (fold, without) in PARTS.items()
    }
    return {part: some for part, some in made.items() if some}


def chosen(source: str, folds: Sequence[int] | None, asked: argparse.Namespace) -> list[Item]:
    items = items_of(source, asked.data, folds)
    return items[:: max(len(items) // 4, 1)] if asked.quick else items


def found_in(model: Model, item: Item, work: Path) -> dict[str, Any]:
    """Return what is known and found of a MIT-BIH record, from `work` if it is there."""
    path = work / f"{item.path.name}-{model.bundle.weights_sha256[:12]}.json"
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text())
        return kept
    record = SOURCES["mitdb"].load(item)
    findings = model.analyze(record)
    made = {
        "name": record.name,
        "patient": item.patient,
        "fold": item.fold,
        "reference": [asdict(span) for span in told(record)],
        "found": [asdict(span) for span in findings.rhythm],
        "beats": [beat.time_s for beat in record.beats if beat.kind in "NS"],
        "p": [wave.peak_s for wave in findings.waves if wave.lead is None and wave.kind == "P"],
        "named": named(record.beats, findings.beats).tolist(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made))
    return made


def named(reference: Sequence[Beat], found: Sequence[Beat]) -> NDArray[np.int64]:
    """Return the table of classes (6, 6) of the reference's beats and those found."""
    match = match_beats([beat.time_s for beat in reference], [beat.time_s for beat in found])
    return confusion([beat.kind for beat in reference], [beat.kind for beat in found], match)


def told(record: Record) -> list[Rhythm]:
    """Return the marks as kinds; "" where a mark names none."""
    known = rhythm_kinds()
    return [replace(span, kind=known.get(span.kind) or "") for span in record.rhythms]


def durations(record: dict[str, Any]) -> Table:
    """Return the seconds (kind, kind + 1) of reference and found rhythms."""
    reference, found = ([Rhythm(**s) for s in record[which]] for which in ("reference", "found"))
    return rhythm_durations(reference, found, KINDS)


def of_record(record: dict[str, Any]) -> dict[str, Any]:
    """Return the seconds of a record's AF: of the reference, found, and both."""
    seconds, place = durations(record), KINDS.index("AF")
    found = seconds[:, place]
    return {
        "fold": record["fold"],
        "reference_s": round(float(seconds[place].sum()), 1),
        "found_s": round(float(found.sum()), 1),
        "both_s": round(float(seconds[place, place]), 1),
        "found_in": {k: round(float(s), 1) for k, s in zip(KINDS, found, strict=True) if s > 0},
    }


def scored(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the scores of these records with intervals over patients, and the seconds."""
    tables = np.stack([durations(record) for record in records])
    values = rhythm_scores(tables.sum(axis=0), KINDS)

    def measures(sums: Table) -> Table:
        return np.stack(list(rhythm_scores(sums, KINDS).values()), axis=-1)

    patients = [record["patient"] for record in records]
    low, high = sums_interval(measures, tables, patients, rng=np.random.default_rng(0))
    return {
        "records": len(records),
        "patients": len(set(patients)),
        "scores": {
            key: [plain(v), plain(a), plain(b)]
            for (key, v), a, b in zip(values.items(), low, high, strict=True)
        },
        "seconds": tables.sum(axis=0).round(1).tolist(),
    }


def plain(value: Any) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def p_waves(records: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return, by the reference's rhythm, the share of N and S beats with a P wave."""
    counts = {kind: np.zeros(2) for kind in ("sinus", "AF", "flutter")}
    for record in records:
        beats, p = np.array(record["beats"]), np.array(record["p"])
        has = np.searchsorted(p, beats - P_NEAR_S) > np.searchsorted(p, beats - P_FAR_S)
        for kind, sums in counts.items():
            here = inside(beats, [s for s in record["reference"] if s["kind"] == kind])
            sums += [here.sum(), (has & here).sum()]
    return {
        kind: {"beats": int(beats), "with_p": round(float(having / beats), 4)}
        for kind, (beats, having) in counts.items()
        if beats
    }


def paced_beats(records: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Return how many beats are Q, and how many are called so."""
    counts = np.sum([record["named"] for record in records], axis=0)
    q = BEAT_KINDS.index("Q")
    return {
        "q": int(counts[q, :5].sum()),
        "q_called": int(counts[q, q]),
        "others": int(counts[:5, :5].sum() - counts[q, :5].sum()),
        "others_called": int(counts[:5, q].sum() - counts[q, q]),
    }


def inside(times: Table, spans: Sequence[dict[str, Any]]) -> NDArray[np.bool_]:
    """Return which times lie in a span."""
    found = np.zeros(times.shape, dtype=bool)
    for span in spans:
        found |= (times >= span["start_s"]) & (times < span["end_s"])
    return found


def ptbxl(model: Model, lead_set: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Return the AUROC of AF on fold 9 from the rhythm head and from the diagnosis head."""
    terms = [(term.system, term.code) for term in model.tasks["diagnosis"].vocabulary.terms]
    labels, patients, scores = [], [], []
    for item in measuring.progress(chosen("ptbxl", [9], asked), f"PTB-XL, lead set {lead_set}"):
        record = choose_leads(SOURCES["ptbxl"].load(item), lead_set)
        made = model.probabilities(model.prepare(record, assess(record)))
        labels.append(AF in record.labels[SNOMED])
        patients.append(item.patient)
        of_head = made["rhythm"][KINDS.index("AF")].mean()
        scores.append([of_head, made["diagnosis"][terms.index((SNOMED, AF))]])
    truth, said = np.array(labels)[:, None].repeat(2, axis=1), np.array(scores, dtype=np.float64)
    found: dict[str, Any] = {"records": len(labels), "with_af": int(sum(labels))}
    if not 0 < sum(labels) < len(labels):
        return found
    values = auroc(truth, said)
    limits = ranking_intervals("auroc", truth, said, patients, rng=np.random.default_rng(0))
    for place, head in enumerate(("rhythm", "diagnosis")):
        row = (values[place], limits.low[place], limits.high[place])
        found[head] = [round(float(value), 4) for value in row]
    return found


def table(results: dict[str, Any]) -> str:
    """Return the Markdown tables: MIT-BIH by duration, its AF records, PTB-XL, P waves."""
    head: Sequence[str] = ("MIT-BIH", "kind", "reference (s)", "sensitivity (95 %)", "PPV (95 %)")
    body: list[list[str]] = []
    for part, found in results["parts"].items():
        for kind in (*KINDS, "AF_or_flutter"):
            score = {k: found["scores"][f"{kind}.{k}"] for k in ("sensitivity", "ppv")}
            reference_s = found["scores"][f"{kind}.reference_s"][0]
            if reference_s or score["ppv"][0] is not None:
                name = kind.replace("_", " ")
                shown = [limits(score[key]) for key in ("sensitivity", "ppv")]
                body.append([part, name, f"{reference_s:.0f}", *shown])
    tables = [measuring.rows(head, body)]
    head = ("record", "AF, reference (s)", "found (s)", "both (s)", "found AF is, by the reference")
    body = [
        [name, *(f"{r[k]:.0f}" for k in ("reference_s", "found_s", "both_s")), told_in(r)]
        for name, r in results["records"].items()
        if r["reference_s"] or r["found_s"] > 1
    ]
    tables.append(measuring.rows(head, body))
    head = ("PTB-XL fold 9, AF", "records (with AF)", "rhythm head, AUROC", "diagnosis head, AUROC")
    body = [
        [
            "lead I alone" if leads == "1" else "twelve leads",
            f"{found['records']} ({found['with_af']})",
            *(limits(found.get(name)) for name in ("rhythm", "diagnosis")),
        ]
        for leads, found in results["ptbxl"].items()
    ]
    tables.append(measuring.rows(head, body))
    head = ("MIT-BIH, DS2 and paced", "N and S beats", "with a P wave")
    body = [
        [kind, f"{found['beats']}", f"{found['with_p']:.3f}"]
        for kind, found in results["p_waves"].items()
    ]
    tables.append(measuring.rows(head, body))
    head = ("MIT-BIH", "Q beats (paced) found", "called Q", "other beats found", "called Q")
    body = [[part, *map(str, found.values())] for part, found in results["paced_beats"].items()]
    return "\n\n".join([*tables, measuring.rows(head, body)])


def told_in(record: dict[str, Any]) -> str:
    return ", ".join(f"{kind} {seconds:.0f}" for kind, seconds in record["found_in"].items())


def limits(score: Sequence[float | None] | None) -> str:
    if score is None or None in score:
        return "none" if score is None or score[0] is None else f"{score[0]:.3f}"
    value, low, high = score
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
