"""The PTB-XL benchmark's xresnet1d101 and fascicle's development bundle on the same records.

    python benchmarks/xresnet/run.py --data DIR
    python benchmarks/xresnet/run.py --data DIR --seeds 1 --only superclasses   # trains one net
    python benchmarks/xresnet/run.py --quick

Trained on PTB-XL folds 1-7, one net for the superclasses and one for the statements, as there;
folds 8 and 9 chose nothing of it. Answers are kept under `--runs`, so that a stopped run goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import measuring  # noqa: E402

measuring.limit_threads()

import net  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from diagnosing import BUNDLE, VIEWS, answers, drawn, judged, limits, macro  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from fascicle.bundle import VIEWED  # noqa: E402
from fascicle.data.sources import SOURCES  # noqa: E402
from fascicle.evaluate import items_of  # noqa: E402
from fascicle.labels import Vocabulary  # noqa: E402
from fascicle.predict import load  # noqa: E402
from fascicle.record import Record  # noqa: E402
from fascicle.signal.leads import to_standard  # noqa: E402
from fascicle.signal.resample import resample_record  # noqa: E402
from fascicle.synth import Noise, synthesize  # noqa: E402

TRAINED, TESTED = (1, 2, 3, 4, 5, 6, 7), (8, 9)
LABELS = {"superclasses": "PTB-XL superclass", "statements": "SCP-ECG"}
SEEDS = {"superclasses": 3, "statements": 2}
"""Nets of each kind; one takes twenty minutes."""
PEER = "xresnet1d101"
MADE = {
    "sinus": ("NORM", "SR"),
    "af": ("STTC", "AFIB"),
    "pvc": ("STTC", "PVC"),
    "lbbb": ("CD", "CLBBB"),
}
"""What synthetic records of a quick run have for labels, in the order of `LABELS`."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Records:
    """`signals` (record, lead, sample) mV, resampled; `labels` and `known` (record, class)."""

    signals: net.Floats
    labels: NDArray[np.bool_]
    known: NDArray[np.bool_]
    patients: Sequence[str]


def main() -> None:
    options = measuring.parser(__doc__.splitlines()[0], HERE)
    options.add_argument("--seeds", type=int, help="nets of each kind; default: 3 and 2")
    options.add_argument("--only", choices=LABELS, help="train the nets of this kind and stop")
    options.add_argument("--runs", type=Path, default=Path("runs/xresnet"), help="kept answers")
    asked = options.parse_args()
    if asked.data is None and not asked.quick:
        raise SystemExit("--data is needed")
    about = measuring.describe(["numpy", "torch"], measuring.pin(asked.core), asked.note)
    torch.set_num_threads(1)
    model = load(BUNDLE)
    vocabulary = model.bundle.vocabularies[VIEWED]
    systems = np.array([term.system for term in vocabulary.terms])
    teaching = gather(listed(asked, TRAINED), vocabulary)
    held = {fold: list(listed(asked, [fold])) for fold in TESTED}
    tests = {fold: gather(records, vocabulary) for fold, records in held.items()}
    made = {
        kind: [
            taught(asked, f"{kind}-{seed}", systems == LABELS[kind], seed, teaching, tests)
            for seed in range(asked.seeds or SEEDS[kind])
        ]
        for kind in ([asked.only] if asked.only else LABELS)
    }
    if asked.only:
        return
    found = []
    for fold, test in tests.items():
        ours = np.stack([answers(model, record, "12") for record in held[fold]])
        for kind, nets in made.items():
            theirs = [answered[fold] for answered in nets]
            scores = compared(ours, LABELS[kind], test, theirs, systems)
            found.append({"fold": fold, "classes": kind, **scores})
    about |= {"trained_on": len(teaching.patients)}
    measuring.write(
        measuring.out_folder(asked, HERE), {**about, "parts": found}, table(found, about)
    )


def listed(asked: argparse.Namespace, folds: Sequence[int]) -> Iterator[Record]:
    """Yield the records of these folds, with their names made those of their patients."""
    if asked.quick:
        for seed, (kind, codes) in enumerate(MADE.items()):
            labels = {system: {code} for system, code in zip(LABELS.values(), codes, strict=True)}
            yield replace(synthesize(kind, seed=seed, noise=Noise()), name=str(seed), labels=labels)
        return
    items = items_of("ptbxl", asked.data, folds)
    for item in measuring.progress(items, "folds " + " ".join(map(str, folds))):
        yield replace(SOURCES["ptbxl"].load(item), name=item.patient)


def gather(records: Iterable[Record], vocabulary: Vocabulary) -> Records:
    signals, labels, known, patients = [], [], [], []
    for record in records:
        signals.append(to_standard(resample_record(record, net.RATE_HZ))[0])
        target, mask = vocabulary.encode(record.labels)
        labels.append(target > 0)
        known.append(mask)
        patients.append(record.name)
    return Records(np.stack(signals), np.stack(labels), np.stack(known), patients)


def taught(
    asked: argparse.Namespace,
    name: str,
    classes: NDArray[np.bool_],
    seed: int,
    teaching: Records,
    tests: Mapping[int, Records],
) -> dict[int, Floats]:
    """Return a net's logits (record, class) of each fold, in the places of these classes.

    The signals are scaled by one mean and one standard deviation, as there.
    """
    kept = asked.runs / f"{name}.npz"
    if not asked.quick and kept.exists():
        with np.load(kept) as file:
            return {int(fold): file[fold] for fold in file.files}
    epochs = 1 if asked.quick else net.Training().epochs
    mean, scale = teaching.signals.mean(), teaching.signals.std()

    def tell(epoch: int) -> None:
        sys.stderr.write(f"\r{name}: epoch {epoch} of {epochs}" + "\n" * (epoch == epochs))
        sys.stderr.flush()

    trained = net.train(
        (teaching.signals - mean) / scale,
        teaching.labels[:, classes].astype(np.float32),
        seed,
        net.Training(epochs=epochs),
        tell,
    )
    found = {}
    for fold, test in tests.items():
        found[fold] = np.full(test.labels.shape, np.nan)
        found[fold][:, classes] = net.answer(trained, (test.signals - mean) / scale)
    if not asked.quick:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, **{str(fold): logits for fold, logits in found.items()})
    return found


def compared(
    ours: Floats, system: str, test: Records, theirs: Sequence[Floats], systems: NDArray[np.str_]
) -> dict[str, Any]:
    """Return the macro AUROC of either, and what we have more than their mean over seeds."""
    classes = judged(systems, system, test.labels, test.known)
    draws = drawn(test.patients)

    def scored(logits: Floats) -> Floats:
        return macro(logits, test.labels, test.known, classes, draws)

    views = {view: scored(ours[:, place]) for place, view in enumerate(VIEWS)}
    peers = np.stack([scored(logits) for logits in theirs])
    return {
        "records": len(test.patients),
        "judged": len(classes),
        **{view: limits(values) for view, values in views.items()},
        PEER: limits(peers.mean(0)),
        "seeds": [round(float(values[0]), 4) for values in peers],
        "gain": limits(views["both"] - peers.mean(0)),
    }


def table(found: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    head = (
        "fold",
        "classes",
        PEER,
        "its seeds",
        "fascicle",
        "its net alone",
        "fascicle more than it",
    )
    body = [
        (
            str(part["fold"]),
            f"{part['judged']} {part['classes']}",
            "{:.4f} ({:.4f} to {:.4f})".format(*part[PEER]),
            ", ".join(f"{value:.4f}" for value in part["seeds"]),
            "{:.4f} ({:.4f} to {:.4f})".format(*part["both"]),
            f"{part['net'][0]:.4f}",
            "{:+.4f} ({:+.4f} to {:+.4f})".format(*part["gain"]),
        )
        for part in found
    ]
    return f"{measuring.rows(head, body)}\n\nCommit {about['commit']}."


if __name__ == "__main__":
    main()
