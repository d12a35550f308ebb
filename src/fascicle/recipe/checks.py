"""Values of a recipe that must fit each other: each refusal says where."""

from __future__ import annotations

from fascicle.errors import BadRecipe
from fascicle.recipe.backbones import UNetRecipe
from fascicle.recipe.sections import (
    GroupRecipe,
    PerceiverRecipe,
    Recipe,
    TaskRecipe,
    TrainingRecipe,
)
from fascicle.record import LEADS


def check_whole(recipe: Recipe, where: str) -> None:
    """Refuse values that do not fit each other."""
    backbone = recipe.backbone
    if isinstance(backbone, UNetRecipe) and len(backbone.decoder) != len(backbone.filters) - 1:
        raise BadRecipe(f"{where}: backbone.decoder needs one level fewer than backbone.filters")
    if list(recipe.leads) != [lead for lead in LEADS if lead in recipe.leads]:
        raise BadRecipe(f"{where}: leads must be once each, in the order {', '.join(LEADS)}")
    if recipe.window < 1:
        raise BadRecipe(f"{where}: window_s = {recipe.window_s} holds no sample")
    _check_schedule(recipe.training, where)
    if recipe.pretraining is not None and recipe.pretraining.task not in recipe.tasks:
        raise BadRecipe(
            f"{where}: pretraining.task {recipe.pretraining.task} is none of the recipe's tasks "
            f"{', '.join(recipe.tasks)}"
        )
    for name, task in recipe.tasks.items():
        _check_taught(name, task, where)
        _check_task(recipe, name, task, where)
    for place, group in enumerate(recipe.groups):
        _check_group(recipe, group, f"{where}: groups.{place}")


def _check_schedule(training: TrainingRecipe, where: str) -> None:
    """Refuse a cycle without its length, a length without cycles, and changes out of order."""
    if (training.schedule == "cyclic") != (training.cycle_steps is not None):
        raise BadRecipe(
            f'{where}: training.schedule = "cyclic" and training.cycle_steps need each other'
        )
    firsts = [first for first, _ in training.accumulate]
    if firsts != sorted(set(firsts)):
        raise BadRecipe(f"{where}: training.accumulate must name steps once, in their order")


def _check_taught(name: str, task: TaskRecipe, where: str) -> None:
    """Refuse a loss without its head, and a prior that the head cannot begin at."""
    if (task.head == "challenge") != (task.loss == "challenge"):
        raise BadRecipe(f"{where}: tasks.{name}: the challenge head and loss need each other")
    if task.prior and task.head not in ("pooled", "challenge", "logistic"):
        raise BadRecipe(f"{where}: tasks.{name}.prior needs the head pooled, challenge or logistic")


def _check_task(recipe: Recipe, name: str, task: TaskRecipe, where: str) -> None:
    """Refuse options of a task that its head, net or loss cannot have."""
    here, kind = f"{where}: tasks.{name}", task.kind or name
    if task.perceiver is not None and task.head != "perceiver":
        raise BadRecipe(f'{here}.perceiver: only with head = "perceiver"')
    options = task.perceiver or PerceiverRecipe()
    if options.width % options.attention_heads:
        raise BadRecipe(f"{here}.perceiver.width must be a multiple of attention_heads")
    for need in ("waves", "beats") if kind == "rhythm" else task.needs:
        if need not in recipe.tasks or recipe.tasks[need].kind not in (None, need):
            what = "its head needs" if kind == "rhythm" else "the intervals of its head need"
            raise BadRecipe(f"{here}: {what} the task {need}")
    backbone = recipe.backbone
    levels = len(backbone.decoder) if isinstance(backbone, UNetRecipe) else 0
    if task.deep_supervision and (kind != "waves" or levels < 2):
        raise BadRecipe(f"{here}.deep_supervision: only of waves, on a U-Net of several levels")
    for option in ("stride", "width"):
        usual = TaskRecipe.model_fields[option].default
        if kind != "waves" and getattr(task, option) != usual:
            raise BadRecipe(f"{here}.{option}: only of waves")
    if task.rewrite and (task.reweigh or task.loss == "challenge"):
        raise BadRecipe(f"{here}.rewrite: not with reweigh or the challenge loss")


def _check_group(recipe: Recipe, group: GroupRecipe, here: str) -> None:
    """Refuse windows, leads, tasks and folds of a group that the recipe or each other forbid."""
    if group.windows is not None and (group.validate_folds or group.sampler != "uniform"):
        raise BadRecipe(
            f"{here}: windows around beats part by time and are drawn by "
            "their classes; no validate_folds, no sampler"
        )
    if group.window_s is not None:
        if group.windows is not None:
            raise BadRecipe(f"{here}: windows around beats have no window_s")
        if recipe.samples_of(group) < 1:
            raise BadRecipe(f"{here}.window_s holds no sample")
    strange = [lead for lead in group.leads or () if lead not in recipe.leads]
    if strange:
        raise BadRecipe(f"{here}.leads: the net has no {', '.join(strange)}")
    strangers = set(group.tasks) - set(recipe.tasks)
    if strangers:
        raise BadRecipe(
            f"{here}.tasks names {', '.join(sorted(strangers))}; "
            f"the recipe has the tasks {', '.join(recipe.tasks)}"
        )
    shared = set(group.validate_folds) & set(group.folds or ())
    if shared:
        raise BadRecipe(f"{here} trains and validates on {sorted(shared)}")
