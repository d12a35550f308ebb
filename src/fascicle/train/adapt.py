"""A bundle learns a class from few records: its net stays, a row of a last layer is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fascicle.bundle import Bundle
from fascicle.labels import Term
from fascicle.predict import Model
from fascicle.train.added import ADDED, add_class, base_of, check_new, embedder, stored_kind
from fascicle.train.cases import Case, Progress, embed_all
from fascicle.train.expectation import doubts, expect
from fascicle.train.new_class import (
    Choice,
    candidates_of,
    check_enough,
    choose,
    cross_validate,
)


@dataclass(frozen=True, slots=True)
class Taught:
    """Where the records come from, as a card's "trained_on" tells it: a list has no sets."""

    source: str
    folds: tuple[int, ...] | None
    sets: tuple[str, ...]


def adapt(
    bundle: Bundle,
    term: Term,
    cases: Sequence[Case],
    taught: Taught,
    method: str = "auto",
    *,
    seen: bool | None = None,
    seed: int = 0,
    resamples: int = 1000,
    progress: Progress = lambda items, _: items,
) -> Bundle:
    """Return the bundle with the class; the last entry of its card's "added" tells the rest.

    Parameters
    ----------
    cases
        Positives, and negatives: records of which it is known that the class does not hold.
    taught
        Where these come from; it joins the card's "trained_on".
    method
        "logistic", "prototype", or "auto": of both, what has the least log loss out of fold.
    seen
        Whether some of these records taught the net; None where that is not known.
    seed, resamples
        Of folds and intervals; draws behind each interval.
    progress
        Wraps what is gone through, with its title.

    Raises
    ------
    BadBundle, BadRequest
        If the bundle cannot learn, or has the class; if there is no such method.
    BadData, BadFile
        If there are too few records or patients, or records cannot be read.
    """
    check_new(bundle, term)
    candidates = candidates_of(method)
    labels = np.array([case.holds for case in cases], dtype=np.bool_)
    patients = [case.patient for case in cases]
    check_enough(labels, patients)
    embeddings = embed_all(Model(bundle), embedder(bundle), cases, progress)
    rng, stored = np.random.default_rng(seed), stored_kind(bundle)
    choice = choose(embeddings, labels, patients, candidates, rng, stored)
    held_out = cross_validate(
        embeddings,
        labels,
        patients,
        candidates,
        rng,
        stored,
        progress=lambda folds: progress(folds, "cross-validation"),
    )
    expected = expect(labels, held_out, patients, resamples=resamples, seed=seed)
    positive = {who for who, holds in zip(patients, labels, strict=True) if holds}
    entry = {
        "code": term.code,
        "system": term.system,
        "name": term.name,
        "embedding_of": base_of(bundle),
        **_made(choice),
        "records": len(cases),
        "positives": int(labels.sum()),
        "patients": len(set(patients)),
        "positive_patients": len(positive),
        "seen_in_training": seen,
        "seed": seed,
        "expected": {key: round(value, 4) for key, value in expected.items()},
        "doubts": doubts(expected, int(labels.sum()), len(positive), seen=seen),
        "parent_weights_sha256": bundle.weights_sha256,
    }
    grown = add_class(bundle, term, choice.row, choice.threshold, entry)
    part = {
        "source": taught.source,
        "folds": taught.folds and list(taught.folds),
        "records": len(cases),
        "sets": list(taught.sets),
        "tasks": [ADDED],
    }
    trained_on = [*bundle.card.get("trained_on", []), part]
    return replace(grown, card={**grown.card, "trained_on": trained_on})


def _made(choice: Choice) -> dict[str, Any]:
    """Return how the row was made, and the least log loss of each method that was tried."""
    best: dict[str, float] = {}
    for candidate, loss in choice.losses.items():
        best[candidate.method] = min(loss, best.get(candidate.method, np.inf))
    strength = {"logistic": "penalty", "prototype": "shrinkage"}[choice.candidate.method]
    return {
        "method": choice.candidate.method,
        strength: choice.candidate.strength,
        "log_loss": {made: round(loss, 6) for made, loss in best.items()},
        "threshold": choice.threshold,
    }
