"""From a recipe and data to a bundle: everything is put together here, in one visible place."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fascicle.bundle import Bundle, new_network, save_bundle
from fascicle.data.batch import Group
from fascicle.data.packing import Progress, no_progress, pack_source
from fascicle.data.splits import check_leaks, choose
from fascicle.errors import BadData, BadRecipe
from fascicle.files import write_whole
from fascicle.labels import (
    Vocabulary,
    challenge_classes,
    join,
    scp_statements,
    select,
    superclasses,
)
from fascicle.models.network import Network
from fascicle.recipe import Recipe, parse_recipe
from fascicle.tasks import Task, aim_of, make_task
from fascicle.train import parallel
from fascicle.train.held_out import Held, calibrate, follow, watch
from fascicle.train.loop import BEST, CHECKPOINT, Plan, train

SYSTEMS: Mapping[str, Callable[[], Vocabulary]] = {
    "PTB-XL superclass": superclasses,
    "SCP-ECG": scp_statements,
    "SNOMED-CT": challenge_classes,
}
"""Code systems whose classes a recipe can ask for."""


def train_recipe(
    recipe: Recipe,
    data_dir: Path,
    packs_dir: Path,
    folder: Path,
    *,
    resume: bool = False,
    like: Bundle | None = None,
    device: str = "auto",
    packing: Progress = no_progress,
    progress: Callable[[int, int, Mapping[str, float]], None] = lambda *_: None,
) -> Path:
    """Return the path of the bundle that this recipe trains, `folder`/bundle.safetensors.

    Parameters
    ----------
    recipe
        Everything that decides the training.
    data_dir, packs_dir
        Where the data sets are, and where their packs are kept.
    folder
        Where log, checkpoint and bundle go; several processes must see the same one.
    resume
        Go on from the folder's checkpoint.
    like
        The bundle of a development run: its classes, temperatures and thresholds are taken, and
        its scores stand in the new card. So a net is refitted on all records, its own tests among
        them, with thresholds that were fitted out of fold.
    device
        "auto", "cpu", "cuda" or "cuda:1".
    packing, progress
        Progress bars: of packs that are written, and of (step, steps, losses).

    Raises
    ------
    BadData
        If the folder holds another training, the split leaks a patient, a source is missing, or a
        loss is not finite.
    BadRecipe
        If a group has no records, a task no class or no group, or the best weights are asked for
        and nothing chooses them.
    BadRequest
        If the device cannot be used.
    """
    _check_folder(folder, recipe, resume)
    with parallel.joined(parallel.choose_device(device)) as place:
        with parallel.first_alone(place):
            if place.rank == 0:
                _claim(folder, recipe)
            groups, held = open_groups(recipe, data_dir, packs_dir, packing)
        tasks = make_tasks(recipe, groups) if like is None else like.tasks()
        _check_choice(recipe, held)
        if set(tasks) != set(recipe.tasks):
            raise BadRecipe(f"the bundle to follow has {', '.join(tasks)}, not the recipe's tasks")
        blank = Bundle(recipe, {n: t.vocabulary for n, t in tasks.items()}, {}, {}, {})
        header = {
            "recipe": recipe.model_dump(mode="json"),
            "vocabularies": {name: v.to_dict() for name, v in blank.vocabularies.items()},
        }
        aims = {name: aim_of(task) for name, task in tasks.items()}
        plan = Plan(recipe, tasks, aims, groups, folder, header, place)

        def monitor(average: nn.Module) -> dict[str, float]:
            assert isinstance(average, Network)
            return watch(copy.deepcopy(average).cpu().eval(), tasks, held, blank)

        torch.manual_seed(recipe.seed)
        network = new_network(recipe, tasks)
        weights = train(network, plan, monitor, resume=resume, progress=progress).cpu()
        path = folder / "bundle.safetensors"
        with parallel.first_alone(place):
            if place.rank == 0:
                assert isinstance(weights, Network)
                bundle = replace(
                    blank, weights=weights.state_dict(), card=_card(recipe, groups, held)
                )
                fitted = calibrate(bundle, weights, held) if like is None else follow(bundle, like)
                save_bundle(fitted, path)
    return path


def open_groups(
    recipe: Recipe, data_dir: Path, packs_dir: Path, packing: Progress = no_progress
) -> tuple[list[Group], Held]:
    """Return what is trained on, and what is held out for validation, leak-checked."""
    groups: list[Group] = []
    held: Held = []
    for settings in recipe.groups:
        pack = pack_source(settings.source, data_dir, packs_dir, recipe.preprocessing, packing)
        entries = choose(pack.entries, settings.folds)
        entries = tuple(e for e in entries if e.fold not in settings.validate_folds)
        if not entries:
            raise BadRecipe(f"group {settings.source}: folds {settings.folds} hold no record")
        groups.append(Group(pack, entries, settings.tasks, settings.rows, settings.rare_beats))
        if settings.validate_folds:
            held.append((settings, pack, choose(pack.entries, settings.validate_folds)))
    trained = [entry for group in groups for entry in group.entries]
    check_leaks(trained, [entry for _, _, entries in held for entry in entries])
    return groups, held


def make_tasks(recipe: Recipe, groups: Sequence[Group]) -> dict[str, Task]:
    """Return the recipe's tasks; a diagnosis has the classes with enough training positives."""
    tasks = {}
    for name, settings in recipe.tasks.items():
        if not any(name in group.tasks for group in groups):
            raise BadRecipe(f"tasks.{name}: no group has records for it")
        vocabulary = None
        if settings.systems:
            unknown = set(settings.systems) - set(SYSTEMS)
            if unknown:
                raise BadRecipe(
                    f"tasks.{name}.systems: {', '.join(sorted(unknown))} not among "
                    f"{', '.join(SYSTEMS)}"
                )
            every = join(*(SYSTEMS[system]() for system in settings.systems))
            labels = [e.labels for g in groups if name in g.tasks for e in g.entries]
            counts = np.sum([every.encode(label)[0] for label in labels], axis=0)
            enough = [
                (term.system, term.code)
                for term, count in zip(every.terms, counts, strict=True)
                if count >= settings.min_positives
            ]
            if not enough:
                raise BadRecipe(f"tasks.{name}: no class has {settings.min_positives} positives")
            vocabulary = select(every, enough)
        tasks[name] = make_task(name, vocabulary)
    return tasks


def _check_folder(folder: Path, recipe: Recipe, resume: bool) -> None:
    """Refuse to write over another training, or to go on with another recipe."""
    if not resume:
        for name in (CHECKPOINT, BEST, "bundle.safetensors"):
            if (folder / name).exists():
                raise BadData(
                    f"{folder}: holds a training ({name}); go on with --resume or choose another"
                )
    elif (folder / "recipe.json").exists():
        path = folder / "recipe.json"
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadData(f"{path}: cannot be read ({error})") from None
        if parse_recipe(tree, str(path)) != recipe:
            raise BadData(f"{folder}: holds a training of another recipe; choose another folder")


def _claim(folder: Path, recipe: Recipe) -> None:
    """Write down whose folder this is."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(recipe.model_dump(mode="json"), indent=1)
    write_whole(folder / "recipe.json", text.encode())


def _check_choice(recipe: Recipe, held: Held) -> None:
    """Refuse to choose the best weights where nothing tells which they are."""
    if recipe.training.select == "best" and not held:
        raise BadRecipe('training.select = "best" needs a group with validate_folds')


def _card(recipe: Recipe, groups: Sequence[Group], held: Held) -> dict[str, Any]:
    return {
        "trained_on": [
            {
                "source": settings.source,
                "folds": settings.folds and list(settings.folds),
                "records": len(group.entries),
                "sets": sorted({entry.key.partition("/")[0] for entry in group.entries}),
                "tasks": list(group.tasks),
            }
            for settings, group in zip(recipe.groups, groups, strict=True)
        ],
        "validated_on": [
            {
                "source": settings.source,
                "folds": list(settings.validate_folds),
                "records": len(entries),
            }
            for settings, _, entries in held
        ],
        "scores": [],
    }
