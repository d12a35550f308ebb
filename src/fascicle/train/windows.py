"""Windows around known beats: the groups that a recipe makes of them, and what a net says there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from fascicle.data.batch import Batch, Group, Row, make_batch
from fascicle.data.beat_windows import (
    beat_near,
    class_of,
    few,
    find_windows,
    mixed,
    part_by_class,
    part_by_time,
)
from fascicle.errors import BadRecipe
from fascicle.models.network import Network
from fascicle.recipe import Recipe, WindowsRecipe
from fascicle.tasks import Task
from fascicle.tasks.windows import Array, join_answers, recalls

AT_ONCE = 512


def beat_groups(group: Group, settings: WindowsRecipe, recipe: Recipe) -> dict[str, Group]:
    """Return the group's windows in each part: "train" in the recipe's mixture, others as they are.

    Raises
    ------
    BadRecipe
        If a class has no window to train on.
    """
    rate_hz, classes = group.pack.preprocessing.rate_hz, settings.classes
    windows = find_windows(group.entries, rate_hz, recipe.window, tuple(classes))
    apart_s = settings.gap_s + recipe.window_s
    if settings.cut == "time":
        durations_s = [entry.samples / rate_hz for entry in group.entries]
        parts = part_by_time(windows, durations_s, settings.spans, apart_s)
    else:
        parts = part_by_class(windows, settings.spans, apart_s)
    for label, name in enumerate(classes):
        if not (parts["train"].label == label).any():
            names = ", ".join(entry.name for entry in group.entries)
            raise BadRecipe(f"group {group.source}: no window of {name} to train on in {names}")
    if settings.per_class is not None:
        rng = np.random.default_rng((recipe.seed, settings.per_class))
        parts["train"] = few(parts["train"], settings.per_class, rng)
    parts["train"] = mixed(parts["train"], tuple(classes.values()))
    return {part: replace(group, windows=found.places()) for part, found in parts.items()}


def cut_windows(group: Group, samples: int) -> list[Batch]:
    """Return the signals of all windows of a group, without targets."""
    assert group.windows is not None
    rows = [Row(group, group.entries[place], start, ()) for place, start in group.windows]
    steps = range(0, len(rows), AT_ONCE)
    return [make_batch(rows[first : first + AT_ONCE], samples, {}) for first in steps]


@torch.inference_mode()
def answer_windows(
    network: Network, tasks: Mapping[str, Task], batches: Sequence[Batch]
) -> tuple[tuple[str, ...], Array]:
    """Return the classes and the joint probabilities (window, class) of the heads of classes."""
    tasks = {name: task for name, task in tasks.items() if task.kind != "timing"}
    parts: dict[str, list[Array]] = {name: [] for name in tasks}
    for batch in batches:
        logits = network(batch.signal, batch.present, batch.valid, batch.covariates)
        for name, task in tasks.items():
            parts[name].append(task.activate(logits[name].float().numpy()))
    answers = {name: np.concatenate(found) for name, found in parts.items()}
    return join_answers(answers, {name: task.vocabulary for name, task in tasks.items()})


def labels_of(group: Group, samples: int, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the class index of each window's beat, (window,), -1 for none of them."""
    assert group.windows is not None
    rate_hz = group.pack.preprocessing.rate_hz
    found = []
    for place, start in group.windows:
        entry = group.entries[place]
        found.append(class_of(entry, beat_near(entry, (start + samples // 2) / rate_hz), classes))
    return np.array(found, dtype=np.int64)


def watch_windows(
    network: Network, tasks: Mapping[str, Task], groups: Sequence[Group], samples: int
) -> dict[str, float]:
    """Return the recall of each class over the groups' windows, and their mean.

    The heads of these groups answer, jointly; a task that validates nowhere only helps.
    """
    asked = {name for group in groups for name in group.tasks}
    tasks = {name: task for name, task in tasks.items() if name in asked}
    batches = [batch for group in groups for batch in cut_windows(group, samples)]
    if not batches or all(task.kind == "timing" for task in tasks.values()):
        return {}
    classes, probabilities = answer_windows(network, tasks, batches)
    labels = np.concatenate([labels_of(group, samples, classes) for group in groups])
    found = recalls(labels, probabilities)
    known = {name: float(r) for name, r in zip(classes, found, strict=True) if np.isfinite(r)}
    if not known:
        return {}
    scores = {f"windows.{name}.recall": recall for name, recall in known.items()}
    return {**scores, "windows.macro.recall": float(np.mean(list(known.values())))}
