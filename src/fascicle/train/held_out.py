"""What is watched and fitted on the records that a training holds out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from fascicle.bundle import Bundle
from fascicle.data.batch import encode_covariates
from fascicle.data.pack import Entry, Pack
from fascicle.decode.calibration import apply_temperature, fit_temperatures
from fascicle.decode.thresholds import fit_thresholds
from fascicle.metrics.calibration import brier, calibration_error
from fascicle.models.network import Network
from fascicle.predict import Prepared, outcome, predict
from fascicle.recipe import GroupRecipe
from fascicle.record import LEADS
from fascicle.tasks import Outcome, Task, is_labelled

Held = list[tuple[GroupRecipe, Pack, tuple[Entry, ...]]]
"""Group of the recipe, its pack, and the entries that are held out."""


def read_entry(pack: Pack, entry: Entry) -> Prepared:
    """Return a whole packed record as the net sees it."""
    signal = np.zeros((len(LEADS), entry.samples), dtype=np.float32)
    pack.window(entry, 0, entry.samples, signal)
    return Prepared(signal, np.isin(LEADS, entry.leads), encode_covariates(entry.age, entry.sex))


def find_all(
    network: Network,
    tasks: Mapping[str, Task],
    pack: Pack,
    entries: Iterable[Entry],
    bundle: Bundle,
) -> list[Outcome]:
    """Return the outcome of each packed record."""
    found = []
    for entry in entries:
        prepared = read_entry(pack, entry)
        found.append(outcome(prepared, predict(network, tasks, prepared, bundle), bundle))
    return found


def watch(
    network: Network, tasks: Mapping[str, Task], held: Held, bundle: Bundle
) -> dict[str, float]:
    """Return each task's monitor on the held-out records, and their mean as "monitor"."""
    scores: dict[str, float] = {}
    for settings, pack, entries in held:
        wanted = {name: tasks[name] for name in settings.tasks}
        found = find_all(network, tasks, pack, entries, bundle)
        for task in wanted.values():
            rows = [row for row, entry in enumerate(entries) if is_labelled(entry, task)]
            if not rows:
                continue
            known, seen = [entries[row] for row in rows], [found[row] for row in rows]
            value = task.score(known, seen, task.vocabulary, None).get(task.monitor)
            if value is not None and np.isfinite(value):
                scores[f"{settings.source}.{task.monitor}"] = value
    return {**scores, "monitor": float(np.mean(list(scores.values())))} if scores else {}


def calibrate(bundle: Bundle, network: Network, held: Held) -> Bundle:
    """Return the bundle with temperatures and thresholds fitted on the held-out records."""
    tasks = bundle.tasks()
    if "diagnosis" not in tasks:
        return bundle
    vocabulary = tasks["diagnosis"].vocabulary
    rows = [
        (entry, found)
        for settings, pack, entries in held
        if "diagnosis" in settings.tasks
        for entry, found in zip(
            entries, find_all(network, tasks, pack, entries, bundle), strict=True
        )
    ]
    if not rows:
        return bundle
    encoded = [vocabulary.encode(entry.labels) for entry, _ in rows]
    labels = np.stack([target > 0 for target, _ in encoded])
    known = np.stack([mask for _, mask in encoded])
    before = np.stack([found.probabilities for _, found in rows]).astype(np.float64)
    clipped = np.clip(before, 1e-7, 1 - 1e-7)
    logits = np.log(clipped / (1 - clipped))
    temperatures = fit_temperatures(labels, logits, known)
    after = apply_temperature(logits, temperatures).astype(np.float64)
    thresholds = fit_thresholds(labels, after, known)
    calibration = {
        "records": len(rows),
        "brier_before": float(np.nanmean(brier(labels, before, known))),
        "brier_after": float(np.nanmean(brier(labels, after, known))),
        "calibration_error_before": float(np.nanmean(calibration_error(labels, before, known))),
        "calibration_error_after": float(np.nanmean(calibration_error(labels, after, known))),
    }
    return replace(
        bundle,
        temperatures={**bundle.temperatures, "diagnosis": tuple(map(float, temperatures))},
        thresholds={**bundle.thresholds, "diagnosis": tuple(map(float, thresholds))},
        card={**bundle.card, "calibration": calibration},
    )


def follow(bundle: Bundle, like: Bundle) -> Bundle:
    """Return the bundle with the calibration of a development run, whose card it names."""
    told = {key: like.card.get(key, []) for key in ("trained_on", "validated_on", "scores")}
    fit = {"calibration": like.card["calibration"]} if "calibration" in like.card else {}
    development = {"weights_sha256": like.weights_sha256, **told}
    card = {**bundle.card, **fit, "development": development}
    return replace(bundle, temperatures=like.temperatures, thresholds=like.thresholds, card=card)
