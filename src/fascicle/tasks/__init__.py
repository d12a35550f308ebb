"""The seam: a task says what each room uses for it. To add a task is to add a value here.

`TASKS` holds what does not depend on data; `make_task` gives it the vocabulary of a recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fascicle.data.batch import Aim, TargetFunction
from fascicle.data.targets import beats_target, labels_target, waves_target
from fascicle.errors import BadRequest
from fascicle.labels import Term, Vocabulary, aami_classes
from fascicle.losses import beat_loss, binary_cross_entropy, cross_entropy
from fascicle.tasks.scores import (
    Annotated,
    Outcome,
    Resampling,
    score_beats,
    score_diagnoses,
    score_waves,
)

__all__ = [
    "TASKS",
    "Annotated",
    "Outcome",
    "Resampling",
    "Task",
    "aim_of",
    "is_labelled",
    "make_task",
]

Array = NDArray[np.float32]
Score = Callable[
    [Sequence[Annotated], Sequence[Outcome], Vocabulary, Resampling | None], dict[str, float]
]


@dataclass(frozen=True, slots=True)
class Task:
    """What each room uses for one question.

    Parameters
    ----------
    resolution
        Whether the answer is one per record, per beat or per sample.
    vocabulary
        Its classes, in the order of the logits.
    head
        Key of `models.network.HEADS`.
    needs
        Tasks whose logits its head takes.
    target, loss
        Annotations of a window -> (target, weight); (logits, target, weight) -> scalar.
    parts
        Length of the weight's second axis: each part counts alike in the loss.
    moves_with_lead
        Whether target and weight are per lead, so that they move and vanish with it.
    activate
        Logits -> probabilities, on arrays.
    score, monitor
        Records and outcomes -> named scores; the one that a training watches (more is better).
    """

    name: str
    resolution: Literal["record", "beat", "sample"]
    vocabulary: Vocabulary
    head: str
    target: TargetFunction
    loss: Callable[[Tensor, Tensor, Tensor], Tensor]
    activate: Callable[[Array], Array]
    score: Score
    monitor: str
    parts: int
    needs: tuple[str, ...] = ()
    moves_with_lead: bool = False


def softmax(logits: Array) -> Array:
    """Return the softmax over the classes of (..., class, sample)."""
    powers = np.asarray(logits - logits.max(axis=-2, keepdims=True), dtype=np.float32)
    np.exp(powers, out=powers)  # in place: half an hour of twelve leads is 86 MB
    powers /= powers.sum(axis=-2, keepdims=True)
    return powers


def sigmoid(logits: Array) -> Array:
    """Return the logistic function, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), dtype=np.float32)


def beat_probabilities(logits: Array) -> Array:
    """Return (..., 1 + kind, sample): that a beat is here, then the softmax over its kinds."""
    return np.concatenate([sigmoid(logits[..., :1, :]), softmax(logits[..., 1:, :])], axis=-2)


WAVES = Task(
    name="waves",
    resolution="sample",
    vocabulary=Vocabulary(
        tuple(Term("fascicle wave", kind, kind) for kind in ("none", "P", "QRS", "T"))
    ),
    head="waves",
    target=waves_target,
    loss=cross_entropy,
    activate=softmax,
    score=score_waves,
    monitor="waves.f1_150",
    parts=12,
    moves_with_lead=True,
)
BEATS = Task(
    name="beats",
    resolution="beat",
    vocabulary=aami_classes(),
    head="beats",
    target=beats_target,
    loss=beat_loss,
    activate=beat_probabilities,
    score=score_beats,
    monitor="beats.f1",
    parts=2,
)
DIAGNOSIS = Task(
    name="diagnosis",
    resolution="record",
    vocabulary=Vocabulary(()),
    head="diagnosis",
    target=labels_target,
    loss=binary_cross_entropy,
    activate=sigmoid,
    score=score_diagnoses,
    monitor="diagnosis.macro.auroc",
    parts=0,
)
TASKS: Mapping[str, Task] = MappingProxyType({t.name: t for t in (WAVES, BEATS, DIAGNOSIS)})


def make_task(name: str, vocabulary: Vocabulary | None = None) -> Task:
    """Return a task, with this vocabulary where it is the data that gives one.

    Raises
    ------
    BadRequest
        If there is no such task, or it needs classes and has none.
    """
    if name not in TASKS:
        raise BadRequest(f"no task {name!r}; known: {', '.join(TASKS)}")
    task = TASKS[name]
    if task.resolution != "record":
        return task
    if not vocabulary:
        raise BadRequest(f"the task {name} needs classes: its recipe names no code systems")
    return replace(task, vocabulary=vocabulary, parts=len(vocabulary))


def is_labelled(reference: Annotated, task: Task) -> bool:
    """Return whether a record says what the task asks, so that it can be scored."""
    if task.resolution == "record":
        return any(system in reference.labels for system in task.vocabulary.systems)
    return task.name in reference.annotated


def aim_of(task: Task) -> Aim:
    """Return what a batch needs of the task."""
    return Aim(task.target, task.vocabulary, task.moves_with_lead)
