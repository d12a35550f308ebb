"""What the benchmark trains: cells (problem, scenario, net), their rows, the grid, test windows."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

from fascicle.bundle import new_network
from fascicle.data.batch import Batch, Group
from fascicle.data.beat_windows import ARRHYTHMIAS, arrhythmia_at, find_windows
from fascicle.data.pack import Entry, Pack
from fascicle.data.packing import pack_source
from fascicle.recipe import Recipe, read_recipe
from fascicle.tasks import make_task
from fascicle.tasks.windows import arrhythmia_classes
from fascicle.train.groups import find_vocabularies, open_groups
from fascicle.train.windows import beat_groups, cut_windows, labels_of

RECIPES = Path(__file__).resolve().parents[2] / "recipes" / "parameter-sharing"
PAPER = {
    ("detection", "consistent"): {
        "cnn1d": (86.27, 91.47), "rnn": (84.39, 89.23), "lstm": (89.51, 94.76)
    },
    ("classification", "consistent"): {
        "cnn1d": (79.43, 83.47), "rnn": (80.25, 84.76), "lstm": (83.84, 87.92)
    },
    ("detection", "inconsistent"): {
        "cnn1d": (83.16, 87.02), "rnn": (81.35, 85.23), "lstm": (85.26, 89.11)
    },
    ("classification", "inconsistent"): {
        "cnn1d": (79.87, 82.43), "rnn": (76.24, 81.29), "lstm": (81.39, 85.01)
    },
}  # fmt: skip
"""Accuracy of (STL, MTL) in the paper's tables I and II."""
NETS = ("cnn1d", "rnn", "lstm")
ROWS = ("stl", "matched", "mtl")
VARIANTS = ("natural", "shared", "timing")
"""Other rows for detection: STL on beats as they come (12 % abnormal in the consistent half); one
extractor with the paper's heads; one extractor that also learns how early beats come."""
NATURAL = "{ normal = 0.88, abnormal = 0.12 }"
FEW = 4
OTHERS = [
    *("100", "101", "103", "105", "108", "109", "111", "112", "113", "115", "116", "117", "118"),
    *("121", "122", "123", "124", "200", "207", "208", "209", "210", "212", "213", "214", "215"),
    *("219", "220", "221", "222", "223", "228", "230", "231", "232", "233", "234"),
]
"""Patients who are none of the six, without a pacemaker, with lead II."""
HELPED = ("few_pooled", "few_others")
"""Few labels, and `OTHERS` in the same task or as a second task of one extractor."""
LONG = ("long", "long_mtl")
"""STL and MTL with four times the updates."""
CONSISTENT = (*LONG, "few", *HELPED, "few_timing")
"""Further rows of the consistent scenario; "few" is STL with `FEW` labels a class and patient."""
FOLD_SEEDS = 3
STEPS = {"cnn1d": 250, "rnn": 400, "lstm": 400}
FILES = {
    "stl": "stl", "natural": "stl", "matched": "stl", "mtl": "mtl",
    "shared": "mtl", "timing": "timing", "few": "stl", "few_timing": "timing",
    "long": "stl", "long_mtl": "mtl", "few_pooled": "pooled", "few_others": "others",
}  # fmt: skip
GRID = [
    {"training.learning_rate": rate, "backbone.width": width, "backbone.dropout": dropout}
    for rate, width, dropout in itertools.product((3e-3, 1e-2), (16, 32), (0.0, 0.2))
]
TARGET = "205"
FOLDS = 3
TEST_WINDOWS = 1000
"""Of each class at most, drawn once."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One comparison; `fold` counts the patient-wise folds of the second table, else -1."""

    problem: str
    scenario: str
    net: str
    fold: int = -1

    @property
    def name(self) -> str:
        return f"{self.problem}-{self.scenario}-{self.net}" + (f"-{self.fold}" * (self.fold >= 0))

    def recipe(self, row: str, changes: Iterable[str] = ()) -> Recipe:
        """Return the recipe of a row: the file, this net, and for the second table its records."""
        scenario = "consistent" if self.fold >= 0 else self.scenario
        scenario = "few" if row in HELPED else scenario
        path = RECIPES / f"{self.problem}-{scenario}-{FILES[row]}.toml"
        fold = 5 if self.problem == "detection" else 15  # samples in a step: 25 steps a window
        steps = STEPS[self.net] * (4 if row in LONG else 1)
        return read_recipe(
            path,
            [
                f'backbone.name="{self.net}"',
                *([] if self.net == "cnn1d" else [f"backbone.step={fold}"]),
                *(
                    f"training.{key}={steps}"
                    for key in ("steps", "checkpoint_steps", "validate_steps")
                ),
                *(["backbone.extractors=1"] if row == "shared" else []),
                *([f"groups.0.windows.classes={NATURAL}"] if row == "natural" else []),
                *([f"groups.0.windows.per_class={FEW}"] if row.startswith("few") else []),
                *([f"groups.1.records={json.dumps(OTHERS)}"] if row in HELPED else []),
                *changes,
            ],
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """Data of one row of a cell: groups to train on, windows and labels to choose and to test."""

    groups: list[Group]
    batches: Mapping[str, list[Batch]]
    labels: Mapping[str, np.ndarray]
    classes: tuple[str, ...]


def changes_of(setting: Mapping[str, float], seed: int) -> list[str]:
    return [f"seed={seed}", *(f"{key}={value}" for key, value in setting.items())]


def matched_width(single: Recipe, shared: Recipe) -> int:
    """Return the width with which the single-task net has about the other's parameters."""
    wanted = parameters(shared)
    low, high = single.backbone.width, 64 * single.backbone.width
    while low < high:
        middle = (low + high) // 2
        if parameters(widened(single, middle)) < wanted:
            low = middle + 1
        else:
            high = middle
    nearest = (low, low - 1)
    return min(nearest, key=lambda width: abs(parameters(widened(single, width)) - wanted))


def widened(recipe: Recipe, width: int) -> Recipe:
    return recipe.model_copy(
        update={"backbone": recipe.backbone.model_copy(update={"width": width})}
    )


def parameters(recipe: Recipe) -> int:
    """Return how many weights the recipe's net has."""
    with torch.device("meta"):
        return sum(p.numel() for p in new_network(recipe, blank_tasks(recipe)).parameters())


def blank_tasks(recipe: Recipe) -> dict:  # type: ignore[type-arg]
    """Return the recipe's tasks; their classes need no data."""
    return {
        name: make_task(
            name, arrhythmia_classes(task.classes) if task.classes else None, kind=task.kind
        )
        for name, task in recipe.tasks.items()
    }


class Data:
    """The packs and cut windows, each made when first asked for."""

    def __init__(self, folder: Path, packs: Path) -> None:
        self.folder, self.packs = folder, packs
        self.open, self.pack = cache(self._open), cache(self._pack)

    def _pack(self) -> Pack:
        recipe = Cell("detection", "consistent", "cnn1d").recipe("stl")
        return pack_source("mitdb", self.folder, self.packs, recipe.preprocessing)

    def _open(self, problem: str, scenario: str, fold: int, row: str, seed: int) -> Opened:
        """Return the data of a row; all nets share them."""
        cell = Cell(problem, scenario, "cnn1d", fold)
        recipe = cell.recipe(row, [*self.records_of(fold), f"seed={seed}"])
        groups, held = open_groups(recipe, self.folder, self.packs)
        find_vocabularies(recipe, groups)  # refuses what cannot be
        single = cell.recipe("stl", self.records_of(fold))
        classes = tuple(single.groups[0].windows.classes)
        test = self.test_group(single, scenario, fold, classes)
        parts = {"validation": held, "test": [test]}
        samples = recipe.window
        return Opened(
            groups,
            {
                part: [b for g in found for b in cut_windows(g, samples)]
                for part, found in parts.items()
            },
            {
                p: np.concatenate([labels_of(g, samples, classes) for g in f])
                for p, f in parts.items()
            },
            classes,
        )

    def test_group(
        self, single: Recipe, scenario: str, fold: int, classes: tuple[str, ...]
    ) -> Group:
        """Return at most `TEST_WINDOWS` windows of each class that no training sees."""
        pack, settings = self.pack(), single.groups[0]
        if fold >= 0 or scenario == "inconsistent":
            wanted = patient_folds(pack.entries)[fold] if fold >= 0 else [TARGET]
            entries = tuple(entry for entry in pack.entries if entry.name in wanted)
            found = find_windows(entries, pack.preprocessing.rate_hz, single.window, classes)
            group = Group(pack, entries, (), 0, windows=found.places(), leads=single.leads)
        else:
            entries = tuple(e for e in pack.entries if e.name in (settings.records or ()))
            group = Group(pack, entries, (), 0, leads=single.leads)
            group = beat_groups(group, settings.windows, single)["test"]
        labels, rng = labels_of(group, single.window, classes), np.random.default_rng(0)
        chosen = [
            rng.permutation(np.flatnonzero(labels == k))[:TEST_WINDOWS] for k in range(len(classes))
        ]
        kept = np.sort(np.concatenate(chosen))
        return replace(group, windows=tuple(group.windows[place] for place in kept))

    def records_of(self, fold: int) -> list[str]:
        """Return the changes that make a recipe train on all folds but one."""
        if fold < 0:
            return []
        every = patient_folds(self.pack().entries)
        names = sorted(name for other, part in enumerate(every) if other != fold for name in part)
        return [
            f"groups.0.records={json.dumps(names)}",
            "groups.0.windows.train=[0.0, 0.8]",
            "groups.0.windows.validation=[0.8, 1.0]",
            "groups.0.windows.test=[1.0, 1.0]",
        ]


def patient_folds(entries: Iterable[Entry]) -> list[list[str]]:
    """Return the records of each fold: patients, rarest arrhythmia first, to where it is rarest."""
    beats: dict[str, dict[str, int]] = {}
    records: dict[str, list[str]] = {}
    for entry in entries:
        found = [arrhythmia_at(entry, beat.time_s) for beat in entry.beats]
        counts = {name: found.count(name) for name in ARRHYTHMIAS if name in found}
        if counts and "II" in entry.leads:
            records.setdefault(entry.patient, []).append(entry.name)
            mine = beats.setdefault(entry.patient, {})
            for name, count in counts.items():
                mine[name] = mine.get(name, 0) + count
    folds: list[list[str]] = [[] for _ in range(FOLDS)]
    total = [dict.fromkeys(ARRHYTHMIAS, 0) for _ in range(FOLDS)]
    left = dict(beats)
    for name in sorted(ARRHYTHMIAS, key=lambda n: sum(n in mine for mine in beats.values())):
        for patient in sorted((p for p in left if name in left[p]), key=lambda p: -left[p][name]):
            fold = min(range(FOLDS), key=lambda f: (total[f][name], f))
            folds[fold] += records[patient]
            for other, count in left.pop(patient).items():
                total[fold][other] += count
    return folds


def digest(recipe: Recipe) -> str:
    """Return what tells a run's recipe apart."""
    return hashlib.sha256(recipe.model_dump_json(exclude_defaults=True).encode()).hexdigest()[:12]
