"""A new class from few records: one row of a last layer, over embeddings that stay as they are.

Two ways make a direction: logistic regression with a penalty, and prototypes, which are class means
(Snell et al. 2017: the squared distances to two means differ by 2 (m1 - m0) . x and a constant),
here under a within-class covariance that is shrunk to its own mean variance (1 is Snell's own).
Which one, how strong the penalty, scale, offset and threshold are all chosen on held-out patients.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from fascicle.decode.thresholds import fit_thresholds
from fascicle.errors import BadData, BadRequest

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Method = Literal["logistic", "prototype"]
METHODS = ("auto", *get_args(Method))
FEWEST, FEWEST_PATIENTS = 5, 3
"""Records, and patients, that each side needs: choosing inside a cross-validation takes three."""
MOST_FOLDS = 5
PENALTIES = (1e4, 1e3, 1e2, 1e1, 1.0)
SHRINKAGES = (1.0, 0.5, 0.2, 0.05)
FAINTEST = 1e-6
FAINT = 0.01
"""Least share of the mean deviation by which a feature is divided: one that hardly moves says
nothing, and would need weights that 16 bits do not hold."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to make a direction: penalty on half the squared weights, or shrinkage 0 .. 1."""

    method: Method
    strength: float


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a last layer: weight (embedding,) and bias, already as they are stored."""

    weight: Floats
    bias: float

    def logits(self, embeddings: NDArray[np.floating]) -> Floats:
        """Return (record,) from (record, embedding)."""
        return np.asarray(embeddings.astype(np.float64) @ self.weight + self.bias)


@dataclass(frozen=True, slots=True)
class Choice:
    """A row with its threshold, how it was made, and the log loss of each candidate out of fold."""

    row: Row
    threshold: float
    candidate: Candidate
    losses: dict[Candidate, float]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What held-out patients got: logits and decisions (record, repeat)."""

    logits: Floats
    decisions: Bools


def candidates_of(method: str) -> tuple[Candidate, ...]:
    """Return what a method chooses from; "auto" is both. Raises BadRequest for another."""
    if method not in METHODS:
        raise BadRequest(f"no method {method!r}; known: {', '.join(METHODS)}")
    logistic = tuple(Candidate("logistic", strength) for strength in PENALTIES)
    prototype = tuple(Candidate("prototype", strength) for strength in SHRINKAGES)
    return {"logistic": logistic, "prototype": prototype, "auto": logistic + prototype}[method]


def check_enough(labels: Bools, patients: Sequence[Hashable]) -> None:
    """Refuse too few positives or negatives, or too few patients behind them (BadData)."""
    positive = {who for who, holds in zip(patients, labels, strict=True) if holds}
    negative = {who for who, holds in zip(patients, labels, strict=True) if not holds} - positive
    for what, records, people in (
        ("positive", int(labels.sum()), len(positive)),
        ("negative", int((~labels).sum()), len(negative)),
    ):
        if records < FEWEST or people < FEWEST_PATIENTS:
            raise BadData(
                f"at least {FEWEST} {what} records of {FEWEST_PATIENTS} patients expected, found "
                f"{records} of {people}"
            )


def choose(
    embeddings: Floats,
    labels: Bools,
    patients: Sequence[Hashable],
    candidates: Sequence[Candidate],
    rng: np.random.Generator,
    stored: type[np.floating] = np.float32,
) -> Choice:
    """Return the row with the least log loss on held-out patients.

    Parameters
    ----------
    embeddings, labels, patients
        (record, embedding), (record,), (record,): `check_enough` has let them pass, or they are
        the larger part of such.
    candidates
        Of `candidates_of`.
    rng
        Deals patients to folds.
    stored
        Kind of number in which weights are kept; the row holds no other.
    """
    held_out = np.zeros((len(candidates), len(labels)))
    for test in deal(labels, patients, rng):
        weights, biases = directions(embeddings[~test], labels[~test], candidates)
        held_out[:, test] = weights @ embeddings[test].T + biases[:, np.newaxis]
    fits = [calibrate(scores, labels) for scores in held_out]
    logits = [
        slope * scores + offset for (slope, offset), scores in zip(fits, held_out, strict=True)
    ]
    losses = [float(np.logaddexp(0, np.where(labels, -made, made)).mean()) for made in logits]
    best = int(np.argmin(losses))
    (weight,), (bias,) = directions(embeddings, labels, candidates[best : best + 1])
    slope, offset = fits[best]
    threshold = fit_thresholds(labels[:, np.newaxis], expit(logits[best])[:, np.newaxis])[0]
    return Choice(
        Row(_as_stored(slope * weight, stored), float(_as_stored(slope * bias + offset, stored))),
        float(threshold),
        candidates[best],
        dict(zip(candidates, losses, strict=True)),
    )


def cross_validate(
    embeddings: Floats,
    labels: Bools,
    patients: Sequence[Hashable],
    candidates: Sequence[Candidate],
    rng: np.random.Generator,
    stored: type[np.floating] = np.float32,
    *,
    repeats: int = 3,
    progress: Callable[[Sequence[Bools]], Iterable[Bools]] = iter,
) -> HeldOut:
    """Return what each record gets from rows that were chosen, whole, without its patient.

    Parameters as `choose`; `progress` wraps the folds of all repeats.
    """
    folds = [fold for _ in range(repeats) for fold in deal(labels, patients, rng)]
    per_repeat = len(folds) // repeats
    logits = np.zeros((len(labels), repeats))
    decisions = np.zeros((len(labels), repeats), dtype=np.bool_)
    for number, test in enumerate(progress(folds)):
        others = [who for who, out in zip(patients, test, strict=True) if not out]
        made = choose(embeddings[~test], labels[~test], others, candidates, rng, stored)
        found = made.row.logits(embeddings[test])
        logits[test, number // per_repeat] = found
        decisions[test, number // per_repeat] = expit(found) >= made.threshold
    return HeldOut(logits, decisions)


def deal(labels: Bools, patients: Sequence[Hashable], rng: np.random.Generator) -> list[Bools]:
    """Return up to five folds (record,) bool: no patient is in two, positive patients in each."""
    positive = {who for who, holds in zip(patients, labels, strict=True) if holds}
    people = list(dict.fromkeys(patients))  # in the order of the records: sets have none
    order = [people[place] for place in rng.permutation(len(people))]
    order.sort(key=lambda who: who not in positive)
    count = min(MOST_FOLDS, len(positive))
    fold = {who: place % count for place, who in enumerate(order)}
    member = np.array([fold[who] for who in patients])
    return [member == number for number in range(count)]


def directions(
    embeddings: Floats, labels: Bools, candidates: Sequence[Candidate]
) -> tuple[Floats, Floats]:
    """Return weights (candidate, embedding) and biases (candidate,) on the embeddings' scale."""
    centre = embeddings.mean(axis=0)
    scale = embeddings.std(axis=0)
    scale = np.maximum(scale, max(FAINT * scale.mean(), FAINTEST))
    standard = (embeddings - centre) / scale
    shares = [candidate.strength for candidate in candidates if candidate.method == "prototype"]
    found = dict(zip(shares, _prototypes(standard, labels, shares), strict=True)) if shares else {}
    rows = [
        found[candidate.strength]
        if candidate.method == "prototype"
        else _logistic(standard, labels, candidate.strength)
        for candidate in candidates
    ]
    weights = np.stack([weight for weight, _ in rows]) / scale
    return weights, np.array([bias for _, bias in rows]) - weights @ centre


def _logistic(standard: Floats, labels: Bools, penalty: float) -> tuple[Floats, float]:
    fitted = LogisticRegression(C=1 / penalty, max_iter=1000).fit(standard, labels)
    return fitted.coef_[0], float(fitted.intercept_[0])


def _prototypes(
    standard: Floats, labels: Bools, shrinkages: Sequence[float]
) -> list[tuple[Floats, float]]:
    """Return weight and bias of each shrinkage; the covariance is taken apart once."""
    means = np.stack([standard[~labels].mean(axis=0), standard[labels].mean(axis=0)])
    within = standard - means[labels.astype(np.intp)]
    variances, axes = np.linalg.eigh(within.T @ within / len(within))
    apart, typical = (means[1] - means[0]) @ axes, max(variances.mean(), FAINTEST)
    shrunk = [(1 - share) * variances + share * typical for share in shrinkages]
    weights = [axes @ (apart / spread) for spread in shrunk]
    return [(weight, float(-weight @ means.mean(axis=0))) for weight in weights]


def calibrate(scores: Floats, labels: Bools) -> tuple[float, float]:
    """Return slope and offset that make logits of scores (record,).

    Platt 1999: a logistic regression on the one score, with targets drawn in by one imagined record
    of each kind, so that it stays finite when the scores part the classes. The slope is not
    negative: scores that mislead on held-out patients are worth nothing.
    """
    spread = float(scores.std())
    positives, negatives = int(labels.sum()), int((~labels).sum())
    base = float(np.log((positives + 1) / (negatives + 1)))
    if spread < FAINTEST:
        return 0.0, base
    target = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    twice = np.concatenate([scores, scores])[:, np.newaxis] / spread
    holds = np.repeat([True, False], len(scores))
    weights = np.concatenate([target, 1 - target])
    fitted = LogisticRegression(C=1e6, max_iter=1000).fit(twice, holds, sample_weight=weights)
    slope = float(fitted.coef_[0, 0]) / spread
    return (slope, float(fitted.intercept_[0])) if slope > 0 else (0.0, base)


def _as_stored(values: Floats | float, stored: type[np.floating]) -> Floats:
    return np.asarray(values).astype(stored).astype(np.float64)
