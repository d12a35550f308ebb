"""What a recipe asks of the data: groups that teach, groups held out, and the classes of tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fascicle.data.batch import Group
from fascicle.data.pack import Entry, Pack
from fascicle.data.packing import Progress, no_progress, pack_source
from fascicle.data.samplers import by_source, fill_up, inverse_frequency
from fascicle.data.splits import check_leaks, choose
from fascicle.errors import BadRecipe
from fascicle.labels import (
    SINUS_RHYTHM,
    SNOMED,
    Vocabulary,
    challenge_classes,
    join,
    scp_statements,
    select,
    superclasses,
)
from fascicle.recipe import GroupRecipe, Recipe, TaskRecipe
from fascicle.tasks import TASKS, Task
from fascicle.tasks.windows import arrhythmia_classes
from fascicle.train.held_out import Held
from fascicle.train.windows import beat_groups

SYSTEMS: Mapping[str, Callable[[], Vocabulary]] = {
    "PTB-XL superclass": superclasses,
    "SCP-ECG": scp_statements,
    "SNOMED-CT": challenge_classes,
}
"""Code systems whose classes a recipe can ask for."""


def open_groups(
    recipe: Recipe, data_dir: Path, packs_dir: Path, packing: Progress = no_progress
) -> tuple[list[Group], Held]:
    """Return what is trained on, and what is held out for validation, leak-checked."""
    groups: list[Group] = []
    held: Held = []
    packs: dict[str, Pack] = {}
    for settings in recipe.groups:
        name = settings.source
        if name not in packs:
            packs[name] = pack_source(name, data_dir, packs_dir, recipe.preprocessing, packing)
        every = _eligible(packs[name].entries, settings)
        group = Group(
            packs[name],
            _taught(every, settings),
            settings.tasks,
            settings.rows,
            settings.rare_beats,
            leads=settings.leads or recipe.leads,
            source=settings.source,
            window=recipe.samples_of(settings),
        )
        _check_windows(settings, recipe)
        if settings.windows is not None:
            parts = beat_groups(group, settings.windows, recipe)
            group = parts["train"]
            if "validation" in parts:
                held.append(parts["validation"])
        groups.append(group)
        if settings.validate_folds:
            held.append(replace(group, entries=choose(every, settings.validate_folds)))
    _check_parts(groups, held)
    return groups, held


def _eligible(entries: Sequence[Entry], settings: GroupRecipe) -> tuple[Entry, ...]:
    """Return the records of these names and codes, of all folds."""
    every = tuple(e for e in entries if settings.records is None or e.name in settings.records)
    unseen = set(settings.records or ()) - {entry.name for entry in every}
    if unseen:
        raise BadRecipe(f"group {settings.source}: no records {', '.join(sorted(unseen))}")
    if settings.codes is None:
        return every
    wanted = set(settings.codes)
    return tuple(e for e in every if any(wanted & codes for codes in e.labels.values()))


def _taught(every: Sequence[Entry], settings: GroupRecipe) -> tuple[Entry, ...]:
    """Return the records that teach: those of the folds that do not validate."""
    entries = choose(every, settings.folds)
    entries = tuple(e for e in entries if e.fold not in settings.validate_folds)
    if not entries:
        raise BadRecipe(
            f"group {settings.source}: folds {settings.folds} hold no record"
            + (f" with {', '.join(settings.codes)}" if settings.codes else "")
        )
    return entries


def _check_parts(groups: Sequence[Group], held: Held) -> None:
    """Refuse a patient who teaches and validates."""
    # Windows of one patient train and validate, apart in time; no other group may share him.
    whole = [group for group in groups if group.windows is None]
    for taught, kept in ((groups, [g for g in held if g.windows is None]), (whole, held)):
        check_leaks(
            [entry for group in taught for entry in group.entries],
            [entry for group in kept for entry in group.entries],
        )


def _check_windows(settings: GroupRecipe, recipe: Recipe) -> None:
    """Refuse windows around beats for other tasks than theirs, and these without windows."""
    for name in settings.tasks:
        kind = TASKS.get(recipe.tasks[name].kind or name)
        if kind is not None and (kind.resolution == "window") != (settings.windows is not None):
            raise BadRecipe(
                f"group {settings.source}: the task {name} "
                + ("needs" if settings.windows is None else "does not go with")
                + " windows around beats"
            )


def sampled(group: Group, settings: GroupRecipe, tasks: Mapping[str, Task], seed: int) -> Group:
    """Return the group with the records and chances that its sampler gives."""
    if settings.sampler == "uniform":
        return group
    if settings.sampler == "source":
        parts = [entry.key.rstrip("0123456789") for entry in group.entries]
        return replace(group, chances=by_source(parts))
    vocabularies = [tasks[n].vocabulary for n in group.tasks if tasks[n].resolution == "record"]
    if settings.sampler == "inverse":
        return replace(group, chances=inverse_frequency(_positives(group, vocabularies)))
    systems = {system: None for vocabulary in vocabularies for system in vocabulary.systems}
    # Every code counts, so that nets for other classes are taught the same records.
    labels = _positives(group, [SYSTEMS[system]() for system in systems])
    chosen = fill_up(labels, settings.fill_up, np.random.default_rng(seed))
    return replace(group, entries=tuple(group.entries[place] for place in chosen))


def _positives(group: Group, vocabularies: Sequence[Vocabulary]) -> NDArray[np.bool_]:
    """Return (record, class): which records of the group hold these classes."""
    every = [
        np.stack([vocabulary.encode(entry.labels)[0] > 0 for entry in group.entries])
        for vocabulary in vocabularies
    ]
    return np.concatenate(every, axis=1)


def shares_of(task: Task, groups: Sequence[Group]) -> Tensor:
    """Return the share of each class, (class,), among the training records that know of it."""
    entries = [entry for group in groups if task.name in group.tasks for entry in group.entries]
    labels, known = zip(*(task.vocabulary.encode(e.labels) for e in entries), strict=True)
    positives = (np.stack(labels) * np.stack(known)).sum(axis=0)
    # never 0 or 1: half a record is added to either side
    return torch.from_numpy((positives + 0.5) / (np.sum(known, axis=0) + 1.0))


def find_vocabularies(recipe: Recipe, groups: Sequence[Group]) -> dict[str, Vocabulary]:
    """Return each task's classes: of a task of records, those with enough training positives."""
    found = {}
    for name, settings in recipe.tasks.items():
        entries = [entry for group in groups if name in group.tasks for entry in group.entries]
        if not entries:
            raise BadRecipe(f"tasks.{name}: no group has records for it")
        kind = TASKS.get(settings.kind or name)
        if kind is None:
            raise BadRecipe(
                f"tasks.{name}: no task {settings.kind or name}; known: {', '.join(TASKS)}"
            )
        if kind.kind == "arrhythmia":
            found[name] = arrhythmia_classes(settings.classes)
        else:
            found[name] = kind.vocabulary or _frequent(name, settings, entries)
        if recipe.decision.metric == "challenge" and kind.resolution == "record":
            terms = [(term.system, term.code) for term in found[name].terms]
            if found[name].systems != (SNOMED,) or (SNOMED, SINUS_RHYTHM) not in terms:
                raise BadRecipe('decision.metric = "challenge" needs the system SNOMED-CT alone')
    return found


def _frequent(name: str, settings: TaskRecipe, entries: Sequence[Entry]) -> Vocabulary:
    """Return the classes of these systems that have enough positives."""
    unknown = set(settings.systems) - set(SYSTEMS)
    if unknown or not settings.systems:
        raise BadRecipe(
            f"tasks.{name}.systems: {', '.join(sorted(unknown)) or 'nothing'} not among "
            f"{', '.join(SYSTEMS)}"
        )
    every = join(*(SYSTEMS[system]() for system in settings.systems))
    strangers = set(settings.classes) - {term.code for term in every.terms}
    if strangers:
        raise BadRecipe(f"tasks.{name}.classes: {', '.join(sorted(strangers))} not among the codes")
    counts = np.sum([every.encode(entry.labels)[0] for entry in entries], axis=0)
    enough = [
        (term.system, term.code)
        for term, count in zip(every.terms, counts, strict=True)
        if count >= settings.min_positives
        and (not settings.classes or term.code in settings.classes)
    ]
    if not enough:
        raise BadRecipe(f"tasks.{name}: no class has {settings.min_positives} positives")
    return select(every, enough)
