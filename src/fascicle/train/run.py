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
from numpy.typing import NDArray
from torch import Tensor, nn

from fascicle.bundle import Bundle, new_network, save_bundle, widened
from fascicle.data.batch import Group
from fascicle.data.packing import Progress, no_progress
from fascicle.errors import BadData, BadRecipe
from fascicle.files import write_whole
from fascicle.labels import Vocabulary
from fascicle.models.heads import FlatHead, JoinedHead
from fascicle.models.network import Network
from fascicle.recipe import Recipe, parse_recipe
from fascicle.tasks import Task, aim_of
from fascicle.train import parallel
from fascicle.train.checkpoint import load_tensors
from fascicle.train.groups import find_vocabularies, open_groups, sampled, shares_of
from fascicle.train.held_out import Held, calibrate, class_scores, follow, watch
from fascicle.train.loop import BEST, CHECKPOINT, SNAPSHOT, Plan, snapshot_steps, train
from fascicle.train.transfer import hand_down


def train_recipe(
    recipe: Recipe,
    data_dir: Path,
    packs_dir: Path,
    folder: Path,
    *,
    resume: bool = False,
    like: Bundle | None = None,
    start: Bundle | None = None,
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
    start
        The bundle whose weights the net starts from, but for those that `training.fresh` names
        (its first convolution, for another lead set).
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
    check_folder(folder, recipe, resume)
    with parallel.joined(parallel.choose_device(device)) as place:
        with parallel.first_alone(place):
            if place.rank == 0:
                claim(folder, recipe)
            groups, held = open_groups(recipe, data_dir, packs_dir, packing)
        _check_choice(recipe, held)
        blank = Bundle(recipe, _vocabularies(recipe, groups, like), {}, {}, {})
        tasks = blank.tasks()
        groups = [
            sampled(group, settings, tasks, recipe.seed)
            for group, settings in zip(groups, recipe.groups, strict=True)
        ]
        header = header_of(blank)
        aims = {name: aim_of(task) for name, task in tasks.items()}
        plan = Plan(recipe, tasks, aims, groups, folder, header, place)

        def monitor(average: nn.Module) -> dict[str, float]:
            return watch(on_cpu(average), tasks, held, blank)

        def weakness(average: nn.Module) -> Mapping[str, NDArray[np.float64]]:
            return class_scores(on_cpu(average), tasks, held, blank)

        network = _start_network(recipe, tasks, groups, start)
        weights = train(network, plan, monitor, weakness, resume=resume, progress=progress).cpu()
        carded = replace(blank, card=card(recipe, groups, held, start))
        with parallel.first_alone(place):
            if place.rank == 0:
                _save_all(weights.state_dict(), carded, held, like, folder)
    return folder / "bundle.safetensors"


def _vocabularies(
    recipe: Recipe, groups: Sequence[Group], like: Bundle | None
) -> Mapping[str, Vocabulary]:
    """Return each task's classes, found in the records or those of the bundle to follow."""
    found = find_vocabularies(recipe, groups) if like is None else like.vocabularies
    if set(found) != set(recipe.tasks):
        raise BadRecipe(f"the bundle to follow has {', '.join(found)}, not the recipe's tasks")
    return found


def header_of(blank: Bundle) -> dict[str, Any]:
    """Return what the checkpoints of a training say of it."""
    return {
        "recipe": blank.recipe.model_dump(mode="json"),
        "vocabularies": {name: v.to_dict() for name, v in blank.vocabularies.items()},
    }


def _start_network(
    recipe: Recipe, tasks: Mapping[str, Task], groups: Sequence[Group], start: Bundle | None
) -> Network:
    """Return the net before its first step: drawn, heads at their priors, weights handed down."""
    torch.manual_seed(recipe.seed)
    network = new_network(recipe, tasks)
    if network.windowed and any(group.window_s for group in recipe.groups):
        raise BadRecipe("groups.window_s: this net is made for windows of one length")
    for name, settings in recipe.tasks.items():
        if settings.prior:
            head = network.heads[name]
            assert isinstance(head, FlatHead | JoinedHead)
            head.start_at(shares_of(tasks[name], groups))
    if start is not None:
        hand_down(network, widened(start.net_weights), recipe.training.fresh)
    return network


def on_cpu(network: nn.Module) -> Network:
    """Return a copy of the net that can be asked beside its training."""
    copied = copy.deepcopy(network).cpu().eval()
    assert isinstance(copied, Network)
    return copied


def _save_all(
    weights: Mapping[str, Tensor], blank: Bundle, held: Held, like: Bundle | None, folder: Path
) -> None:
    """Write the bundle, and those of the snapshots beside it."""
    _save(weights, blank, held, like, folder / "bundle.safetensors")
    for step in snapshot_steps(blank.recipe):
        tensors, _ = load_tensors(folder / SNAPSHOT.format(step))
        _save(tensors, blank, held, like, folder / f"epoch-{step:06d}.safetensors")


def _save(
    weights: Mapping[str, Tensor], blank: Bundle, held: Held, like: Bundle | None, path: Path
) -> None:
    """Write these weights as a bundle, with thresholds fitted or taken over."""
    bundle = replace(blank, weights=weights)
    fitted = calibrate(bundle, bundle.network(), held) if like is None else follow(bundle, like)
    save_bundle(fitted, path)


def check_folder(folder: Path, recipe: Recipe, resume: bool) -> None:
    """Refuse to write over another training, or to go on with another recipe (BadData)."""
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


def claim(folder: Path, recipe: Recipe) -> None:
    """Write down whose folder this is."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(recipe.model_dump(mode="json"), indent=1)
    write_whole(folder / "recipe.json", text.encode())


def _check_choice(recipe: Recipe, held: Held) -> None:
    """Refuse to choose the best weights where nothing tells which they are."""
    if recipe.training.select == "best" and not held:
        raise BadRecipe('training.select = "best" needs a group with validate_folds')
    if any(task.reweigh for task in recipe.tasks.values()) and not held:
        raise BadRecipe("tasks that reweigh need a group with validate_folds")


def card(
    recipe: Recipe, groups: Sequence[Group], held: Held, start: Bundle | None = None
) -> dict[str, Any]:
    """Return what a bundle's card says of the records behind it, those of its start included."""
    taught = [
        {
            "source": settings.source,
            "folds": settings.folds and list(settings.folds),
            "records": len(group.entries),
            "sets": sorted({entry.key.partition("/")[0] for entry in group.entries}),
            "tasks": list(group.tasks),
        }
        for settings, group in zip(recipe.groups, groups, strict=True)
    ]
    before = [] if start is None else start.card.get("trained_on", [])
    return {
        "trained_on": [*taught, *(part for part in before if part not in taught)],
        "validated_on": [
            {
                "source": group.source,
                "folds": sorted({entry.fold for entry in group.entries}),
                "records": len(group.entries),
            }
            for group in held
        ],
        "scores": [],
    }
