"""The nets of this benchmark: each is recipes/segment-perceive-classify-small.toml with changes.

All have the same number of updates, and as many rows of each source in a batch as the full net, so
that each task is taught from as many windows. Only the nets that are compared with a pre-trained
one have more: so many updates that they see as many windows as it did in both of its trainings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import measuring
import numpy as np

from fascicle.data.pack import Entry
from fascicle.data.splits import choose
from fascicle.recipe import Recipe, read_recipe
from fascicle.train.pretrain import pretraining_of

RECIPE = measuring.ROOT / "recipes" / "segment-perceive-classify-small.toml"
TASKS = ("waves", "beats", "diagnosis")
TRAIN, VALIDATE, TEST = (1, 2, 3, 4, 5, 6, 7), 8, 9
"""Folds of PTB-XL."""
FULL, PRETRAINED = "full", "pretrained"
SHARES: Mapping[str, float] = MappingProxyType({"1": 0.01, "10": 0.1, "100": 1.0})
"""Percent of the labelled PTB-XL records -> share."""
UNWATCHED = "groups.1.validate_folds=[]"
"""LUDB's fold 0 is reported: no training looks at it."""
Changes = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Net:
    """What is other than in the full net.

    Parameters
    ----------
    changes
        "key=value" as `read_recipe` takes them.
    tasks
        What it learns and is scored on; a group without a task left is left out.
    head
        How diagnoses are answered; another head has no section of the Perceiver.
    share
        Key of `SHARES`: of the PTB-XL records that teach with their labels.
    start
        The pre-trained net whose weights it starts from.
    further
        Whether it has updates in place of a pre-training.
    """

    changes: Changes = ()
    tasks: tuple[str, ...] = TASKS
    head: str = "perceiver"
    share: str | None = None
    start: str | None = None
    further: bool = False


@dataclass(frozen=True, slots=True)
class Size:
    """Updates of a training and of the pre-training, and changes that all nets share."""

    steps: int
    pretraining_steps: int
    changes: Changes
    perceiver: Changes


SIZES: Mapping[str, Size] = MappingProxyType(
    {
        "small": Size(
            450,
            60,
            (
                "preprocessing.rate_hz=125.0",
                "backbone.filters=[16, 24, 32, 48, 64, 96]",
                "backbone.decoder=[16, 16, 24, 32, 48]",
                "tasks.waves.width=8",
                "groups.0.rows=12",
                "groups.1.rows=4",
                "groups.2.rows=4",
                UNWATCHED,
            ),
            (
                "tasks.diagnosis.perceiver.latents=16",
                "tasks.diagnosis.perceiver.width=64",
                "tasks.diagnosis.perceiver.outputs=64",
            ),
        ),
        "quick": Size(
            2,
            1,
            (
                "window_s=2.56",
                "preprocessing.rate_hz=100.0",
                "backbone.filters=[8, 8, 8]",
                "backbone.decoder=[8, 8]",
                "tasks.diagnosis.min_positives=1",
                "training.warmup_steps=1",
                "groups.0.rows=4",
                "groups.1.rows=1",
                "groups.2.rows=1",
                UNWATCHED,
            ),
            (
                "tasks.diagnosis.perceiver.latents=2",
                "tasks.diagnosis.perceiver.width=8",
                "tasks.diagnosis.perceiver.outputs=8",
            ),
        ),
    }
)
NO_INTERVALS = "tasks.diagnosis.perceiver.intervals=false"
CLEAN = ("baseline_mv", "mains_mv", "muscle_mv", "electrode_mv", "cutout_s")
RANGER = (
    'training.optimiser="ranger"',
    'training.schedule="cyclic"',
    "training.cycle_steps=150",
    "training.warmup_steps=0",  # Ranger has its own
)


def _every() -> dict[str, Net]:
    nets = {
        FULL: Net(),
        "waves": Net(tasks=("waves",)),
        "beats": Net(tasks=("beats",)),
        "diagnoses": Net((NO_INTERVALS,), tasks=("diagnosis",)),
        "waves+beats": Net(tasks=("waves", "beats")),
        "no-intervals": Net((NO_INTERVALS,)),
        "pooled": Net(head="pooled"),
        "pooled-max-attention": Net(head="diagnosis"),
        "no-deep-supervision": Net(("tasks.waves.deep_supervision=0.0",)),
        "skip-16": Net(("backbone.skip=16",)),
        "skip-32": Net(("backbone.skip=32",)),
        "not-rewritten": Net(("tasks.diagnosis.rewrite=false",)),
        "bce": Net(('tasks.diagnosis.loss="bce"',)),
        "uniform": Net(('groups.0.sampler="uniform"',)),
        "no-noise": Net(tuple(f"augmentation.{name}=0.0" for name in CLEAN)),
        "ranger": Net(RANGER),
        PRETRAINED: Net(),
    }
    fresh = ('training.fresh=["heads.diagnosis.out.*"]',)
    for share in SHARES:
        few = ("tasks.diagnosis.min_positives=1",) if share != "100" else ()
        nets[f"pretrained-{share}"] = Net((*fresh, *few), share=share, start=PRETRAINED)
        nets[f"scratch-{share}"] = Net(few, share=share, further=True)
    return nets


NETS: Mapping[str, Net] = MappingProxyType(_every())


@dataclass(frozen=True, slots=True)
class Question:
    """What is gained by `having` over `lacking`, two nets; `judged` are the scores that decide."""

    what: str
    having: str
    lacking: str
    judged: tuple[str, ...]


WAVES, BEATS = ("waves.f1_150", "waves.f1_40"), ("beats.v_f1",)
DIAGNOSES = ("diagnosis.auroc", "diagnosis.challenge")
QUESTIONS = (
    Question("other tasks, for waves", FULL, "waves", WAVES),
    Question("other tasks, for beats", FULL, "beats", BEATS),
    Question("other tasks and intervals, for diagnoses", FULL, "diagnoses", DIAGNOSES),
    Question("diagnoses, for waves and beats", FULL, "waves+beats", (*WAVES, *BEATS)),
    Question("beats, for waves", "waves+beats", "waves", WAVES),
    Question("waves, for beats", "waves+beats", "beats", BEATS),
    Question("intervals in the net", FULL, "no-intervals", DIAGNOSES),
    Question("Perceiver, not mean pooling", FULL, "pooled", DIAGNOSES),
    Question("Perceiver, not mean, maximum, attention", FULL, "pooled-max-attention", DIAGNOSES),
    Question("deep supervision", FULL, "no-deep-supervision", WAVES),
    Question("skips of 8 channels, not 16", FULL, "skip-16", (*WAVES, *DIAGNOSES)),
    Question("skips of 8 channels, not 32", FULL, "skip-32", (*WAVES, *DIAGNOSES)),
    Question("labels rewritten", FULL, "not-rewritten", DIAGNOSES),
    Question("asymmetric loss, not BCE", FULL, "bce", DIAGNOSES),
    Question("sampling inverse to frequency", FULL, "uniform", DIAGNOSES),
    Question("noises and cut-out", FULL, "no-noise", (*WAVES, *BEATS, *DIAGNOSES)),
    Question("AdamW and cosine, not Ranger and cycles", FULL, "ranger",
             (*WAVES, *BEATS, *DIAGNOSES)),
    *(
        Question(f"pre-training, {share} % of labels", f"pretrained-{share}", f"scratch-{share}",
                 DIAGNOSES)
        for share in SHARES
    ),
    Question("pre-training on top of equal updates", "pretrained-100", FULL, DIAGNOSES),
)  # fmt: skip


def recipe_of(name: str, size: str, seed: int, records: Sequence[str] | None = None) -> Recipe:
    """Return the recipe of a net.

    `records` are the names of the PTB-XL records that teach or validate; None takes all.
    """
    net, settings = NETS[name], SIZES[size]
    steps = settings.steps + (further_steps(size) if net.further else 0)
    common = [
        f"seed={seed}",
        f"training.steps={steps}",
        f"training.validate_steps={steps}",
        f"pretraining.steps={settings.pretraining_steps}",
    ]
    own = [*settings.changes, *settings.perceiver, *net.changes]
    if net.head != "perceiver":
        diagnosis = (
            f'tasks.diagnosis={{systems=["SNOMED-CT"], head="{net.head}", '
            'loss="asymmetric", rewrite=true, weight=4.0}'
        )
        own = [diagnosis, *settings.changes, *net.changes]
    recipe = read_recipe(RECIPE, [*common, *own])
    if records is not None:
        first = recipe.groups[0].model_copy(update={"records": tuple(records)})
        recipe = recipe.model_copy(update={"groups": (first, *recipe.groups[1:])})
    return _only(recipe, net.tasks)


def _only(recipe: Recipe, tasks: Sequence[str]) -> Recipe:
    """Return the recipe with these tasks alone, and the groups that teach them."""
    groups = [
        group.model_copy(update={"tasks": tuple(name for name in group.tasks if name in tasks)})
        for group in recipe.groups
    ]
    return recipe.model_copy(
        update={
            "tasks": {name: recipe.tasks[name] for name in tasks},
            "groups": tuple(group for group in groups if group.tasks),
            "pretraining": recipe.pretraining if "diagnosis" in tasks else None,
        }
    )


def windows_per_step(recipe: Recipe, twice: str | None = None) -> int:
    """Return the windows of a batch; those of the task `twice` are seen in two views."""
    return sum(group.rows * (2 if twice in group.tasks else 1) for group in recipe.groups)


def further_steps(size: str) -> int:
    """Return the updates that see as many windows as the pre-training does."""
    recipe, settings = recipe_of(FULL, size, 1), SIZES[size]
    before = windows_per_step(pretraining_of(recipe), "diagnosis")
    return round(settings.pretraining_steps * before / windows_per_step(recipe))


def taught(entries: Sequence[Entry], share: float, seed: int) -> tuple[str, ...]:
    """Return the names of PTB-XL's records that teach, and of all that validate.

    Patients are drawn in an order that the seed decides, until their records are the share of all:
    so fewer records are always among more.
    """
    own = choose(entries, TRAIN)
    by_patient: dict[str, list[str]] = {}
    for entry in own:
        by_patient.setdefault(entry.patient, []).append(entry.name)
    patients, names = sorted(by_patient), []
    for place in np.random.default_rng(seed).permutation(len(patients)):
        if len(names) >= share * len(own):
            break
        names += by_patient[patients[place]]
    return (*names, *(entry.name for entry in choose(entries, (VALIDATE,))))


def described(recipe: Recipe) -> str:
    """Return the size of a net's training in short, as the table's last line has it."""
    rows = json.dumps({group.source: group.rows for group in recipe.groups})
    return f"{recipe.training.steps} updates of {rows} windows of {recipe.window_s} s"
