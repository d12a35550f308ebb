"""The nets of the multi-head benchmark: which there are, how one is trained, what it answers.

All are the same net with the same seed, batches and number of updates; only the classes of the last
layer differ. What a net says of the records that it has not seen is written at once.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fascicle.bundle import Bundle, read_bundle
from fascicle.data.batch import Group
from fascicle.data.pack import Entry, Pack
from fascicle.labels import SCP
from fascicle.models.network import Network
from fascicle.recipe import Recipe, read_recipe
from fascicle.tasks import Task
from fascicle.train.held_out import find_all, read_entry
from fascicle.train.run import train_recipe

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "multi-head" / "all-small.toml"
GROUPS = (((1, 2, 3), 4), ((4, 5, 6), 7), ((7, 8, 9), 1))
"""Folds that test, and the one of the others that chooses thresholds; the rest teach."""
LEAST = 20
"""Positives that other classes of the net of all have in the training folds of every group."""
LONGER = 2
"""Times the updates, of the nets that show whether more of them would help."""
AT_ONCE = 64
Arm = Literal["single", "two", "all", "common"]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Study:
    """Records of one kind, and what is rare among them.

    `relatives` and `few` give rare classes (20 to 100 training positives; under 20 in at least one
    group) their medically nearest common class. `longer` names those whose nets also train longer;
    `least` is how many training positives another class of the net of all has in every group.
    """

    name: str
    relatives: Mapping[str, str]
    few: Mapping[str, str]
    longer: tuple[str, ...] = ()
    least: int = LEAST
    steps: int | None = None

    @property
    def rare(self) -> Mapping[str, str]:
        """Every rare class and its relative."""
        return {**self.relatives, **self.few}


REAL = Study(
    "real",
    {
        "CRBBB": "IRBBB",
        "CLBBB": "IVCD",
        "PAC": "PVC",
        "ILMI": "IMI",
        "AMI": "ASMI",
        "ISCAL": "ISC_",
        "VCLVH": "LVH",
        "LOWT": "NDT",
    },
    {"LPR": "1AVB", "AFLT": "AFIB"},
    longer=("CRBBB", "ILMI"),
)
SYNTHETIC = Study("synthetic", {"3AVB": "1AVB", "2AVB": "1AVB", "AFLT": "AFIB", "BIGU": "PVC"}, {})
QUICK = Study("quick", {"PAC": "PVC"}, {}, longer=("PAC",), least=1, steps=2)


@dataclass(frozen=True, slots=True)
class Job:
    """One net: `target` is its rare class, none for nets of all and of the common classes."""

    arm: Arm
    target: str
    group: int
    seed: int
    times: int = 1

    @property
    def name(self) -> str:
        """The name of its file."""
        target = f"-{self.target}" if self.target else ""
        return f"{self.arm}{target}-group{self.group}-seed{self.seed}-times{self.times}"


def jobs(study: Study, seeds: Sequence[int]) -> list[Job]:
    """Return the nets of all arms: a whole seed before the next, longer ones after the first."""
    found = []
    for seed in seeds:
        for group in range(len(GROUPS)):
            found += [Job("all", "", group, seed), Job("common", "", group, seed)]
            found += [Job("single", target, group, seed) for target in study.rare]
            found += [Job("two", target, group, seed) for target in study.relatives]
        if seed == seeds[0] and study.longer:
            found += [Job("all", "", 0, seed, LONGER)]
            found += [Job("single", target, 0, seed, LONGER) for target in study.longer]
    return found


def every_class(study: Study, entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the classes of the net of all: the rare ones, and what every group teaches."""
    kept: set[str] | None = None
    for tested, chosen in GROUPS:
        counts: dict[str, int] = {}
        for entry in entries:
            if entry.fold not in (*tested, chosen):
                for code in entry.labels.get(SCP, ()):
                    counts[code] = counts.get(code, 0) + 1
        enough = {code for code, count in counts.items() if count >= study.least}
        kept = enough if kept is None else kept & enough
    return tuple(sorted((kept or set()) | set(study.rare)))


def classes_of(job: Job, study: Study, every: Sequence[str]) -> tuple[str, ...]:
    """Return the classes of a net's last layer."""
    if job.arm == "single":
        return (job.target,)
    if job.arm == "two":
        return (job.target, study.rare[job.target])
    left_out = tuple(study.rare) if job.arm == "common" else ()
    return tuple(code for code in every if code not in left_out)


def recipe_of(job: Job, study: Study, every: Sequence[str], file: Path = RECIPE) -> Recipe:
    """Return the recipe of a net: its classes, folds, seed and steps; all else is the file's."""
    tested, chosen = GROUPS[job.group]
    folds = [fold for fold in range(1, 10) if fold not in (*tested, chosen)]
    classes = classes_of(job, study, every)
    changes: dict[str, Any] = {
        "seed": job.seed,
        "groups.0.folds": folds,
        "groups.0.validate_folds": [chosen],
        "tasks.diagnosis.classes": list(classes),
        "tasks.diagnosis.min_positives": 1,
        "tasks.diagnosis.weight": float(len(classes)),
    }
    steps = job.times * (study.steps or read_recipe(file).training.steps)
    changes |= {f"training.{key}": steps for key in ("steps", "checkpoint_steps", "validate_steps")}
    return read_recipe(file, [f"{key}={json.dumps(value)}" for key, value in changes.items()])


def run(
    job: Job, recipe: Recipe, pack: Pack, data: Path, packs: Path, kept: Path, device: str = "cpu"
) -> Path:
    """Return the file of what this net answers, trained first where it is not there yet."""
    path = kept / f"{job.name}.npz"
    if path.exists():
        return path
    folder = kept / "training"
    shutil.rmtree(folder, ignore_errors=True)
    bundle = read_bundle(train_recipe(recipe, data, packs, folder, device=device))
    bundle = replace(bundle, temperatures={})  # scores of different nets are put side by side
    tested, chosen = GROUPS[job.group]
    found = {
        "codes": np.array([term.code for term in bundle.vocabularies["diagnosis"].terms]),
        "test": answers(bundle, pack, tested),
        "chosen": answers(bundle, pack, (chosen,)),
        "loss": np.array(last_losses(folder / "log.jsonl")),
    }
    if job.arm == "common":
        found["embeddings"] = embeddings(bundle, pack)
    part = path.with_suffix(".part.npz")
    np.savez(part, **found)  # type: ignore[arg-type]
    part.replace(path)
    shutil.rmtree(folder)
    return path


def of_folds(pack: Pack, folds: Sequence[int]) -> tuple[Entry, ...]:
    """Return the pack's entries of these folds, in its order."""
    return tuple(entry for entry in pack.entries if entry.fold in folds)


def answers(bundle: Bundle, pack: Pack, folds: Sequence[int]) -> Floats:
    """Return the probabilities (record, class) of the records of these folds."""
    group = Group(pack, of_folds(pack, folds), ("diagnosis",), 1, leads=bundle.recipe.leads)
    tasks: dict[str, Task] = bundle.tasks()
    outcomes = find_all(bundle.network(), tasks, group, bundle)
    return np.stack([outcome.answers["diagnosis"].probabilities for outcome in outcomes])


@torch.inference_mode()
def embeddings(bundle: Bundle, pack: Pack) -> Floats:
    """Return what the last layer sees of every record of the pack, (record, embedding)."""
    network: Network = bundle.network()
    head: Any = network.heads["diagnosis"]
    head.out = nn.Identity()
    window, found = bundle.recipe.window, []
    for first in range(0, len(pack.entries), AT_ONCE):
        some = [read_entry(pack, entry) for entry in pack.entries[first : first + AT_ONCE]]
        signal = np.zeros((len(some), *some[0].signal.shape[:1], window), dtype=np.float32)
        for row, prepared in zip(signal, some, strict=True):
            row[:, : prepared.signal.shape[1]] = prepared.signal[:, :window]
        made = network(
            torch.from_numpy(signal),
            torch.from_numpy(np.stack([prepared.present for prepared in some])),
            torch.tensor([min(prepared.signal.shape[1], window) for prepared in some]),
            torch.from_numpy(np.stack([prepared.covariates for prepared in some])),
        )
        found.append(made["diagnosis"].numpy())
    return np.concatenate(found)


def last_losses(log: Path) -> list[float]:
    """Return the loss of each of the last tenth of the steps."""
    lines = [json.loads(line)["diagnosis"] for line in log.read_text().splitlines()]
    return lines[-max(len(lines) // 10, 1) :]
