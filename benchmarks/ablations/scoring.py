"""A trained net's answers on the test records, kept record by record, and the scores of them.

What is kept are counts of boundaries, overlaps, tables of beats, decisions, and the ranks of the
probabilities. Every score is computed from them and from a weight of each record: 1, or how often
a draw of patients has it. So intervals need no net.
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from fascicle.bundle import Bundle
from fascicle.data.batch import Group
from fascicle.data.pack import Entry
from fascicle.data.packing import pack_source
from fascicle.data.splits import choose
from fascicle.labels import SINUS_RHYTHM, SNOMED, challenge_classes, challenge_weights
from fascicle.metrics.beats import aami_scores, confusion, detection_scores, match_beats
from fascicle.metrics.classification import macro, weighted_auroc
from fascicle.metrics.counts import f1_score, ratio
from fascicle.metrics.waves import (
    annotated_span,
    boundary_counts,
    dice_counts,
    dice_scores,
    tally,
    tally_scores,
)
from fascicle.record import WAVE_KINDS, Wave
from fascicle.signal.chain import Preprocessing
from fascicle.tasks import Outcome
from fascicle.tasks.scores import DICE_RATE_HZ, TOLERANCES_S, WITHOUT_BEATS
from fascicle.train.held_out import find_all

FEWEST = 20
"""Training positives of a class that is in the means of AUROC and F1."""
SOURCES = {"waves": ("ludb", 0), "beats": ("mitdb", 2), "diagnosis": ("ptbxl", 9)}
"""Task -> source and fold of the records that test it."""
Doubles = NDArray[np.float64]
Kept = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Test:
    """Records that test a task; of diagnoses the labels (record, 26), and the classes in means."""

    task: str
    group: Group
    patients: tuple[str, ...]
    labels: NDArray[np.bool_]
    shown: NDArray[np.bool_]


def open_tests(
    data: Path, packs: Path, preprocessing: Preprocessing, taught: Sequence[int], fewest: int
) -> dict[str, Test]:
    """Return the test of each task; a class is shown that has so many positives in these folds."""
    found = {}
    for task, (source, fold) in SOURCES.items():
        pack = pack_source(source, data, packs, preprocessing)
        entries = choose(pack.entries, [fold])
        patients = tuple(entry.patient for entry in entries)
        positives = _labels(choose(pack.entries, taught)).sum(axis=0) >= fewest
        group = Group(pack, entries, (task,), 1)
        found[task] = Test(task, group, patients, _labels(entries), positives)
    return found


def _labels(entries: Sequence[Entry]) -> NDArray[np.bool_]:
    return np.stack([challenge_classes().encode(entry.labels)[0] > 0 for entry in entries])


def answer(bundle: Bundle, tests: Mapping[str, Test]) -> dict[str, dict[str, str]]:
    """Return task -> what is kept of each test record, as text; of the bundle's tasks."""
    network, tasks = bundle.network(), bundle.tasks()
    found = {}
    for name, test in tests.items():
        if name in tasks:
            outcomes = find_all(network, {name: tasks[name]}, test.group, bundle)
            kept = KEEP[name](test, outcomes, bundle)
            found[name] = {key: as_text(array) for key, array in kept.items()}
    return found


def keep_waves(test: Test, outcomes: Sequence[Outcome], bundle: Bundle) -> dict[str, Any]:
    """Return hits, false and missed boundaries (record, tolerance, 6, 3) and overlaps (.., 4, 3).

    All leads that the reference marks count together, as in `tasks.scores.score_waves`.
    """
    del bundle
    counts = np.zeros((len(outcomes), len(TOLERANCES_S), 6, 3), dtype=np.uint32)
    overlaps = np.zeros((len(outcomes), 4, 3), dtype=np.uint32)
    for row, (entry, outcome) in enumerate(zip(test.group.entries, outcomes, strict=True)):
        for lead in sorted({wave.lead for wave in entry.waves if wave.lead}):
            theirs = [wave for wave in entry.waves if wave.lead == lead]
            ours = [wave for wave in outcome.waves if wave.lead == lead]
            span = annotated_span(theirs)
            if span is None:
                continue
            for place, tolerance_s in enumerate(TOLERANCES_S):
                found = boundary_counts(theirs, ours, tolerance_s=tolerance_s, span=span)
                counts[row, place] += tally(found)[:, :3].astype(np.uint32)
            inside = np.arange(int(span[1] * DICE_RATE_HZ) + 1) >= span[0] * DICE_RATE_HZ
            drawn = [_drawn(waves, inside.size) for waves in (theirs, ours)]
            overlaps[row] += dice_counts(*drawn, inside).astype(np.uint32)
    return {"counts": counts, "overlaps": overlaps}


def _drawn(waves: Sequence[Wave], size: int) -> NDArray[np.int8]:
    """Return the wave at each sample, (sample,); a wave without a boundary has no extent."""
    labels = np.zeros(size, dtype=np.int8)
    for wave in waves:
        if wave.onset_s is not None and wave.offset_s is not None:
            first = max(round(wave.onset_s * DICE_RATE_HZ), 0)
            last = round(wave.offset_s * DICE_RATE_HZ)
            labels[first : last + 1] = 1 + WAVE_KINDS.index(wave.kind)
    return labels


def keep_beats(test: Test, outcomes: Sequence[Outcome], bundle: Bundle) -> dict[str, Any]:
    """Return the table of kinds of each record, (record, 6, 6), without ventricular flutter."""
    del bundle
    tables = []
    for entry, outcome in zip(test.group.entries, outcomes, strict=True):
        skip = [(r.start_s, r.end_s) for r in entry.rhythms if r.kind in WITHOUT_BEATS]
        ours = outcome.beats
        match = match_beats([b.time_s for b in entry.beats], [b.time_s for b in ours], skip=skip)
        tables.append(confusion([b.kind for b in entry.beats], [b.kind for b in ours], match))
    return {"tables": np.stack(tables).astype(np.uint32)}


def keep_diagnoses(test: Test, outcomes: Sequence[Outcome], bundle: Bundle) -> dict[str, Any]:
    """Return decisions (record, 26), and ranks of the probabilities of the shown classes.

    A class that the net lacks is never said, and all records have the same rank.
    """
    every = challenge_classes()
    places = [every.index(SNOMED, term.code) for term in bundle.vocabularies["diagnosis"].terms]
    values, outputs = np.zeros(test.labels.shape), np.zeros(test.labels.shape, dtype=bool)
    values[:, places] = [outcome.answers["diagnosis"].probabilities for outcome in outcomes]
    outputs[:, places] = [outcome.answers["diagnosis"].decisions for outcome in outcomes]
    ranks = rankdata(values[:, test.shown], axis=0, method="dense").astype(np.uint16)
    return {"outputs": outputs, "ranks": ranks}


KEEP: Mapping[str, Callable[[Test, Sequence[Outcome], Bundle], dict[str, Any]]] = {
    "waves": keep_waves,
    "beats": keep_beats,
    "diagnosis": keep_diagnoses,
}


def scores(test: Test, kept: Kept, weights: Doubles) -> dict[str, Doubles]:
    """Return the scores of a task, (draw,) each, from the weights of the records (draw, record)."""
    return SCORE[test.task](test, kept, weights)


def _score_waves(test: Test, kept: Kept, weights: Doubles) -> dict[str, Doubles]:
    del test
    sums = _weighted(weights, kept["counts"])
    padded = np.concatenate([sums, np.zeros((*sums.shape[:-1], 2))], axis=-1)
    found = {}
    for place, tolerance_s in enumerate(TOLERANCES_S):
        by_kind = tally_scores(padded[:, place])
        mean = np.mean([by_kind[f"{kind}.f1"] for kind in WAVE_KINDS], axis=0)
        found[f"waves.f1_{round(1000 * tolerance_s)}"] = mean
    overlaps = dice_scores(_weighted(weights, kept["overlaps"]))
    return {**found, "waves.dice": overlaps[..., 1:].mean(axis=-1)}


def _score_beats(test: Test, kept: Kept, weights: Doubles) -> dict[str, Doubles]:
    del test
    tables = _weighted(weights, kept["tables"])
    detection = detection_scores(tables)
    return {
        "beats.sensitivity": detection["sensitivity"],
        "beats.ppv": detection["ppv"],
        "beats.v_f1": aami_scores(tables)["V.f1"],
    }


def _score_diagnoses(test: Test, kept: Kept, weights: Doubles) -> dict[str, Doubles]:
    labels, outputs = test.labels, kept["outputs"]
    cells = (labels & outputs, ~labels & outputs, labels & ~outputs)
    tp, fp, fn = (_weighted(weights, cell[:, test.shown]) for cell in cells)
    ranked = np.stack(
        [
            weighted_auroc(flags, ranks.astype(np.float64), weights.T)
            for flags, ranks in zip(labels[:, test.shown].T, kept["ranks"].T, strict=True)
        ],
        axis=-1,
    )
    idle = np.zeros_like(labels)
    idle[:, challenge_classes().index(SNOMED, SINUS_RHYTHM)] = True
    ours, none, right = (weights @ earned(labels, said) for said in (outputs, idle, labels))
    return {
        "diagnosis.auroc": np.asarray(macro(ranked)),
        "diagnosis.f1": np.asarray(macro(f1_score(tp, fp, fn))),
        "diagnosis.challenge": ratio(ours - none, right - none),
    }


SCORE: Mapping[str, Callable[[Test, Kept, Doubles], dict[str, Doubles]]] = {
    "waves": _score_waves,
    "beats": _score_beats,
    "diagnosis": _score_diagnoses,
}


def _weighted(weights: Doubles, counts: NDArray[Any]) -> Doubles:
    """Return the sums (draw, ...) of what records add, (record, ...)."""
    flat = weights @ counts.reshape(len(counts), -1).astype(np.float64)
    return np.asarray(flat.reshape(len(weights), *counts.shape[1:]), dtype=np.float64)


def earned(labels: NDArray[np.bool_], outputs: NDArray[np.bool_]) -> Doubles:
    """Return what each record earns, (record,): y W x / max(1, classes in y or x)."""
    reward = ((labels @ challenge_weights()) * outputs).sum(axis=1)
    return np.asarray(reward / np.maximum((labels | outputs).sum(axis=1), 1), dtype=np.float64)


def as_text(array: NDArray[Any]) -> str:
    """Return an array as text of few characters."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return base64.b64encode(zlib.compress(file.getvalue(), 9)).decode()


def from_text(text: str) -> NDArray[Any]:
    """Return the array that `as_text` wrote."""
    file = io.BytesIO(zlib.decompress(base64.b64decode(text)))
    return np.asarray(np.load(file, allow_pickle=False))
