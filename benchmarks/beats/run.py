"""Kinds of beats on MIT-BIH, DS1 to DS2 (AAMI, inter-patient): the net alone, and with context.

    python benchmarks/beats/run.py --data DIR [--work runs/beats] [--choose] [--quick]

The development net (whose beats head saw DS1 only) is frozen; second stages of several seeds are
taught on DS1, and DS2 is scored. What is slow (features of each record) is kept in --work, so that
a run that was stopped goes on. `--choose` repeats the choice of the lesson by five groups of DS1's
patients, each held out once; DS2 has no part in it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from fascicle.bundle import CONTEXT, Bundle, read_bundle
from fascicle.data.sources import SOURCES, Item
from fascicle.decode.beats import find_beats, pooled_qrs
from fascicle.decode.context import beat_features, join_kinds
from fascicle.evaluate import items_of
from fascicle.metrics.beats import aami_scores, confusion, detection_scores, match_beats
from fascicle.metrics.bootstrap import sums_interval
from fascicle.metrics.ec57 import match_as_bxb
from fascicle.models.context import ContextHead
from fascicle.predict import Model, predict
from fascicle.record import BEAT_KINDS, BeatKind
from fascicle.signal.quality import assess
from fascicle.train.context import Example, Lesson, gather, scored_beats, teach

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import measuring  # noqa: E402

BUNDLE = HERE.parent / "development" / "bundle.safetensors"
COMMAND = "python benchmarks/beats/run.py --data DIR"
RATE_HZ = 360.0
SEEDS = (0, 1, 2)
GROUPS = (
    ("209", "101", "106", "122"), ("220", "118", "108", "205"), ("201", "124", "119", "215"),
    ("207", "223", "112", "230"), ("114", "203", "208", "109", "115", "116"),
)  # fmt: skip
"""Patients of DS1 that are held out together; each group has some of the S beats."""
LESSONS = {
    "as taught": Lesson(),
    "no other rhythms": Lesson(others=0.0),
}
LEFT_OUT = ("202", "232")
"""202 is the patient of DS1's 201; 232 alone has 1382 of DS2's 1837 S beats."""
TARGETS = {"accuracy": 0.95, "j_kappa": 0.78, "V.f1": 0.93, "S.f1": 0.65}
KINDS = ("net", "context", "both")
NAMES = {
    "net": "net's beats head alone",
    "context": "second stage alone",
    "both": "net with second stage",
}
Tables = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tested:
    """A record: reference and found beats, of each the net's kinds (5, beat) and the features."""

    name: str
    patient: str
    times: NDArray[np.float64]
    kinds: NDArray[np.intp]
    shape: NDArray[np.float32]
    features: NDArray[np.float32]
    found_times: NDArray[np.float64]
    found_shape: NDArray[np.float32]
    found_features: NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds mitdb/")
    parser.add_argument("--work", type=Path, default=Path("runs/beats"))
    parser.add_argument("--choose", action="store_true", help="repeat the choice on DS1 alone")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="4 records, nothing written")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    bundle = net_alone(read_bundle(BUNDLE))
    learnt, held = (items_of("mitdb", asked.data, [fold]) for fold in (1, 2))
    seeds, lesson = SEEDS, Lesson()
    if asked.quick:
        learnt, held, seeds, lesson = learnt[:2], held[:2], SEEDS[:2], replace(lesson, steps=20)
    bar = lambda items: measuring.progress(items, "DS1, record")  # noqa: E731
    examples = gather(bundle, learnt, keep=asked.work, progress=bar)
    chosen = asked.work / "choice.json"
    if asked.choose and not asked.quick:
        chosen.write_text(json.dumps(choose(examples), indent=1))
    model = Model(bundle)
    records = [collect(model, item, asked.work) for item in measuring.progress(held, "DS2, record")]
    heads = [
        kept_head(examples, seed, lesson, asked.work) for seed in measuring.progress(seeds, "seed")
    ]
    results: dict[str, Any] = {
        "command": COMMAND,
        "commit": measuring.commit(),
        "net": {"name": bundle.info.name, "weights_sha256": bundle.weights_sha256},
        "parameters": sum(p.numel() for p in heads[0].parameters()),
        "seeds": list(seeds),
        "patients": len({record.patient for record in records}),
        "targets": TARGETS,
        "choice": json.loads(chosen.read_text()) if chosen.exists() else {},
        "rows": rows(records, heads),
    }
    if asked.quick:
        print(table(results))
        return
    measuring.write(HERE, results, table(results))


def net_alone(bundle: Bundle) -> Bundle:
    """Return the bundle without the second stage that it ships with."""
    own = {name: w for name, w in bundle.weights.items() if not name.startswith(CONTEXT)}
    return replace(bundle, weights=own)


def kept_head(examples: Sequence[Example], seed: int, lesson: Lesson, work: Path) -> ContextHead:
    """Return the second stage of a seed, from `work` if it is there."""
    about = repr((seed, lesson, sorted((e.record, e.rhythm) for e in examples)))
    path = work / f"head-{hashlib.sha256(about.encode()).hexdigest()[:12]}.safetensors"
    if not path.exists():
        save_file(teach(examples, seed, lesson).state_dict(), path)
    head = ContextHead()
    head.load_state_dict(load_file(path))
    return head.eval()


def choose(examples: Sequence[Example]) -> dict[str, dict[str, float]]:
    """Return the scores of each lesson on DS1, every group of patients held out once."""
    found = {}
    for name, lesson in LESSONS.items():
        total = np.zeros((6, 6))
        for group in measuring.progress(GROUPS, name):
            head = teach([e for e in examples if e.record not in group], 0, lesson)
            for test in (e for e in examples if e.record in group and e.rhythm == "own"):
                total += confusion(
                    letters(test.kinds), letters(told(head, test.features).argmax(0))
                )
        found[name] = {key: float(value) for key, value in aami_scores(total).items()}
    return found


def collect(model: Model, item: Item, work: Path) -> Tested:
    """Return what the frozen net sees of a record, from `work` if it is there."""
    path = work / f"test-{item.path.name}-{model.bundle.weights_sha256[:12]}.npz"
    if not path.exists():
        record = SOURCES["mitdb"].load(item)
        prepared = model.prepare(record, assess(record))
        tasks = {name: model.tasks[name] for name in ("waves", "beats")}
        made = predict(model.network, tasks, prepared, model.bundle)
        rate_hz, beats = model.bundle.recipe.preprocessing.rate_hz, made["beats"]
        signal = prepared.signal[prepared.present]
        p_wave = made["waves"][prepared.present, 1]
        times, kinds = scored_beats(record)
        qrs = pooled_qrs(made["waves"][prepared.present])
        found = np.array([b.time_s for b in find_beats(beats[0], beats[1:], rate_hz, qrs=qrs)])
        arrays = {"times": times, "kinds": kinds, "found_times": found}
        for prefix, peaks in (("", times), ("found_", found)):
            place = np.clip(np.rint(peaks * rate_hz).astype(int), 0, beats.shape[1] - 1)
            arrays[f"{prefix}shape"] = beats[1:, place]
            arrays[f"{prefix}features"] = beat_features(signal, peaks, p_wave, rate_hz)
        work.mkdir(parents=True, exist_ok=True)
        np.savez(path.with_suffix(".part.npz"), **arrays)
        path.with_suffix(".part.npz").replace(path)
    with np.load(path) as kept:
        return Tested(item.path.name, item.patient, **kept)


@torch.inference_mode()
def told(head: ContextHead, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the second stage's kinds (5, beat)."""
    return head(torch.from_numpy(features)[None])[0].softmax(-1).numpy().T


def letters(kinds: NDArray[Any]) -> list[BeatKind]:
    return [BEAT_KINDS[kind] for kind in kinds.tolist()]


def estimate(
    kind: str, shape: NDArray[np.float32], features: NDArray[np.float32], head: ContextHead
) -> list[BeatKind]:
    """Return the kind of each beat after the net, the second stage, or both."""
    if kind == "net":
        return letters(shape.argmax(0))
    second = told(head, features)
    return letters((second if kind == "context" else join_kinds(shape, second)).argmax(0))


def tables(records: Sequence[Tested], heads: Sequence[ContextHead], kind: str, how: str) -> Tables:
    """Return tables (record, seed, 6, 6) at reference positions, found beats, or as bxb."""
    made = np.zeros((len(records), len(heads), 6, 6))
    for row, record in enumerate(records):
        for column, head in enumerate(heads):
            reference = letters(record.kinds)
            if how == "reference":
                guess = estimate(kind, record.shape, record.features, head)
                made[row, column] = confusion(reference, guess)
                continue
            guess = estimate(kind, record.found_shape, record.found_features, head)
            pair = (record.times, record.found_times)
            if how == "bxb":
                samples = (np.rint(RATE_HZ * times).astype(int) for times in pair)
                made[row, column] = confusion(reference, guess, match_as_bxb(*samples, RATE_HZ))
            else:
                made[row, column] = confusion(reference, guess, match_beats(*pair))
    return made


def rows(records: Sequence[Tested], heads: Sequence[ContextHead]) -> list[dict[str, Any]]:
    """Return the scores of each answer, each way of scoring, with and without two records."""
    made = []
    for without in ("", *LEFT_OUT):
        kept = [record for record in records if record.name != without]
        for how in ("reference", "found", "bxb"):
            for kind in KINDS:
                counts = tables(kept, heads, kind, how)
                row = {"who": kind, "how": how, "without": without, "records": len(kept)}
                row |= scored(counts, [record.patient for record in kept])
                if not without and kind == "both":
                    means = counts.mean(axis=1).round(2).tolist()
                    row["by_record"] = dict(zip((r.name for r in kept), means, strict=True))
                made.append(row)
    return made


def scored(counts: Tables, patients: Sequence[str]) -> dict[str, Any]:
    """Return means and spreads over the seeds, and 95 % intervals of the mean over patients."""

    def measures(sums: Tables) -> dict[str, Tables]:
        found = detection_scores(sums)
        return aami_scores(sums) | {f"QRS.{key}": value for key, value in found.items()}

    def mean(sums: Tables) -> Tables:
        return np.stack([v.mean(axis=-1) for v in measures(sums).values()], axis=-1)

    each = measures(counts.sum(axis=0))
    low, high = sums_interval(mean, counts, patients, resamples=1000, rng=np.random.default_rng(0))
    return {
        "scores": {k: round(float(v.mean()), 4) for k, v in each.items()},
        "spread": {k: round(float(v.std(ddof=1)), 4) for k, v in each.items()},
        "low": {k: round(float(v), 4) for k, v in zip(each, low, strict=True)},
        "high": {k: round(float(v), 4) for k, v in zip(each, high, strict=True)},
        "confusion": counts.sum(axis=0).mean(axis=0).round(1).tolist(),
    }


def table(results: dict[str, Any]) -> str:
    """Return the Markdown tables: scores, then the confusion of the whole at found beats."""
    ways = {"reference": "reference R", "found": "found beats", "bxb": "bxb, from 5:00"}
    names = (
        "beats",
        "scored at",
        "accuracy",
        "j-kappa",
        "V F1",
        "S F1",
        "V Se / PPV",
        "S Se / PPV",
    )
    body = []
    for row in results["rows"]:
        if row["without"] and row["how"] != "reference":
            continue
        place = ways[row["how"]] + (f", without {row['without']}" if row["without"] else "")
        score = row["scores"]
        pairs = [f"{score[f'{k}.sensitivity']:.3f} / {score[f'{k}.ppv']:.3f}" for k in "VS"]
        body.append([NAMES[row["who"]], place, *(shown(row, key) for key in TARGETS), *pairs])
    goal = [f"{value:.2f}" for value in TARGETS.values()]
    body.append(["to reach", "reference R", *goal, "", ""])
    chosen = [
        [name, *(f"{scores[key]:.3f}" for key in TARGETS)]
        for name, scores in results["choice"].items()
    ]
    title = ("second stage on DS1, held-out patients", "accuracy", "j-kappa", "V F1", "S F1")
    more = f"\n\n{measuring.rows(title, chosen)}" if chosen else ""
    whole = next(r for r in results["rows"] if r["who"] == "both" and r["how"] == "found")
    heads = ["reference \\ found", *BEAT_KINDS, "none"]
    lines = [
        [name, *(f"{value:,.0f}" for value in line)]
        for name, line in zip((*BEAT_KINDS, "none"), whole["confusion"], strict=True)
    ]
    return f"{measuring.rows(names, body)}\n\n{measuring.rows(heads, lines)}{more}"


def shown(row: dict[str, Any], key: str) -> str:
    """Return "mean ± spread over the seeds (95 % interval)"; the net alone has no seeds."""
    spread = f" ± {row['spread'][key]:.3f}" if row["who"] != "net" else ""
    limits = f"{row['low'][key]:.3f} to {row['high'][key]:.3f}"
    return f"{row['scores'][key]:.3f}{spread} ({limits})"


if __name__ == "__main__":
    main()
