"""What is watched and fitted on the records that a training holds out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fascicle.bundle import Bundle
from fascicle.data.batch import Group, encode_covariates
from fascicle.data.pack import Entry, Pack
from fascicle.decode.calibration import apply_temperature, fit_temperatures
from fascicle.decode.challenge import (
    fit_challenge_threshold,
    fit_challenge_thresholds,
    record_weights,
)
from fascicle.decode.thresholds import fit_global_threshold, fit_thresholds
from fascicle.labels import SINUS_RHYTHM, SNOMED
from fascicle.metrics.calibration import brier, calibration_error
from fascicle.metrics.classification import auprc
from fascicle.models.network import Network
from fascicle.predict import Prepared, outcome, predict_many
from fascicle.recipe import DecisionRecipe
from fascicle.record import LEADS
from fascicle.tasks import Outcome, Task, is_labelled, rewards_of
from fascicle.train.windows import watch_windows

Held = list[Group]
"""What a training holds out: groups with the entries that validate."""
READ_AT_ONCE = 32
"""Records in memory at once while many are predicted."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a task of whole records says of the held-out records: (record, class) each."""

    keys: tuple[str, ...]
    labels: NDArray[np.bool_]
    known: NDArray[np.bool_]
    probabilities: NDArray[np.float64]


def read_entry(pack: Pack, entry: Entry, leads: tuple[str, ...] = LEADS) -> Prepared:
    """Return a whole packed record as the net sees it."""
    signal = np.zeros((len(LEADS), entry.samples), dtype=np.float32)
    pack.window(entry, 0, entry.samples, signal)
    present = np.isin(LEADS, entry.leads) & np.isin(LEADS, leads)
    signal[~present] = 0
    covariates = encode_covariates(entry.age, entry.sex, entry.rate_hz)
    return Prepared(signal, present, covariates)


def find_all(
    network: Network, tasks: Mapping[str, Task], group: Group, bundle: Bundle
) -> list[Outcome]:
    """Return the outcome of each packed record."""
    found = []
    for first in range(0, len(group.entries), READ_AT_ONCE):
        entries = group.entries[first : first + READ_AT_ONCE]
        records = [read_entry(group.pack, entry, group.leads) for entry in entries]
        made = predict_many(network, tasks, records, bundle)
        found += [
            outcome(prepared, arrays, bundle, tasks)
            for prepared, arrays in zip(records, made, strict=True)
        ]
    return found


def watch(
    network: Network, tasks: Mapping[str, Task], held: Held, bundle: Bundle
) -> dict[str, float]:
    """Return each task's monitor on the held-out records, and their mean as "monitor"."""
    around_beats = {name: task for name, task in tasks.items() if task.resolution == "window"}
    parts = [group for group in held if group.windows]
    scores = watch_windows(network, around_beats, parts, bundle.recipe.window)
    monitors = {key: value for key, value in scores.items() if "macro" in key}
    for group in (group for group in held if group.windows is None):
        found = find_all(network, tasks, group, bundle)
        for task in (tasks[name] for name in group.tasks):
            rows = [row for row, entry in enumerate(group.entries) if is_labelled(entry, task)]
            if not rows:
                continue
            known, seen = [group.entries[row] for row in rows], [found[row] for row in rows]
            value = task.score(known, seen, task.vocabulary, None).get(task.monitor)
            if value is not None and np.isfinite(value):
                monitors[f"{group.source}.{task.monitor}"] = value
    if not monitors:
        return {}
    return {**scores, **monitors, "monitor": float(np.mean(list(monitors.values())))}


def class_scores(
    network: Network, tasks: Mapping[str, Task], held: Held, bundle: Bundle
) -> dict[str, NDArray[np.float64]]:
    """Return the AUPRC of each class, NaN where it cannot be told, of tasks of whole records."""
    found = {}
    for name, task in tasks.items():
        answers = _answers(network, tasks, name, held, bundle)
        if task.resolution == "record" and answers is not None:
            found[name] = auprc(answers.labels, answers.probabilities, answers.known)
    return found


def calibrate(bundle: Bundle, network: Network, held: Held) -> Bundle:
    """Return the bundle with temperatures and thresholds fitted on the held-out records."""
    tasks, set_by_hand = bundle.tasks(), bundle.recipe.decision.threshold
    for name, task in tasks.items():
        if task.resolution == "record":
            answers = _answers(network, tasks, name, held, bundle)
            if answers is not None:
                bundle = _calibrated(bundle, task, answers)
            if set_by_hand is not None:
                every = {**bundle.thresholds, name: (set_by_hand,) * len(task.vocabulary)}
                bundle = replace(bundle, thresholds=every)
    return bundle


def _answers(
    network: Network, tasks: Mapping[str, Task], name: str, held: Held, bundle: Bundle
) -> Answers | None:
    """Return what is known and what is said of all held-out records of a task, None if none."""
    rows: list[tuple[Entry, Outcome]] = []
    for group in held:
        if name in group.tasks:
            found = find_all(network, {name: tasks[name]}, group, bundle)
            rows += zip(group.entries, found, strict=True)
    if not rows:
        return None
    encoded = [tasks[name].vocabulary.encode(entry.labels) for entry, _ in rows]
    return Answers(
        keys=tuple(entry.key for entry, _ in rows),
        labels=np.stack([target > 0 for target, _ in encoded]),
        known=np.stack([mask for _, mask in encoded]),
        probabilities=np.stack([o.answers[name].probabilities for _, o in rows]).astype(np.float64),
    )


def _calibrated(bundle: Bundle, task: Task, found: Answers) -> Bundle:
    labels, known, before = found.labels, found.known, found.probabilities
    clipped = np.clip(before, 1e-7, 1 - 1e-7)
    logits = np.log(clipped / (1 - clipped))
    temperatures = fit_temperatures(labels, logits, known)
    after = apply_temperature(logits, temperatures).astype(np.float64)
    thresholds = _thresholds(bundle, task, replace(found, probabilities=after))
    calibration: dict[str, Any] = {
        "records": len(labels),
        "brier_before": float(np.nanmean(brier(labels, before, known))),
        "brier_after": float(np.nanmean(brier(labels, after, known))),
        "calibration_error_before": float(np.nanmean(calibration_error(labels, before, known))),
        "calibration_error_after": float(np.nanmean(calibration_error(labels, after, known))),
    }
    key = "calibration" if task.name == "diagnosis" else f"calibration of {task.name}"
    return replace(
        bundle,
        temperatures={**bundle.temperatures, task.name: tuple(map(float, temperatures))},
        thresholds={**bundle.thresholds, task.name: tuple(map(float, thresholds))},
        card={**bundle.card, key: calibration},
    )


def _thresholds(bundle: Bundle, task: Task, found: Answers) -> NDArray[np.float64]:
    """Return the thresholds (class,) that the recipe's decision rule fits."""
    rule, alike = bundle.recipe.decision, rule_weights(bundle.recipe.decision, found.keys)
    labels, known, scores = found.labels, found.known, found.probabilities
    classes = labels.shape[1]
    if rule.metric != "challenge":
        if rule.scope == "class":
            return fit_thresholds(labels, scores, known, rule.metric, alike)
        return np.full(classes, fit_global_threshold(labels, scores, known, rule.metric, alike))
    rewards = rewards_of(task.vocabulary).double().numpy()
    normal = task.vocabulary.index(SNOMED, SINUS_RHYTHM)
    common = fit_challenge_threshold(labels, scores, rewards, normal, alike)
    if rule.scope == "global":
        return np.full(classes, common)
    return fit_challenge_thresholds(labels, scores, rewards, normal, alike, start=common)


def rule_weights(rule: DecisionRecipe, keys: Sequence[str]) -> NDArray[np.float64]:
    """Return how often each record counts, (record,), by the beginning of its key."""
    if rule.weights is None:
        return record_weights(keys)
    return np.array(
        [next((w for s, w in rule.weights.items() if key.startswith(s)), 1.0) for key in keys]
    )


def follow(bundle: Bundle, like: Bundle) -> Bundle:
    """Return the bundle with the calibration of a development run, whose card it names."""
    told = {key: like.card.get(key, []) for key in ("trained_on", "validated_on", "scores")}
    fit = {"calibration": like.card["calibration"]} if "calibration" in like.card else {}
    development = {"weights_sha256": like.weights_sha256, **told}
    card = {**bundle.card, **fit, "development": development}
    return replace(bundle, temperatures=like.temperatures, thresholds=like.thresholds, card=card)
