"""Pre-training without labels: two views of a record shall have one embedding (Barlow Twins).

Sodmann et al. 2021 teach the classification branch so before any diagnosis, while the other heads
are taught as ever. Here it is a training of the same loop, in which the head's task has this loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fascicle.bundle import Bundle, new_network, save_bundle
from fascicle.data.batch import Group, draw_rows, make_batch
from fascicle.data.pack import Entry
from fascicle.data.packing import Progress, no_progress
from fascicle.data.targets import Target
from fascicle.errors import BadRecipe
from fascicle.labels import Vocabulary
from fascicle.losses import barlow_twins_loss, view_correlation
from fascicle.recipe import PretrainingRecipe, Recipe
from fascicle.tasks import Task, aim_of
from fascicle.train import parallel
from fascicle.train.groups import find_vocabularies, open_groups
from fascicle.train.held_out import Held
from fascicle.train.loop import Plan, train, with_second_views
from fascicle.train.run import card, check_folder, claim, header_of, on_cpu

UNREACHABLE = 2.0
"""Threshold of classes that nobody taught: no finding may come of them."""
WATCHED, AT_ONCE = 256, 16
"""Records, at most, whose views are compared at a validation; how many at a time."""


def pretrain_recipe(
    recipe: Recipe,
    data_dir: Path,
    packs_dir: Path,
    folder: Path,
    *,
    resume: bool = False,
    device: str = "auto",
    packing: Progress = no_progress,
    progress: Callable[[int, int, Mapping[str, float]], None] = lambda *_: None,
) -> Path:
    """Return the path of the bundle that `train_recipe` can start from.

    Log, checkpoints, resuming and several processes are those of `train_recipe`, and so are the
    parameters. The log's "twins.alike" is the mean correlation of an output with itself in the two
    views, "twins.redundancy" the root mean square of its correlations with the other outputs, of
    records that are held out.

    Raises
    ------
    BadRecipe
        If the recipe has no pretraining, its head has no embedding, or its groups have too few
        records; else as `train_recipe` does.
    """
    recipe = pretraining_of(recipe)
    settings = recipe.pretraining
    assert settings is not None
    check_folder(folder, recipe, resume)
    with parallel.joined(parallel.choose_device(device)) as place:
        with parallel.first_alone(place):
            if place.rank == 0:
                claim(folder, recipe)
            groups, held = open_groups(recipe, data_dir, packs_dir, packing)
        _check_records(settings, groups, place)
        blank = Bundle(recipe, find_vocabularies(recipe, groups), {}, {}, {})
        tasks = blank.tasks()
        tasks[settings.task] = twins(tasks[settings.task], settings.redundancy, place)
        header = header_of(blank)
        aims = {name: aim_of(task) for name, task in tasks.items()}
        plan = Plan(recipe, tasks, aims, groups, folder, header, place, settings.task)
        torch.manual_seed(recipe.seed)
        network = new_network(recipe, tasks)
        with embedding_alone(network.heads[settings.task], settings.task):
            monitor = partial(compare_views, recipe=recipe, held=held)
            weights = train(network, plan, monitor, resume=resume, progress=progress).cpu()
        path = folder / "bundle.safetensors"
        with parallel.first_alone(place):
            if place.rank == 0:
                save_bundle(
                    _unfinished(blank, settings.task, weights.state_dict(), groups, held), path
                )
    return path


def pretraining_of(recipe: Recipe) -> Recipe:
    """Return the recipe of the pre-training that a recipe describes.

    Its steps and rate are those of `pretraining`, with a cosine; batches are single and not mixed;
    the groups of its task share `rows` in their own proportion, and draw all records alike, as
    labels do not count.

    Raises
    ------
    BadRecipe
        If it describes none, no group has the task, or its windows have several lengths.
    """
    settings = recipe.pretraining
    if settings is None:
        raise BadRecipe(f"{recipe.name}: a section [pretraining] is needed; {{}} has the defaults")
    rows = np.array([group.rows * (settings.task in group.tasks) for group in recipe.groups])
    if not rows.any():
        raise BadRecipe(f"pretraining.task {settings.task}: no group has records for it")
    if (
        len(
            {
                recipe.samples_of(group)
                for group, own in zip(recipe.groups, rows, strict=True)
                if own
            }
        )
        > 1
    ):
        raise BadRecipe(f"pretraining.task {settings.task}: its groups need windows of one length")
    ends = np.round(np.cumsum(rows) * (settings.rows / rows.sum())).astype(int)
    groups = [
        group.model_copy(update={"rows": int(share), "sampler": "uniform"}) if own else group
        for group, own, share in zip(recipe.groups, rows, np.diff(ends, prepend=0), strict=True)
    ]
    training = {
        "steps": settings.steps, "learning_rate": settings.learning_rate,
        "schedule": "cosine", "cycle_steps": None, "accumulate": (), "mixup": 0.0,
        "select": "last", "snapshots": 0, "fresh": (), "frozen": (),
    }  # fmt: skip
    task = recipe.tasks[settings.task].model_copy(
        update={"weight": settings.weight, "reweigh": False}
    )
    return recipe.model_copy(
        update={
            "name": f"{recipe.name}-pretrained",
            "groups": tuple(group for group in groups if group.rows),
            "training": recipe.training.model_copy(update=training),
            "tasks": {**recipe.tasks, settings.task: task},
        }
    )


def twins(task: Task, redundancy: float, place: parallel.Place) -> Task:
    """Return the task whose loss compares the two views of its rows, instead of labels.

    With several processes each compares all rows of the batch and has its share of the loss.
    """

    def loss(embedded: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        del target, weight  # every record counts, and none has a label
        first, second = (parallel.gathered(view) for view in embedded.chunk(2))
        whole = barlow_twins_loss(first, second, redundancy)
        # the slope is of the whole loss; the values of all processes add up to it
        return whole - whole.detach() * (1 - 1 / place.processes)

    return replace(task, target=_no_label, loss=loss, parts=1)


def _no_label(*_: Entry | float | Vocabulary | None) -> Target:
    """Return a target that says nothing, with a weight that tells that the row is there."""
    return np.zeros(1, dtype=np.float32), np.ones(1, dtype=np.float32)


@contextmanager
def embedding_alone(head: nn.Module, task: str) -> Iterator[None]:
    """Let a head answer with its embedding, which its last layer reads, instead of logits.

    Raises
    ------
    BadRecipe
        If it has none.
    """
    embed = getattr(head, "embed", None)
    if not isinstance(embed, nn.Linear):
        raise BadRecipe(
            f"pretraining.task {task}: its head has no embedding; diagnosis, pooled, challenge "
            "and perceiver have one"
        )
    made: list[Tensor] = []
    hooks = (
        embed.register_forward_hook(lambda _module, _taken, given: made.append(given)),
        head.register_forward_hook(lambda *_: made.pop()),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@torch.inference_mode()
def compare_views(average: nn.Module, recipe: Recipe, held: Held) -> dict[str, float]:
    """Return how alike two views of records that are held out are, and how redundant outputs."""
    settings = recipe.pretraining
    assert settings is not None
    groups = [
        replace(group, rows=min(len(group.entries), WATCHED), window=None)
        for group in held
        if settings.task in group.tasks
    ]
    rows = draw_rows(groups, recipe.window, (recipe.seed,))
    if len(rows) < 2:
        return {}
    network, parts = on_cpu(average), []
    for at in range(0, len(rows), AT_ONCE):
        seen = with_second_views(rows[at : at + AT_ONCE], settings.task)
        batch = make_batch(seen, recipe.window, {}, recipe.augmentation)
        made = network(batch.signal, batch.present, batch.valid, batch.covariates)
        parts.append(torch.stack(made[settings.task].float().chunk(2)))
    correlation = view_correlation(*torch.cat(parts, dim=1))
    same = torch.diagonal(correlation)
    others = (correlation.square().sum() - same.square().sum()) / max(len(same) ** 2 - len(same), 1)
    return {"twins.alike": float(same.mean()), "twins.redundancy": float(others.sqrt())}


def _check_records(
    settings: PretrainingRecipe, groups: Sequence[Group], place: parallel.Place
) -> None:
    """Refuse a batch that would have to hold records twice, or leave a process without any."""
    records = sum(len(group.entries) for group in groups if settings.task in group.tasks)
    if records < settings.rows:
        raise BadRecipe(
            f"pretraining.rows {settings.rows}: the groups of {settings.task} have {records} "
            "records"
        )
    if place.processes > settings.rows:
        raise BadRecipe(
            f"pretraining.rows {settings.rows}: too few for {place.processes} processes"
        )


def _unfinished(
    blank: Bundle, task: str, weights: Mapping[str, Tensor], groups: Sequence[Group], held: Held
) -> Bundle:
    """Return the bundle, which says that the classes of the task were never taught."""
    note = f"Pre-trained only: a training can start from it. Its answers to {task} mean nothing."
    return replace(
        blank,
        weights=weights,
        thresholds={task: (UNREACHABLE,) * len(blank.vocabularies[task])},
        card={**card(blank.recipe, groups, held), "note": note},
    )
