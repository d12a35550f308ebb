"""Teach the development bundle classes that it lacks, from 5, 10 and 20 records; test on others.

    python benchmarks/new-class/run.py --data DIR

PTB-XL: taught on folds 1-7, as the bundle itself was, tested on folds 8 and 9, which taught no
weight. Every record of the teaching folds without the class is a negative. CLBBB and 1AVB, which
the bundle has, are references: its embedding was trained on them. Synthetic ECGs: conditions that
the bundle has no class for, each among all the others. All is repeated with other draws of the
positives. Embeddings are kept under out/, so that a second run takes up from there.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import measuring  # noqa: E402

measuring.limit_threads()

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from scipy.special import expit  # noqa: E402

from fascicle.bundle import read_bundle  # noqa: E402
from fascicle.data.sources import SOURCES  # noqa: E402
from fascicle.labels import SCP  # noqa: E402
from fascicle.metrics.classification import f1  # noqa: E402
from fascicle.predict import Model, choose_leads, predict  # noqa: E402
from fascicle.record import Record  # noqa: E402
from fascicle.signal.quality import assess  # noqa: E402
from fascicle.synth import CONDITIONS, Noise, synthesize  # noqa: E402
from fascicle.train.added import embedder, stored_kind  # noqa: E402
from fascicle.train.expectation import expect  # noqa: E402
from fascicle.train.new_class import (  # noqa: E402
    METHODS,
    HeldOut,
    candidates_of,
    choose,
    cross_validate,
)

BUNDLE = HERE.parent / "development" / "bundle.safetensors"
COUNTS = (5, 10, 20)
TAUGHT = tuple(range(1, 8))
TESTED = (8, 9)
NEW = ("LPR", "ALMI", "LMI", "DIG", "LPFB", "RVH", "ISCIL", "AFLT")
REFERENCES = ("CLBBB", "1AVB")
CONDITION_CLASSES = ("avb2_mobitz1", "avb3", "vt", "long_qt")
QUICK = ("sinus", "af", "vt", "pvc")
EACH = 60
"""Synthetic records of each condition: half teach, half test."""
FIRST_SEED = 100_000
"""Beyond the seeds of the synthetic records that taught the bundle."""


@dataclass(frozen=True, slots=True)
class Set:
    """Embeddings (record, embedding), labels by class, patients, which records teach or test."""

    name: str
    embeddings: NDArray[np.float64]
    labels: Mapping[str, NDArray[np.bool_]]
    patients: Sequence[str]
    teaches: NDArray[np.bool_]
    tests: NDArray[np.bool_]
    own: Mapping[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]
    """Of the references: what the bundle itself says, probability and decision."""


def main() -> None:
    parser = measuring.parser(__doc__.splitlines()[0], HERE)
    parser.add_argument("--draws", type=int, default=3, help="draws of the positives")
    asked = parser.parse_args()
    if not asked.quick and not asked.data:
        parser.error("--data is needed")
    out = measuring.out_folder(asked, HERE)
    about = measuring.describe(["fascicle", "torch", "scikit-learn"], None, asked.note)
    kept = measuring.ROOT / "out" / "benchmarks" / HERE.name
    sets = [synthetic(kept, 12, QUICK) if asked.quick else synthetic(kept, EACH, CONDITIONS)]
    if not asked.quick:
        sets.insert(0, ptbxl(asked.data, kept))
    draws = 1 if asked.quick else asked.draws
    rows = []
    for part in sets:
        for code, holds in part.labels.items():
            for count in COUNTS:
                if int((holds & part.teaches).sum()) >= count:
                    rows.append(measure(part, code, count, draws))
                    print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    own = [
        {"set": part.name, "code": code, **plain(expect(*of_bundle(part, code)))}
        for part in sets
        for code in part.own
    ]
    results = {**about, "draws": draws, "rows": rows, "own": own}
    measuring.write(out, results, table(rows, own))


def of_bundle(part: Set, code: str) -> tuple[NDArray[np.bool_], HeldOut, list[str]]:
    probability, decision = part.own[code]
    held_out = HeldOut(probability[part.tests, np.newaxis], decision[part.tests, np.newaxis])
    return part.labels[code][part.tests], held_out, tested_patients(part)


def tested_patients(part: Set) -> list[str]:
    return [who for who, tests in zip(part.patients, part.tests, strict=True) if tests]


def measure(part: Set, code: str, count: int, draws: int) -> dict[str, Any]:
    """Return what each method reaches on the test records, and what "auto" had promised."""
    stored = stored_kind(read_bundle(BUNDLE))
    holds = part.labels[code]
    truth, patients = holds[part.tests], tested_patients(part)
    found: dict[str, list[tuple[NDArray[np.float64], NDArray[np.bool_]]]] = {m: [] for m in METHODS}
    promised, chosen = [], Counter[str]()
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        positives = rng.permutation(np.flatnonzero(holds & part.teaches))[:count]
        rows = np.concatenate([positives, np.flatnonzero(~holds & part.teaches)])
        people = [part.patients[row] for row in rows]
        taught = (part.embeddings[rows], holds[rows], people)
        for method in METHODS:
            made = choose(*taught, candidates_of(method), np.random.default_rng(draw), stored)
            logits = made.row.logits(part.embeddings[part.tests])
            found[method].append((logits, expit(logits) >= made.threshold))
            if method == "auto":
                chosen[made.candidate.method] += 1
        held_out = cross_validate(*taught, candidates_of("auto"), rng, stored, repeats=1)
        promised.append(expect(holds[rows], held_out, people))
    tested = {
        method: plain(expect(truth, stacked(parts), patients, resamples=1000 * (method == "auto")))
        for method, parts in found.items()
    }
    each = [float(f1(truth[:, np.newaxis], made[:, np.newaxis])[0]) for _, made in found["auto"]]
    inside = [p["f1.low"] <= value <= p["f1.high"] for p, value in zip(promised, each, strict=True)]
    return {
        "set": part.name,
        "code": code,
        "reference": code in part.own,
        "count": count,
        "test_positives": int(truth.sum()),
        "test_records": len(truth),
        "chosen": dict(chosen),
        "tested": tested,
        "f1_of_draws": [round(value, 4) for value in each],
        "promised": {
            key: round(float(np.mean([p[key] for p in promised])), 4)
            for key in ("f1", "f1.low", "f1.high", "auroc", "auprc")
        },
        "inside_interval": int(sum(inside)),
    }


def stacked(parts: Sequence[tuple[NDArray[np.float64], NDArray[np.bool_]]]) -> HeldOut:
    """Return the draws side by side, as `expect` takes the repeats of a cross-validation."""
    logits, decisions = zip(*parts, strict=True)
    return HeldOut(np.stack(logits, axis=1), np.stack(decisions, axis=1))


def plain(scores: Mapping[str, float]) -> dict[str, float | None]:
    return {k: round(v, 4) if np.isfinite(v) else None for k, v in scores.items()}


def ptbxl(data: Path, kept: Path) -> Set:
    source = SOURCES["ptbxl"]
    named = data / "ptbxl"
    items = source.index(named if named.is_dir() else data)
    records = embed(kept / "ptbxl", [item.key for item in items], lambda n: source.load(items[n]))
    fold = np.array([item.fold for item in items])
    holds = {
        code: np.array([code in labels.get(SCP, ()) for labels in records.labels])
        for code in (*NEW, *REFERENCES)
    }
    bundle = read_bundle(BUNDLE)
    places = {code: bundle.vocabularies["diagnosis"].index(SCP, code) for code in REFERENCES}
    own = {
        code: (
            records.probabilities[:, place],
            records.probabilities[:, place] >= bundle.thresholds["diagnosis"][place],
        )
        for code, place in places.items()
    }
    return Set(
        "PTB-XL",
        records.embeddings,
        holds,
        [item.patient for item in items],
        np.isin(fold, TAUGHT),
        np.isin(fold, TESTED),
        own,
    )


def synthetic(kept: Path, each: int, conditions: Iterable[str]) -> Set:
    names = [name for name in conditions for _ in range(each)]
    records = embed(
        kept / f"synthetic-{each}",
        [f"synthetic/{number}" for number in range(len(names))],
        lambda n: synthesize(names[n], seed=FIRST_SEED + n, rate_hz=500.0, noise=Noise()),
    )
    teaches = np.arange(len(names)) % each < each // 2
    return Set(
        "synthetic",
        records.embeddings,
        {code: np.array([n == code for n in names]) for code in CONDITION_CLASSES if code in names},
        [str(number) for number in range(len(names))],
        teaches,
        ~teaches,
        {},
    )


@dataclass(frozen=True, slots=True)
class Embedded:
    """Embeddings, the bundle's own probabilities of its diagnoses, and labels of records."""

    embeddings: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    labels: list[dict[str, list[str]]]


def embed(folder: Path, keys: Sequence[str], load: Callable[[int], Record]) -> Embedded:
    """Return what the bundle makes of each record, kept from an earlier run of these weights."""
    bundle = read_bundle(BUNDLE)
    told = hashlib.sha256(json.dumps([bundle.weights_sha256, *keys]).encode()).hexdigest()[:12]
    arrays, texts = folder / f"{told}.npz", folder / f"{told}.json"
    if not texts.exists():
        model, made = Model(bundle, 1), embedder(bundle)
        rows, said, labels = [], [], []
        for number in measuring.progress(range(len(keys)), folder.name):
            record = choose_leads(load(number), None)
            prepared = model.prepare(record, assess(record))
            rows.append(made(prepared))
            said.append(predict(model.network, model.tasks, prepared, bundle)["diagnosis"])
            labels.append({system: sorted(codes) for system, codes in record.labels.items()})
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(arrays, embeddings=np.stack(rows), probabilities=np.stack(said))
        texts.write_text(json.dumps(labels))
    stored = np.load(arrays)
    return Embedded(
        stored["embeddings"].astype(np.float64),
        stored["probabilities"].astype(np.float64),
        json.loads(texts.read_text()),
    )


def table(rows: Sequence[Mapping[str, Any]], own: Sequence[Mapping[str, Any]]) -> str:
    head = (
        "class", "positives", "of the test", "F1", "AUPRC", "AUROC",
        "F1 logistic / prototype", "F1 that was promised", "inside",
    )  # fmt: skip
    body = [line(row) for row in rows]
    measures = ("f1", "auprc", "auroc")
    body += [
        [f"{f['code']}, the bundle's own", "all", "", *(figure(f, m) for m in measures), "", "", ""]
        for f in own
    ]
    lines = [measuring.rows(head, body), "", means(rows)]
    return "\n".join(lines)


def line(row: Mapping[str, Any]) -> list[str]:
    auto, promised = row["tested"]["auto"], row["promised"]
    others = " / ".join(f"{row['tested'][m]['f1']:.2f}" for m in ("logistic", "prototype"))
    name = f"{row['code']} ({row['set']})" if row["set"] != "PTB-XL" else row["code"]
    return [
        f"{name}, a reference" if row["reference"] else name,
        str(row["count"]),
        f"{row['test_positives']} of {row['test_records']}",
        figure(auto, "f1"),
        figure(auto, "auprc"),
        figure(auto, "auroc"),
        others,
        f"{promised['f1']:.2f} ({promised['f1.low']:.2f} to {promised['f1.high']:.2f})",
        f"{row['inside_interval']} of {len(row['f1_of_draws'])}",
    ]


def figure(found: Mapping[str, Any], key: str) -> str:
    low, high = found.get(f"{key}.low"), found.get(f"{key}.high")
    limits = f" ({low:.2f} to {high:.2f})" if low is not None and high is not None else ""
    return f"{found[key]:.2f}{limits}"


def means(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a sentence for each set and number of positives: the means over its new classes."""
    lines = []
    for name in dict.fromkeys(row["set"] for row in rows):
        for count in COUNTS:
            new = [
                row
                for row in rows
                if row["set"] == name and row["count"] == count and not row["reference"]
            ]
            if new:
                said = ", ".join(
                    f"{measure} {np.mean([row['tested']['auto'][key] for row in new]):.2f}"
                    for key, measure in (("f1", "F1"), ("auprc", "AUPRC"), ("auroc", "AUROC"))
                )
                inside = sum(row["inside_interval"] for row in new)
                draws = sum(len(row["f1_of_draws"]) for row in new)
                lines.append(
                    f"- {name}, {count} positives, mean of {len(new)} new classes: {said}; F1 "
                    f"inside the promised interval in {inside} of {draws} draws"
                )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
