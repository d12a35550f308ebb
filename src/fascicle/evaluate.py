"""Score a bundle on a source: every figure with its 95 % interval over patients, and by group.

The result is plain JSON ("fascicle/scores/1"); `add_to_card` writes it into the bundle's card.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from fascicle.bundle import Bundle, read_bundle, save_bundle
from fascicle.data.sources import SOURCES, Item
from fascicle.errors import BadRequest
from fascicle.predict import Model, choose_leads, outcome
from fascicle.record import Record
from fascicle.signal.quality import assess
from fascicle.tasks import Outcome, Resampling, Task, is_labelled

Progress = Callable[[Sequence[Item]], Iterable[Item]]
Scores = dict[str, float | None]
AGE_GROUPS: Mapping[str, tuple[float, float]] = {
    "under 50": (0, 50),
    "50 to 64": (50, 65),
    "65 to 79": (65, 80),
    "80 and over": (80, 200),
}
HEADLINES = (
    "waves.P.f1_150", "waves.QRS.f1_150", "waves.T.f1_150",
    "waves.P.onset.f1_150", "waves.P.offset.f1_150", "waves.QRS.onset.f1_150",
    "waves.QRS.offset.f1_150", "waves.T.onset.f1_150", "waves.T.offset.f1_150",
    "waves.P.f1_40", "waves.QRS.f1_40", "waves.T.f1_40",
    "waves.P.dice", "waves.QRS.dice", "waves.T.dice",
    "beats.sensitivity", "beats.ppv", "beats.V.f1", "beats.S.f1", "beats.accuracy", "beats.j_kappa",
    "rhythm.AF.sensitivity", "rhythm.AF.ppv", "rhythm.AF_or_flutter.sensitivity",
    "rhythm.AF_or_flutter.ppv", "rhythm.accuracy",
    "diagnosis.PTB-XL superclass.macro.auroc", "diagnosis.SCP-ECG.macro.auroc",
    "diagnosis.SNOMED-CT.macro.auroc", "diagnosis.PTB-XL superclass.macro.f1",
)  # fmt: skip
"""What tables, cards and groups show first."""


@dataclass(frozen=True, slots=True)
class Case:
    """One record: which it is, what is known of it (its signal left out), what was found."""

    item: Item
    reference: Record
    found: Outcome


def evaluate(
    model: Model,
    source: str,
    data_dir: Path,
    *,
    folds: Sequence[int] | None = None,
    lead_set: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress = iter,
) -> dict[str, Any]:
    """Return the scores of a model on a source.

    Parameters
    ----------
    data_dir
        Folder that holds the data sets, or the folder of this one.
    folds
        The source's own folds; None takes all.
    lead_set
        Key of `record.LEAD_SETS`; chosen before any lead is derived.
    resamples
        Draws of patients behind each interval; 0 gives none.

    Raises
    ------
    BadRequest
        If the source is unknown, the folds hold no record, or nothing of it can be scored.
    """
    cases = collect(model, source, data_dir, folds=folds, lead_set=lead_set, progress=progress)
    scores, groups = score(cases, model.tasks.values(), resamples, seed)
    if not scores:
        raise BadRequest(f"{source} has no labels for {', '.join(model.tasks)}")
    return {
        "schema": "fascicle/scores/1",
        "source": source,
        "folds": None if folds is None else sorted(set(folds)),
        "lead_set": lead_set,
        "records": len(cases),
        "patients": len({case.item.patient for case in cases}),
        "resamples": resamples,
        "seed": seed,
        "seen_in_training": seen_in_training(model.bundle, source, [case.item for case in cases]),
        "bundle": {"name": model.bundle.info.name, "weights_sha256": model.bundle.weights_sha256},
        "fascicle": version("fascicle"),
        "commit": _commit(),
        "scores": scores,
        "groups": groups,
    }


def collect(
    model: Model,
    source: str,
    data_dir: Path,
    *,
    folds: Sequence[int] | None = None,
    lead_set: str | None = None,
    progress: Progress = iter,
) -> list[Case]:
    """Return what a model finds in each record of a source; parameters as `evaluate`."""
    cases = []
    for item in progress(items_of(source, data_dir, folds)):
        record = choose_leads(SOURCES[source].load(item), lead_set)
        prepared = model.prepare(record, assess(record))
        arrays = model.probabilities(prepared)
        found = outcome(prepared, arrays, model.bundle, model.tasks)
        cases.append(Case(item, replace(record, signal=record.signal[:, :0].copy()), found))
    return cases


def score(
    cases: Sequence[Case], tasks: Iterable[Task], resamples: int = 1000, seed: int = 0
) -> tuple[Scores, dict[str, Scores]]:
    """Return the scores of each task over the cases labelled for it, and by sex and age."""
    scores: dict[str, float] = {}
    groups: dict[str, dict[str, float]] = {}
    for task in tasks:
        labelled = [case for case in cases if is_labelled(case.reference, task)]
        if labelled:
            scores |= _score(task, labelled, resamples, seed)
            for name, members in _groups(labelled).items():
                found = _score(task, members, 0, seed)
                part = {key: found[key] for key in HEADLINES if key in found}
                groups.setdefault(name, {"records": 0.0}).update(part)
                groups[name]["records"] = max(groups[name]["records"], float(len(members)))
    return _plain(scores), {name: _plain(part) for name, part in groups.items()}


def add_to_card(path: Path, result: Mapping[str, Any]) -> None:
    """Write a result's headline scores into the bundle's card; the same split replaces its own.

    Raises
    ------
    BadRequest
        If the result is of other weights.
    """
    bundle = read_bundle(path)
    if result["bundle"]["weights_sha256"] != bundle.weights_sha256:
        raise BadRequest(f"{path}: these scores are of another bundle")
    kept = {
        key: result["scores"][key]
        for name in HEADLINES
        for key in (name, f"{name}.low", f"{name}.high")
        if key in result["scores"]
    }
    classes = {
        key: value
        for key, value in result["scores"].items()
        if key.startswith("diagnosis.PTB-XL superclass.") and key.endswith((".auroc", ".f1"))
    }
    entry = {k: v for k, v in result.items() if k != "schema"} | {"scores": {**kept, **classes}}
    others = [
        score
        for score in bundle.card.get("scores", [])
        if any(score[k] != entry[k] for k in ("source", "folds", "lead_set"))
    ]
    save_bundle(replace(bundle, card={**bundle.card, "scores": [*others, entry]}), path)


def items_of(source: str, data_dir: Path, folds: Sequence[int] | None) -> list[Item]:
    """Return the records of a source, or of these folds. Raises BadRequest as `evaluate` does."""
    if source not in SOURCES:
        raise BadRequest(f"no source {source!r}; known: {', '.join(SOURCES)}")
    named = data_dir / source.removesuffix("100")
    items = SOURCES[source].index(named if named.is_dir() else data_dir)
    chosen = [item for item in items if folds is None or item.fold in folds]
    if not chosen:
        there = sorted({item.fold for item in items})
        raise BadRequest(f"{source} has no record in folds {folds}; it has the folds {there}")
    return chosen


def _score(task: Task, cases: Sequence[Case], resamples: int, seed: int) -> dict[str, float]:
    resampling = None
    if resamples:
        resampling = Resampling([case.item.patient for case in cases], resamples, seed)
    references = [case.reference for case in cases]
    return task.score(references, [case.found for case in cases], task.vocabulary, resampling)


def _groups(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Return the cases of each sex and age group that has at least ten."""
    groups = {f"sex {sex}": [c for c in cases if c.reference.sex == sex] for sex in ("F", "M")}
    for name, (low, high) in AGE_GROUPS.items():
        groups[f"age {name}"] = [
            case
            for case in cases
            if case.reference.age is not None and low <= case.reference.age < high
        ]
    return {name: members for name, members in groups.items() if len(members) >= 10}


def seen_in_training(bundle: Bundle, source: str, items: Sequence[Item]) -> bool:
    """Return whether one of these records may have taught the bundle.

    The sets of the challenges hold records of others, so that a record counts for the set that its
    key names; only within one source do folds tell records apart. An ensemble was taught what one
    of its members was.
    """
    if bundle.members:
        return any(seen_in_training(member, source, items) for member in bundle.members)
    for part in bundle.card.get("trained_on", []):
        sets = part.get("sets", [part["source"].removesuffix("100")])
        shared = [item for item in items if item.key.partition("/")[0] in sets]
        if part["source"].removesuffix("100") == source.removesuffix("100"):
            held = _validated(bundle, part["source"]) if part["folds"] is None else ()
            shared = [i for i in shared if i.fold in (part["folds"] or (i.fold,))]
            shared = [item for item in shared if item.fold not in held]
        if shared:
            return True
    return False


def _validated(bundle: Bundle, source: str) -> tuple[int, ...]:
    parts = bundle.card.get("validated_on", [])
    return tuple(fold for part in parts if part["source"] == source for fold in part["folds"])


def _commit() -> str | None:
    """Return the commit of the checkout that this package runs from, if it is one."""
    here = Path(__file__).parent
    asked = ["git", "-C", str(here), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=False)
    except OSError:
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None


def _plain(scores: Mapping[str, float]) -> Scores:
    """Return numbers that JSON can hold; what cannot be computed is null."""
    return {
        key: round(float(value), 6) if np.isfinite(value) else None for key, value in scores.items()
    }
