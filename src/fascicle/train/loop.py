"""The training loop: draw a batch, step, log, checkpoint. It can be read aloud."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fascicle.data.batch import Aim, Batch, Group, draw_rows, make_batch
from fascicle.errors import BadData
from fascicle.losses import normalise, totals
from fascicle.models.network import Network
from fascicle.recipe import Recipe
from fascicle.tasks import Task
from fascicle.train import parallel
from fascicle.train.checkpoint import load_tensors, restore, save_tensors, training_state

Monitor = Callable[[nn.Module], dict[str, float]]
CHECKPOINT = "checkpoint.safetensors"
LOG = "log.jsonl"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a training needs beside the net: recipe, data and where to write."""

    recipe: Recipe
    tasks: Mapping[str, Task]
    aims: Mapping[str, Aim]
    groups: Sequence[Group]
    folder: Path
    header: Mapping[str, Any]


def train(
    network: Network,
    plan: Plan,
    monitor: Monitor,
    *,
    resume: bool = False,
    progress: Callable[[int, int, Mapping[str, float]], None] = lambda *_: None,
) -> nn.Module:
    """Return the chosen weights: the running average at the last step, or at its best monitor.

    Parameters
    ----------
    monitor
        Scores of a net on the validation records; "monitor" is the one that "best" looks at.
    resume
        Go on from the checkpoint in the plan's folder, if there is one.
    progress
        Called with (step, steps, losses) after each step, in the first process only.

    Raises
    ------
    BadData
        If a loss or gradient is not finite, with the names of the batch's records.
    """
    torch.manual_seed(plan.recipe.seed)
    rank, processes = parallel.start()
    settings = plan.recipe.training
    average = copy.deepcopy(network).requires_grad_(False)
    optimiser = torch.optim.AdamW(
        _decayed(network, settings.weight_decay), lr=settings.learning_rate
    )
    done, best = _resume(plan, network, average, optimiser) if resume else (0, -math.inf)
    if rank == 0:
        _cut_log(plan.folder / LOG, done)
    network.train()
    for step, batch in _batches(plan, done, rank, processes):
        losses = _step(network, optimiser, batch, plan, step)
        _follow(average, network, min(settings.average, (1 + step) / (10 + step)))
        finished = step + 1
        scores: dict[str, float] = {}
        if finished % settings.validate_steps == 0 or finished == settings.steps:
            scores = monitor(average) if rank == 0 else {}
            if scores.get("monitor", -math.inf) > best:
                best = scores["monitor"]
                save_tensors(plan.folder / "best.safetensors", average.state_dict(), plan.header)
        if rank == 0:
            _log(plan.folder / LOG, {"step": finished, **losses, **scores})
            progress(finished, settings.steps, {**losses, **scores})
            if finished % settings.checkpoint_steps == 0 or finished == settings.steps:
                header = {**plan.header, "step": finished, "best": best}
                state = training_state(network, average, optimiser)
                save_tensors(plan.folder / CHECKPOINT, state, header)
    parallel.wait()
    if settings.select == "best":
        tensors, _ = load_tensors(plan.folder / "best.safetensors")
        average.load_state_dict(tensors)
    return average.eval()


def learning_rate(step: int, recipe: Recipe) -> float:
    """Return the rate at a step: linear warm-up, then a cosine down to zero."""
    settings = recipe.training
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    share = (step - settings.warmup_steps) / max(settings.steps - settings.warmup_steps, 1)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


def _batches(plan: Plan, done: int, rank: int, processes: int) -> Iterator[tuple[int, Batch]]:
    """Yield (step, this process's part of its batch); the next one is made meanwhile."""
    recipe = plan.recipe

    def make(step: int) -> Batch:
        rows = draw_rows(plan.groups, recipe.window, (recipe.seed, step))
        return make_batch(rows[rank::processes], recipe.window, plan.aims, recipe.augmentation)

    steps = range(done, recipe.training.steps)
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(make, done) if steps else None
        for step in steps:
            assert ahead is not None
            batch = ahead.result()
            if step + 1 < recipe.training.steps:
                ahead = pool.submit(make, step + 1)
            yield step, batch


def _step(
    network: Network, optimiser: torch.optim.Optimizer, batch: Batch, plan: Plan, step: int
) -> dict[str, float]:
    """Take one optimiser step and return the loss of each task over all processes."""
    settings = plan.recipe.training
    torch.manual_seed(plan.recipe.seed * 1_000_003 + step)  # dropout, the same when resumed
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(step, plan.recipe)
    optimiser.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=settings.precision == "bf16"):
        logits = network(batch.signal, batch.present, batch.valid, batch.covariates, batch.rows)
    losses = {}
    loss: Tensor = torch.zeros(())
    for name, task in plan.tasks.items():
        weight = batch.weights.get(name)
        total = totals(weight) if weight is not None else torch.zeros(task.parts)
        total = parallel.add_up(total)
        part = torch.zeros(())
        if weight is not None:
            part = task.loss(logits[name].float(), batch.targets[name], normalise(weight, total))
            loss = loss + plan.recipe.tasks[name].weight * part
        losses[name] = float(parallel.add_up(part.detach().clone()))
    if loss.requires_grad:
        loss.backward()  # type: ignore[no-untyped-call]
    parallel.add_up_gradients(network.parameters())
    norm = float(nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm))
    if not math.isfinite(norm) or not all(math.isfinite(value) for value in losses.values()):
        raise BadData(
            f"step {step}: loss {losses} with gradient norm {norm} on the records "
            f"{', '.join(batch.names)}"
        )
    optimiser.step()
    return losses


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the running average towards the net."""
    pairs = zip(average.parameters(), network.parameters(), strict=True)
    mine, theirs = map(list, zip(*pairs, strict=True))
    torch._foreach_lerp_(mine, theirs, 1 - decay)


def _decayed(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return parameter groups: decay for matrices and kernels, none for scales and biases."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.squeeze().ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.squeeze().ndim <= 1], "weight_decay": 0.0},
    ]


def _resume(
    plan: Plan, network: Network, average: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[int, float]:
    path = plan.folder / CHECKPOINT
    if not path.exists():
        return 0, -math.inf
    tensors, header = load_tensors(path)
    if header["recipe"] != plan.header["recipe"]:
        raise BadData(f"{path}: was made by another recipe; train in another folder")
    restore(tensors, network, average, optimiser)
    return int(header["step"]), float(header["best"])


def _log(path: Path, line: Mapping[str, float]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _cut_log(path: Path, done: int) -> None:
    """Drop the lines of steps that will be taken again."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()[:done]
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
