"""The seam: a task says what each room uses for it. To add a task is to add a value here.

`TASKS` holds what does not depend on data; `make_task` gives it the vocabulary of a recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fascicle.data.batch import Aim, TargetFunction
from fascicle.data.targets import (
    beat_class_target,
    beats_target,
    labels_target,
    rewritten_target,
    rhythm_target,
    timing_target,
    waves_target,
)
from fascicle.errors import BadRequest
from fascicle.labels import (
    SNOMED,
    Term,
    Vocabulary,
    aami_classes,
    challenge_classes,
    challenge_weights,
    restore_logits,
    rewritten,
    rhythm_classes,
)
from fascicle.losses import (
    asymmetric_loss,
    beat_loss,
    binary_cross_entropy,
    challenge_loss,
    focal_loss,
    frame_cross_entropy,
    softmax_cross_entropy,
    squared_error,
    wave_loss,
)
from fascicle.tasks.scores import (
    Annotated,
    Answer,
    Outcome,
    Resampling,
    score_beats,
    score_diagnoses,
    score_rhythms,
    score_waves,
)
from fascicle.tasks.windows import (
    anomaly_classes,
    as_is,
    class_softmax,
    no_score,
    timing_values,
)

__all__ = [
    "TASKS",
    "Annotated",
    "Answer",
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


def same(logits: Array) -> Array:
    """Return the logits: all of them decide."""
    return logits


def challenge_head(logits: Array) -> Array:
    """Return the second of the two heads (2, class): the challenge loss taught it to decide."""
    return np.asarray(logits[1], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Task:
    """What each room uses for one question.

    Parameters
    ----------
    resolution
        Whether the answer is one per record, per window around a known beat, per deepest frame of
        the trunk, per beat or per sample.
    vocabulary
        Its classes, in the order of the logits.
    head
        Key of `models.network.HEADS`.
    needs
        Tasks whose logits its head takes.
    whole
        Whether its head answers a long record at once, not window by window.
    annotation
        What `Record.annotated` calls that which scores it; its name if empty.
    taught
        The classes of the head, where they are others than those of the answer.
    target, loss
        Annotations of a window -> (target, weight); (logits, target, weight) -> scalar.
    kind
        Key of `TASKS`: what it is one of.
    parts
        Length of the weight's second axis: each part counts alike in the loss.
    moves_with_lead
        Whether target and weight are per lead, so that they move and vanish with it.
    stretches
        Whether its answers hold at another speed: marks in time do, rates and rhythms do not.
    deciding
        Logits of the head -> those that decide, on arrays: a head may give more.
    activate
        Deciding logits -> probabilities, on arrays.
    score, monitor
        Records and outcomes -> named scores; the one that a training watches (more is better).
    """

    name: str
    resolution: Literal["record", "window", "frame", "beat", "sample"]
    vocabulary: Vocabulary
    head: str
    target: TargetFunction
    loss: Callable[[Tensor, Tensor, Tensor], Tensor]
    activate: Callable[[Array], Array]
    score: Score
    monitor: str
    parts: int
    kind: str = ""
    deciding: Callable[[Array], Array] = same
    needs: tuple[str, ...] = ()
    moves_with_lead: bool = False
    stretches: bool = False
    whole: bool = False
    annotation: str = ""
    taught: Vocabulary | None = None

    @property
    def classes(self) -> Vocabulary:
        """The classes that the head is taught, in the order of its logits."""
        return self.taught or self.vocabulary


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
    kind="waves",
    resolution="sample",
    vocabulary=Vocabulary(
        tuple(Term("fascicle wave", kind, kind) for kind in ("none", "P", "QRS", "T"))
    ),
    head="waves",
    target=waves_target,
    loss=wave_loss,
    activate=softmax,
    score=score_waves,
    monitor="waves.f1_150",
    parts=12,
    moves_with_lead=True,
    stretches=True,
)
BEATS = Task(
    name="beats",
    kind="beats",
    resolution="beat",
    vocabulary=aami_classes(),
    head="beats",
    target=beats_target,
    loss=beat_loss,
    activate=beat_probabilities,
    score=score_beats,
    monitor="beats.f1",
    parts=2,
    stretches=True,
)
DIAGNOSIS = Task(
    name="diagnosis",
    kind="diagnosis",
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
RHYTHM_WEIGHTS = (0.5, 0.75, 2.0, 2.0, 2.0, 2.0, 1.0)
"""How much each kind of rhythm counts in the loss: most of what is recorded is sinus rhythm."""
RHYTHM = Task(
    name="rhythm",
    kind="rhythm",
    resolution="frame",
    vocabulary=rhythm_classes(),
    head="rhythm",
    target=rhythm_target,
    loss=partial(frame_cross_entropy, classes=RHYTHM_WEIGHTS),
    activate=softmax,
    score=score_rhythms,
    monitor="rhythm.AF.f1",
    parts=1,
    needs=("waves", "beats"),
    whole=True,
    annotation="rhythms",
)
ANOMALY = Task(
    name="anomaly",
    kind="anomaly",
    resolution="window",
    vocabulary=anomaly_classes(),
    head="softmax",
    target=beat_class_target,
    loss=softmax_cross_entropy,
    activate=class_softmax,
    score=no_score,
    monitor="windows.macro.recall",
    parts=1,
)
ARRHYTHMIA = replace(ANOMALY, name="arrhythmia", kind="arrhythmia", vocabulary=Vocabulary(()))
TIMING = replace(
    ANOMALY,
    name="timing",
    kind="timing",
    vocabulary=timing_values(),
    target=timing_target,
    loss=squared_error,
    activate=as_is,
)
LossOfClasses = Callable[[Vocabulary], Callable[[Tensor, Tensor, Tensor], Tensor]]
LOSSES: Mapping[str, LossOfClasses] = MappingProxyType(
    {
        "bce": lambda _: binary_cross_entropy,
        "focal": lambda _: focal_loss,
        "asymmetric": lambda _: asymmetric_loss,
        "challenge": lambda vocabulary: partial(challenge_loss, rewards=rewards_of(vocabulary)),
    }
)
"""Losses that a recipe can choose for a task of records."""


def rewards_of(vocabulary: Vocabulary) -> Tensor:
    """Return the Challenge's rewards (class, class) of these classes; 0 for others than its own."""
    scored = [term.code for term in challenge_classes().terms]
    every = challenge_weights()
    reward = np.zeros((len(vocabulary), len(vocabulary)), dtype=np.float32)
    place = [
        scored.index(term.code) if term.system == SNOMED and term.code in scored else None
        for term in vocabulary.terms
    ]
    for row, mine in enumerate(place):
        for column, other in enumerate(place):
            if mine is not None and other is not None:
                reward[row, column] = every[mine, other]
    return torch.from_numpy(reward)


TASKS: Mapping[str, Task] = MappingProxyType(
    {task.name: task for task in (WAVES, BEATS, DIAGNOSIS, RHYTHM, ANOMALY, ARRHYTHMIA, TIMING)}
)


def make_task(
    name: str,
    vocabulary: Vocabulary | None = None,
    *,
    kind: str | None = None,
    head: str | None = None,
    loss: str | None = None,
    needs: tuple[str, ...] = (),
    rewrite: bool = False,
) -> Task:
    """Return a task, with this vocabulary where it is the data that gives one.

    Parameters
    ----------
    name
        What the net and the bundle call it.
    kind
        Key of `TASKS`; the name itself if None.
    head, loss
        Key of `models.network.HEADS` and of `LOSSES` instead of those of the kind.
    needs
        Tasks whose logits the head takes.
    rewrite
        Whether the head is taught rewritten rhythm labels; its answers are of the vocabulary.

    Raises
    ------
    BadRequest
        If there is no such task, or it needs classes and has none.
    """
    kind = kind or name
    if kind not in TASKS:
        raise BadRequest(f"no task {kind!r}; known: {', '.join(TASKS)}")
    task = TASKS[kind]
    if task.resolution == "window":
        classes = task.vocabulary or vocabulary
        if not classes:
            raise BadRequest(f"the task {name} needs classes: its recipe names none")
        return replace(task, name=name, vocabulary=classes)
    if task.resolution != "record":
        return task if name == kind else replace(task, name=name)
    if not vocabulary:
        raise BadRequest(f"the task {name} needs classes: its recipe names no code systems")
    if rewrite:
        task = replace(
            task,
            taught=rewritten(vocabulary),
            target=rewritten_target,
            deciding=partial(restore_logits, vocabulary=vocabulary),
        )
    return replace(
        task,
        name=name,
        vocabulary=vocabulary,
        parts=len(task.taught or vocabulary),
        head=head or task.head,
        needs=needs,
        whole=head == "perceiver",
        loss=LOSSES[loss](vocabulary) if loss else task.loss,
        deciding=challenge_head if head == "challenge" else task.deciding,
        score=partial(score_diagnoses, task=name),
        monitor=f"{name}.macro.auroc",
    )


def is_labelled(reference: Annotated, task: Task) -> bool:
    """Return whether a record says what the task asks, so that it can be scored."""
    if task.resolution == "record":
        return any(system in reference.labels for system in task.vocabulary.systems)
    return (task.annotation or task.name) in reference.annotated


def aim_of(task: Task) -> Aim:
    """Return what a batch needs of the task."""
    return Aim(task.target, task.classes, task.moves_with_lead, task.stretches)
