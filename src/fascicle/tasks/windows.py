"""Questions about windows around known beats, and how several heads' answers become one.

The parameter-sharing paper splits one question over heads: two that saw different mixtures of
normal and abnormal beats, one per patient, or one per arrhythmia.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fascicle.data.beat_windows import ANOMALY, ARRHYTHMIAS, OTHER
from fascicle.errors import BadRequest
from fascicle.labels import Term, Vocabulary
from fascicle.tasks.scores import Annotated, Outcome, Resampling

Array = NDArray[np.float32]
SYSTEM = "fascicle beat window"


def anomaly_classes() -> Vocabulary:
    """Return normal and abnormal, in this order."""
    return Vocabulary(tuple(Term(SYSTEM, name, f"{name} beat") for name in ANOMALY))


def arrhythmia_classes(chosen: Sequence[str]) -> Vocabulary:
    """Return these arrhythmias in their fixed order; one alone is asked against all "other".

    Raises
    ------
    BadRequest
        If none is chosen, or one that is not among `ARRHYTHMIAS`.
    """
    strangers = set(chosen) - set(ARRHYTHMIAS)
    if strangers or not chosen:
        raise BadRequest(
            f"a task of kind arrhythmia needs classes of {', '.join(ARRHYTHMIAS)}; found "
            f"{', '.join(sorted(strangers)) or 'none'}"
        )
    names = [name for name in ARRHYTHMIAS if name in chosen]
    return Vocabulary(tuple(Term(SYSTEM, n, n) for n in (*names, *[OTHER][: len(names) == 1])))


def timing_values() -> Vocabulary:
    """Return what the timing task answers with: two numbers, no classes."""
    return Vocabulary(tuple(Term(SYSTEM, n, f"interval {n} the beat") for n in ("before", "after")))


def as_is(values: Array) -> Array:
    """Return the numbers that a head gives."""
    return values


def class_softmax(logits: Array) -> Array:
    """Return the softmax over the classes of (..., class)."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.float32)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)


def no_score(
    references: Sequence[Annotated],
    outcomes: Sequence[Outcome],
    vocabulary: Vocabulary,
    resampling: Resampling | None,
) -> dict[str, float]:
    """Refuse: such a task is asked of windows around known beats, not of records (BadRequest)."""
    del references, outcomes, resampling
    raise BadRequest(
        f"{' or '.join(term.code for term in vocabulary.terms)} is asked of windows around known "
        "beats, not of whole records; benchmarks/parameter-sharing scores it"
    )


def join_answers(
    answers: Mapping[str, Array], vocabularies: Mapping[str, Vocabulary]
) -> tuple[tuple[str, ...], Array]:
    """Return the classes and (window, class): heads of one question are averaged.

    Several questions "this arrhythmia or other" become one: a class's column is the probability
    that its own head gives it, and the largest decides.

    Parameters
    ----------
    answers
        Task -> probabilities (window, class).
    vocabularies
        Task -> its classes.

    Raises
    ------
    BadRequest
        If the questions do not go together.
    """
    questions: dict[tuple[str, ...], list[Array]] = {}
    for name, found in answers.items():
        codes = tuple(term.code for term in vocabularies[name].terms)
        questions.setdefault(codes, []).append(found)
    means = {codes: np.stack(found).mean(axis=0) for codes, found in questions.items()}
    if len(means) == 1:
        return next(iter(means.items()))
    if any(len(codes) != 2 or codes[1] != OTHER for codes in means):
        shown = "; ".join(", ".join(codes) for codes in means)
        raise BadRequest(f"these questions have no common answer: {shown}")
    return tuple(codes[0] for codes in means), np.stack([m[:, 0] for m in means.values()], axis=1)


def recalls(labels: NDArray[np.int64], probabilities: Array) -> NDArray[np.float64]:
    """Return the recall of each class, (class,), NaN without a window of it.

    Their mean is the accuracy that is expected on a test in which all classes are equally many.
    """
    chosen = probabilities.argmax(axis=1)
    found = [
        float((chosen[labels == k] == k).mean()) if (labels == k).any() else np.nan
        for k in range(probabilities.shape[1])
    ]
    return np.array(found, dtype=np.float64)
