"""F1 and AUPRC of the nets, pooled out-of-fold, with intervals over patients and paired gains.

A threshold is chosen without the records that it is tested on: on the folds that choose, as all
groups' nets of the arm answer them, but for the fold that the group itself tests. A new last layer
on the frozen trunk of the common classes' net is fitted here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nets
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fascicle.data.pack import Entry
from fascicle.decode.thresholds import decide, fit_thresholds
from fascicle.labels import SCP
from fascicle.metrics.classification import weighted_auprc
from fascicle.metrics.counts import f1_score
from fascicle.train.new_class import candidates_of, choose

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Answered:
    """What the nets of one arm say of a class: scores of the folds that test and that choose."""

    test: Sequence[Floats]
    chosen: Sequence[Floats]


@dataclass(frozen=True, slots=True)
class Truth:
    """Who holds a class: by group, of the records that test and that choose thresholds."""

    test: Sequence[Bools]
    chosen: Sequence[Bools]


def holds(entries: Sequence[Entry], code: str) -> Bools:
    """Return (record,): whether the statement is there."""
    return np.array([code in entry.labels.get(SCP, ()) for entry in entries], dtype=np.bool_)


def of_folds(entries: Sequence[Entry], folds: Sequence[int]) -> list[Entry]:
    """Return the entries of these folds."""
    return [entry for entry in entries if entry.fold in folds]


def truth_of(entries: Sequence[Entry], code: str) -> Truth:
    """Return who holds a class in each group."""
    return Truth(
        [holds(of_folds(entries, tested), code) for tested, _ in nets.GROUPS],
        [holds(of_folds(entries, (chosen,)), code) for _, chosen in nets.GROUPS],
    )


def training_positives(entries: Sequence[Entry], code: str) -> list[int]:
    """Return in each group how many of the records that teach hold the class."""
    return [
        int(holds([e for e in entries if e.fold not in (*tested, chosen)], code).sum())
        for tested, chosen in nets.GROUPS
    ]


def read(kept: Path, arm: nets.Arm, target: str, seed: int, times: int = 1) -> Answered | None:
    """Return what an arm's nets say of a class, None where one is not trained yet."""
    test, chosen = [], []
    for group in range(len(nets.GROUPS)):
        named = target if arm in ("single", "two") else ""
        path = kept / f"{nets.Job(arm, named, group, seed, times).name}.npz"
        if not path.exists():
            return None
        found = np.load(path)
        place = found["codes"].tolist().index(target)
        test.append(found["test"][:, place].astype(np.float64))
        chosen.append(found["chosen"][:, place].astype(np.float64))
    return Answered(test, chosen)


def frozen(kept: Path, entries: Sequence[Entry], target: str, seed: int) -> Answered | None:
    """Return what a new last layer on the common classes' trunk says, fitted on who teaches."""
    test, chosen = [], []
    for group, (tested, choosing) in enumerate(nets.GROUPS):
        path = kept / f"{nets.Job('common', '', group, seed).name}.npz"
        if not path.exists():
            return None
        fitted = kept / f"frozen-{target}-group{group}-seed{seed}.npy"
        embeddings = np.load(path)["embeddings"].astype(np.float64)
        if not fitted.exists():
            teaches = np.array([entry.fold not in (*tested, choosing) for entry in entries])
            taught = [entry for entry in entries if entry.fold not in (*tested, choosing)]
            made = choose(
                embeddings[teaches],
                holds(taught, target),
                [entry.patient for entry in taught],
                candidates_of("logistic"),
                np.random.default_rng(seed),
            )
            np.save(fitted, expit(made.row.logits(embeddings)))
        said = np.load(fitted)
        test.append(said[[entry.fold in tested for entry in entries]])
        chosen.append(said[[entry.fold == choosing for entry in entries]])
    return Answered(test, chosen)


def thresholds(found: Sequence[Answered], truth: Truth) -> list[float]:
    """Return the threshold of each group, of all seeds' scores, best by F1."""
    made = []
    for tested, _ in nets.GROUPS:
        others = [g for g, (_, chosen) in enumerate(nets.GROUPS) if chosen not in tested]
        scores = np.concatenate([answered.chosen[g] for answered in found for g in others])
        labels = np.concatenate([truth.chosen[g] for _ in found for g in others])
        made.append(float(fit_thresholds(labels[:, np.newaxis], scores[:, np.newaxis])[0]))
    return made


def draws_of(patients: Sequence[str], rng: np.random.Generator) -> Floats:
    """Return how often each record counts: first as it is, then in resamples of the patients."""
    people = {who: place for place, who in enumerate(dict.fromkeys(patients))}
    member = np.array([people[who] for who in patients])
    drawn = rng.multinomial(len(people), np.full(len(people), 1 / len(people)), size=DRAWS)
    return np.concatenate([np.ones((len(member), 1)), drawn.T[member]], axis=1)


def measure(found: Sequence[Answered], truth: Truth, weights: Floats) -> dict[str, Floats]:
    """Return F1 and AUPRC under each column of weights, means over the seeds."""
    labels = np.concatenate(truth.test)
    cuts = thresholds(found, truth)
    f1, auprc = [], []
    for answered in found:
        pairs = zip(answered.test, cuts, strict=True)
        flags = np.concatenate([decide(scores, cut) for scores, cut in pairs])
        counts = [(part.astype(np.float64) @ weights) for part in _outcomes(labels, flags)]
        f1.append(np.nan_to_num(f1_score(*counts)))
        auprc.append(weighted_auprc(labels, np.concatenate(answered.test), weights))
    return {"f1": np.mean(f1, axis=0), "auprc": np.mean(auprc, axis=0)}


def _outcomes(labels: Bools, flags: Bools) -> tuple[Bools, Bools, Bools]:
    return labels & flags, ~labels & flags, labels & ~flags


def figure(values: Floats) -> dict[str, float]:
    """Return the value and its 95 % interval, of (1 + draw,)."""
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    return {"value": round(float(values[0]), 4), "low": round(low, 4), "high": round(high, 4)}


def compare(
    study: nets.Study, entries: Sequence[Entry], kept: Path, seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """Return for each class its positives, and draws of each arm's measures under "draws"."""
    pooled = [entry for tested, _ in nets.GROUPS for entry in of_folds(entries, tested)]
    weights = draws_of([entry.patient for entry in pooled], np.random.default_rng(1))
    made = []
    for target, relative in study.rare.items():
        truth = truth_of(entries, target)
        arms: dict[str, Callable[[int], Answered | None]] = {
            "single": lambda seed, target=target: read(kept, "single", target, seed),
            "two": lambda seed, target=target: read(kept, "two", target, seed),
            "all": lambda seed, target=target: read(kept, "all", target, seed),
            "frozen": lambda seed, target=target: frozen(kept, entries, target, seed),
        }
        draws = {}
        for arm, answered_of in arms.items():
            found = [answered for seed in seeds if (answered := answered_of(seed)) is not None]
            if found:
                draws[arm] = measure(found, truth, weights)
        made.append(
            {
                "code": target,
                "relative": relative,
                "few": target in study.few,
                "positives": int(sum(part.sum() for part in truth.test)),
                "training_positives": training_positives(entries, target),
                "draws": draws,
            }
        )
    return made


def gains(rows: Sequence[Mapping[str, Any]], arm: str, key: str, over: str = "single") -> Floats:
    """Return the mean over classes of the gain of an arm, under each draw of the patients."""
    both = [row["draws"] for row in rows if arm in row["draws"] and over in row["draws"]]
    return np.mean([draws[arm][key] - draws[over][key] for draws in both], axis=0)


def longer(
    study: nets.Study, entries: Sequence[Entry], kept: Path, every: Sequence[str]
) -> list[dict[str, Any]]:
    """Return AUPRC in the first group of nets with the usual and with more updates, first seed.

    Of the net of all classes, the mean over all of them stands beside the rare ones.
    """
    tested = of_folds(entries, nets.GROUPS[0][0])
    labels = {code: holds(tested, code) for code in every}
    made = []
    for times in (1, nets.LONGER):
        for job in (nets.Job("all", "", 0, 1, times), *singles(study.longer, times)):
            path = kept / f"{job.name}.npz"
            if path.exists():
                found = np.load(path)
                codes = found["codes"].tolist()
                ranked = {
                    code: _auprc(labels[code], found["test"][:, codes.index(code)])
                    for code in codes
                }
                made.append(
                    {
                        "arm": job.arm,
                        "target": job.target,
                        "times": times,
                        "loss": round(float(found["loss"].mean()), 4),
                        "auprc": {code: ranked[code] for code in study.longer if code in ranked},
                        "mean_auprc": round(float(np.nanmean(list(ranked.values()))), 4),
                    }
                )
    return made


def singles(targets: Sequence[str], times: int) -> list[nets.Job]:
    """Return the nets of one class of the first group and seed."""
    return [nets.Job("single", target, 0, 1, times) for target in targets]


def _auprc(labels: Bools, said: NDArray[np.float32]) -> float:
    value = weighted_auprc(labels, said.astype(np.float64), np.ones((len(labels), 1)))
    return round(float(value[0]), 4)
