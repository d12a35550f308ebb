"""What benchmarks of the diagnoses share: both views' logits, AUROC with patients drawn anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fascicle.bundle import VIEWED
from fascicle.metrics.classification import scorable, weighted_auroc
from fascicle.passing import record_logits
from fascicle.predict import Model, choose_leads
from fascicle.record import Record
from fascicle.second_view import joined, peaks_of, second_answer
from fascicle.signal.quality import assess

BUNDLE = Path(__file__).resolve().parent / "development" / "bundle.safetensors"
VIEWS = ("net", "typical beat", "both")
RESAMPLES = 1000
Floats = NDArray[np.float64]


def answers(model: Model, record: Record, leads: str) -> Floats:
    """Return the logits (view, class) of one record."""
    bundle, network, tasks = model.bundle, model.network, model.tasks
    view, rate_hz = bundle.typical(), bundle.recipe.preprocessing.rate_hz
    assert view is not None
    record = choose_leads(record, leads)
    prepared = model.prepare(record, assess(record))
    made = record_logits(network, {VIEWED: tasks[VIEWED]}, prepared, rate_hz)
    own = tasks[VIEWED].deciding(made[VIEWED])
    second = second_answer(view, prepared, peaks_of(made, prepared, rate_hz), rate_hz)
    alone = np.zeros_like(own) if second is None else second
    return np.stack([own, alone, joined(own, second)]).astype(np.float64)


def drawn(patients: Sequence[str]) -> Floats:
    """Return how often each record counts (record, 1 + draw): once, then in draws of patients."""
    names = sorted(set(patients))
    place = np.array([names.index(name) for name in patients])
    rng = np.random.default_rng(0)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    return np.concatenate([np.ones((len(place), 1)), counts.T[place]], axis=1)


def macro(
    logits: Floats,
    labels: NDArray[np.bool_],
    known: NDArray[np.bool_],
    classes: Sequence[int],
    draws: Floats,
) -> Floats:
    """Return the mean AUROC of these classes, (1 + draw,); one without positives is left out."""
    every = [
        weighted_auroc(labels[rows, column], logits[rows, column], draws[rows])
        for column in classes
        for rows in [known[:, column]]
    ]
    return np.asarray(np.nanmean(np.stack(every), axis=0))


def judged(
    systems: NDArray[np.str_], system: str, labels: NDArray[np.bool_], known: NDArray[np.bool_]
) -> list[int]:
    """Return the classes of a code system that have a positive and a negative among the known."""
    return np.flatnonzero((systems == system) & scorable(labels, known)).tolist()


def limits(values: Floats) -> list[float]:
    """Return the value and its 95 % limits over the draws."""
    low, high = np.nanquantile(values[1:], [0.025, 0.975])
    return [round(float(value), 4) for value in (values[0], low, high)]
