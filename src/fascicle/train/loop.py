"""The training loop: draw a batch, step, log, checkpoint. It can be read aloud."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fascicle.data.batch import Aim, Batch, Group, Row, by_length, draw_rows, make_batch
from fascicle.data.mixup import mix
from fascicle.errors import BadData, BadRequest
from fascicle.losses import normalise, totals
from fascicle.models.network import Network
from fascicle.recipe import Recipe, parse_recipe
from fascicle.tasks import Task
from fascicle.train.checkpoint import load_tensors, restore, save_tensors, training_state
from fascicle.train.journal import journal
from fascicle.train.optimiser import batches_of, learning_rate, make_optimiser
from fascicle.train.parallel import Place, add_up, add_up_gradients, has_bf16
from fascicle.train.weighting import raised

Monitor = Callable[[nn.Module], dict[str, float]]
ClassScores = Callable[[nn.Module], Mapping[str, NDArray[np.float64]]]
CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"
MIXUP = 1
"""Tells the generator of the mixtures from others of the same step."""
SECOND_VIEW = 2
"""Tells the generator of a row's second view from that of its first."""
SNAPSHOT = "snapshot-{:06d}.safetensors"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a training needs beside the net: recipe, data, where to compute and to write.

    The rows of the task `twice` come twice, varied differently: first all, then all again.
    """

    recipe: Recipe
    tasks: Mapping[str, Task]
    aims: Mapping[str, Aim]
    groups: Sequence[Group]
    folder: Path
    header: Mapping[str, Any]
    place: Place
    twice: str | None = None


@dataclass(slots=True)
class State:
    """What a schedule carries from step to step: the best monitor, and the classes' weights."""

    best: float | None
    weights: dict[str, NDArray[np.float64]]


def train(
    network: Network,
    plan: Plan,
    monitor: Monitor,
    class_scores: ClassScores = lambda _: {},
    *,
    resume: bool = False,
    progress: Callable[[int, int, Mapping[str, float]], None] = lambda *_: None,
) -> nn.Module:
    """Return the chosen weights: the running average at the last step, or at its best monitor.

    Parameters
    ----------
    network
        A net with fresh weights; it is moved to the plan's device and trained in place.
    plan
        Recipe, data and folder.
    monitor
        Scores of a net on the validation records; "monitor" is the one that "best" looks at.
    class_scores
        Task -> score of each class on the validation records, for tasks that `reweigh`.
    resume
        Go on from the checkpoint in the plan's folder, if there is one.
    progress
        Called with (step, steps, losses) after each step, in the first process only.

    Raises
    ------
    BadData
        If a loss or gradient is not finite, with the names of the batch's records.
    """
    settings, first = plan.recipe.training, plan.place.rank == 0
    network.to(plan.place.device).train()
    average = copy.deepcopy(network).requires_grad_(False)
    freeze(network, settings.frozen)
    optimiser = make_optimiser(network, settings)
    state = State(None, {name: np.ones(t.parts) for name, t in plan.tasks.items()})
    done = _resume(plan, network, average, optimiser, state) if resume else 0
    kept = snapshot_steps(plan.recipe)
    with journal(plan.folder, done) if first else nullcontext(_silent) as write:
        for step, batches in _batches(plan, done):
            losses = _step(network, optimiser, batches, plan, state, step)
            move_average(average, network, min(settings.average, (1 + step) / (10 + step)))
            finished = step + 1
            last = finished == settings.steps
            watched = last or finished % settings.validate_steps == 0
            if watched and any(task.reweigh for task in plan.recipe.tasks.values()):
                _reweigh(state, plan, class_scores(average))
            if not first:
                continue
            scores = monitor(average) if watched else {}
            if "monitor" in scores and (state.best is None or scores["monitor"] > state.best):
                state.best = scores["monitor"]
                save_tensors(plan.folder / BEST, average.state_dict(), plan.header)
            if finished in kept:
                path = plan.folder / SNAPSHOT.format(finished)
                save_tensors(path, average.state_dict(), plan.header)
            write(finished, {**losses, **scores})
            if last or finished % settings.checkpoint_steps == 0:
                weights = {name: list(map(float, w)) for name, w in state.weights.items()}
                header = {**plan.header, "step": finished, "best": state.best, "weights": weights}
                tensors = training_state(network, average, optimiser)
                save_tensors(plan.folder / CHECKPOINT, tensors, header)
            progress(finished, settings.steps, {**losses, **scores})
    network.requires_grad_(True)
    if settings.select == "best" and first:
        tensors, _ = load_tensors(plan.folder / BEST)
        average.load_state_dict(tensors)
    return average.eval()


def freeze(network: nn.Module, patterns: Sequence[str]) -> None:
    """Let no gradient reach the weights that a pattern names. Raises BadRequest if none is left."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not any(fnmatchcase(name, pattern) for pattern in patterns))
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise BadRequest(f"training.frozen {', '.join(patterns)} leaves nothing to train")


def snapshot_steps(recipe: Recipe) -> list[int]:
    """Return the steps after which a net is kept: evenly over the last third, the last included."""
    settings = recipe.training
    third = settings.steps - settings.steps // 3
    return sorted(set(np.linspace(third, settings.steps, settings.snapshots).round().astype(int)))


def _reweigh(state: State, plan: Plan, scores: Mapping[str, NDArray[np.float64]]) -> None:
    """Raise the weights of the classes that are weak in validation."""
    for name, settings in plan.recipe.tasks.items():
        if settings.reweigh and name in scores:
            state.weights[name] = raised(state.weights[name], scores[name])


def _weighted(weight: Tensor, classes: NDArray[np.float64]) -> Tensor:
    """Return weights (batch, part, ...) times those of the parts."""
    if (classes == 1).all():
        return weight
    factor = torch.as_tensor(classes, dtype=weight.dtype, device=weight.device)
    return weight * factor.reshape(1, -1, *([1] * (weight.ndim - 2)))


def _silent(step: int, values: Mapping[str, float]) -> None:
    """Write nothing."""


def _batches(plan: Plan, done: int) -> Iterator[tuple[int, list[Batch]]]:
    """Yield (step, this process's part of its batches); the next ones are made meanwhile."""
    recipe, place = plan.recipe, plan.place
    whole = [name for name, task in plan.tasks.items() if task.resolution == "record"]
    rows = sum(group.rows for group in plan.groups)
    if rows < place.processes:
        raise BadRequest(f"a batch of {rows} rows is too small for {place.processes} processes")

    def make(step: int) -> list[Batch]:
        count = batches_of(step, recipe.training)
        mine = with_second_views(_rows_of(plan, step)[place.rank :: place.processes], plan.twice)
        batches = [
            make_batch(rows, window, plan.aims, recipe.augmentation)
            for part in range(count)
            for window, rows in by_length(mine[part::count], recipe.window)
        ]
        if not recipe.training.mixup:
            return batches
        rng = np.random.default_rng((recipe.seed, step, place.rank, MIXUP))
        return [mix(batch, recipe.training.mixup, rng, whole) for batch in batches]

    steps = range(done, recipe.training.steps)
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(make, done) if steps else None
        for step in steps:
            assert ahead is not None
            batches = ahead.result()
            if step + 1 < recipe.training.steps:
                ahead = pool.submit(make, step + 1)
            yield step, [_moved(batch, place.device) for batch in batches]


def _rows_of(plan: Plan, step: int) -> list[Row]:
    """Return the rows of all batches of a step, as of one batch with so many more rows."""
    recipe, groups = plan.recipe, plan.groups
    count = batches_of(step, recipe.training)
    if count > 1:
        groups = [replace(group, rows=count * group.rows) for group in groups]
    return draw_rows(groups, recipe.window, (recipe.seed, step))


def with_second_views(rows: Sequence[Row], task: str | None) -> list[Row]:
    """Return the rows and then those of the task once more, to be varied in another way."""
    again = [row for row in rows if task in row.group.tasks]
    return [*rows, *(replace(row, seed=(*row.seed, SECOND_VIEW)) for row in again)]


def _moved(batch: Batch, device: torch.device) -> Batch:
    """Return the batch with its tensors on the device."""
    if device.type == "cpu":
        return batch

    def each(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.to(device) for name, tensor in tensors.items()}

    return replace(
        batch,
        signal=batch.signal.to(device),
        present=batch.present.to(device),
        valid=batch.valid.to(device),
        covariates=batch.covariates.to(device),
        targets=each(batch.targets),
        weights=each(batch.weights),
        rows=each(batch.rows),
    )


def _step(
    network: Network,
    optimiser: torch.optim.Optimizer,
    batches: Sequence[Batch],
    plan: Plan,
    state: State,
    step: int,
) -> dict[str, float]:
    """Take one optimiser step and return the loss of each task over all batches and processes.

    Weights are normalised over all of them, so several batches teach what one with all their rows
    would: gradients are equal but for rounding, dropout's draws, mixup's partners, and the
    statistics of batch norms, which are each batch's own.
    """
    settings, place = plan.recipe.training, plan.place
    torch.manual_seed(_dropout_seed(plan.recipe.seed, step, place.rank))
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(step, settings)
    optimiser.zero_grad(set_to_none=True)
    total = _totals(batches, plan)
    parts: dict[str, Tensor] = {}
    for batch in batches:
        loss, found = _losses(network, batch, plan, state, total)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        parts = {name: parts.get(name, 0.0) + part.detach() for name, part in found.items()}
    losses = {name: float(add_up(part)) for name, part in parts.items()}
    add_up_gradients(network.parameters())
    norm = float(nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm))
    if not math.isfinite(norm) or not all(math.isfinite(value) for value in losses.values()):
        raise BadData(
            f"step {step + 1}: losses {losses} with gradient norm {norm} on the records "
            f"{', '.join(row.entry.key for row in _rows_of(plan, step))}"
        )
    optimiser.step()
    return losses


def _totals(batches: Sequence[Batch], plan: Plan) -> dict[str, Tensor]:
    """Return the sum of each task's weights, (part,), over all batches and processes."""
    found = {}
    for name, task in plan.tasks.items():
        mine = torch.zeros(task.parts, device=plan.place.device)
        for batch in batches:
            if name in batch.weights:
                mine = mine + totals(batch.weights[name])
        found[name] = add_up(mine)
    return found


def _losses(
    network: Network, batch: Batch, plan: Plan, state: State, total: Mapping[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of one batch, and the part of each task in it."""
    device = plan.place.device
    bf16 = plan.recipe.training.precision == "bf16" and has_bf16(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        logits = network(batch.signal, batch.present, batch.valid, batch.covariates, batch.rows)
    losses = {}
    loss = torch.zeros((), device=device)
    for name, task in plan.tasks.items():
        part = coarse = torch.zeros((), device=device)
        deep = plan.recipe.tasks[name].deep_supervision
        if name in batch.weights:
            weight, target = batch.weights[name], batch.targets[name]
            share = _weighted(normalise(weight, total[name]), state.weights[name])
            part = task.loss(logits[name].float(), target, share)
            if deep:
                coarse = _coarse_loss(name, task, logits, target, share)
            loss = loss + plan.recipe.tasks[name].weight * (part + deep * coarse)
        losses[name] = part
        if deep:
            losses[f"{name}.deep"] = coarse
    return loss, losses


def _coarse_loss(
    name: str, task: Task, logits: Mapping[str, Tensor], target: Tensor, share: Tensor
) -> Tensor:
    """Return the mean loss of a task at the coarser levels of its net, with the same masks.

    A frame answers for all its samples, which is to learn their target and weights pooled.
    """
    losses = [
        task.loss(
            level.float().repeat_interleave(int(key.partition("@")[2]), -1)[
                ..., : target.shape[-1]
            ],
            target,
            share,
        )
        for key, level in logits.items()
        if key.startswith(f"{name}@")
    ]
    return torch.stack(losses).mean()


def _dropout_seed(seed: int, step: int, rank: int) -> int:
    """Return the same seed for a step that is repeated, another one in every process."""
    return seed * 1_000_003 + step + rank * 2_000_000_011


@torch.no_grad()
def move_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the running average towards the net."""
    pairs = zip(average.parameters(), network.parameters(), strict=True)
    mine, theirs = map(list, zip(*pairs, strict=True))
    torch._foreach_lerp_(mine, theirs, 1 - decay)
    for copied, buffer in zip(average.buffers(), network.buffers(), strict=True):
        copied.copy_(buffer)  # a batch norm's running statistics


def _resume(
    plan: Plan,
    network: Network,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    state: State,
) -> int:
    """Return the step of the folder's checkpoint, and take over all that was there."""
    path = plan.folder / CHECKPOINT
    if not path.exists():
        return 0
    tensors, header = load_tensors(path)
    same = parse_recipe(header["recipe"], str(path)) == plan.recipe
    if not same or header["vocabularies"] != plan.header["vocabularies"]:
        raise BadData(f"{path}: was made by another recipe or of other data; use another folder")
    restore(tensors, network, average, optimiser)
    best = header["best"]
    state.best = best if best is not None and math.isfinite(best) else None
    state.weights = {name: np.asarray(values) for name, values in header["weights"].items()}
    return int(header["step"])
