"""Scores of each task over records: a reference beside what was found in it.

Names are "task.measure"; with a `Resampling`, each has ".low" and ".high", the limits of its
95 % interval over patients.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fascicle.labels import Vocabulary, rhythm_kinds
from fascicle.metrics.beats import aami_scores, confusion, detection_scores, match_beats
from fascicle.metrics.bootstrap import ranking_intervals, sums_interval
from fascicle.metrics.classification import (
    auprc,
    auroc,
    count_scores,
    decision_counts,
    macro,
    scorable,
)
from fascicle.metrics.rhythm import rhythm_durations, rhythm_scores
from fascicle.metrics.waves import (
    annotated_span,
    boundary_counts,
    dice_counts,
    dice_scores,
    tally,
    tally_scores,
)
from fascicle.record import WAVE_KINDS, Beat, Rhythm, Wave

Floats = NDArray[np.float64]
TOLERANCES_S = (0.150, 0.040)
DICE_RATE_HZ = 500.0
WITHOUT_BEATS = frozenset({"VFL"})
"""Rhythms in which MIT-BIH marks no beats: EC57 leaves ventricular flutter out."""


class Annotated(Protocol):
    """What is known of a record: `Record` and the entry of a pack both are this."""

    @property
    def waves(self) -> tuple[Wave, ...]: ...  # noqa: D102
    @property
    def beats(self) -> tuple[Beat, ...]: ...  # noqa: D102
    @property
    def rhythms(self) -> tuple[Rhythm, ...]: ...  # noqa: D102
    @property
    def labels(self) -> Mapping[str, frozenset[str]]: ...  # noqa: D102
    @property
    def annotated(self) -> frozenset[str]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Answer:
    """What a task of whole records says of one: probabilities and decisions, (class,)."""

    probabilities: NDArray[np.float32]
    decisions: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found in a record; `answers` of each task of whole records."""

    waves: tuple[Wave, ...] = ()
    beats: tuple[Beat, ...] = ()
    rhythms: tuple[Rhythm, ...] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resampling:
    """How intervals are drawn: the patient of each record, draws, and the generator's seed."""

    groups: Sequence[Hashable]
    resamples: int = 1000
    seed: int = 0


def score_waves(
    references: Sequence[Annotated],
    outcomes: Sequence[Outcome],
    vocabulary: Vocabulary,
    resampling: Resampling | None = None,
) -> dict[str, float]:
    """Return F1, sensitivity, PPV and errors of each boundary at 150 and 40 ms, and Dice.

    All leads that the reference marks count together (the LUDB convention of docs/metrics.md).
    """
    del vocabulary
    sums = np.stack([_wave_sums(r, o) for r, o in zip(references, outcomes, strict=True)])
    return _with_limits("waves", _wave_measures, sums, resampling)


def _wave_sums(reference: Annotated, outcome: Outcome) -> Floats:
    """Return what one record adds: tallies at each tolerance, then Dice counts, flat."""
    boundaries = np.zeros((len(TOLERANCES_S), 6, 5))
    overlap = np.zeros((4, 3))
    for lead in sorted({wave.lead for wave in reference.waves if wave.lead}):
        theirs = [wave for wave in reference.waves if wave.lead == lead]
        ours = [wave for wave in outcome.waves if wave.lead == lead]
        span = annotated_span(theirs)
        for place, tolerance_s in enumerate(TOLERANCES_S):
            boundaries[place] += tally(
                boundary_counts(theirs, ours, tolerance_s=tolerance_s, span=span)
            )
        if span is not None:
            size = int(span[1] * DICE_RATE_HZ) + 1
            inside = np.arange(size) >= span[0] * DICE_RATE_HZ
            overlap += dice_counts(_rasterise(theirs, size), _rasterise(ours, size), inside)
    return np.concatenate([boundaries.ravel(), overlap.ravel()])


def _rasterise(waves: Sequence[Wave], size: int) -> NDArray[np.int8]:
    """Return the class of each sample, (sample,); a wave without a boundary has no extent."""
    labels = np.zeros(size, dtype=np.int8)
    for wave in waves:
        if wave.onset_s is not None and wave.offset_s is not None:
            first = max(round(wave.onset_s * DICE_RATE_HZ), 0)
            last = round(wave.offset_s * DICE_RATE_HZ)
            labels[first : last + 1] = 1 + WAVE_KINDS.index(wave.kind)
    return labels


def _wave_measures(sums: Floats) -> dict[str, Floats]:
    split = len(TOLERANCES_S) * 30
    tallies = sums[..., :split].reshape(*sums.shape[:-1], len(TOLERANCES_S), 6, 5)
    measures: dict[str, Floats] = {}
    for place, tolerance_s in enumerate(TOLERANCES_S):
        scores = tally_scores(tallies[..., place, :, :])
        suffix = f"_{round(1000 * tolerance_s)}"
        measures |= {f"{key}{suffix}": value for key, value in scores.items()}
        measures[f"f1{suffix}"] = np.mean([scores[f"{kind}.f1"] for kind in WAVE_KINDS], axis=0)
    overlaps = dice_scores(sums[..., split:].reshape(*sums.shape[:-1], 4, 3))
    for place, kind in enumerate(WAVE_KINDS):
        measures[f"{kind}.dice"] = overlaps[..., 1 + place]
    return measures


def score_beats(
    references: Sequence[Annotated],
    outcomes: Sequence[Outcome],
    vocabulary: Vocabulary,
    resampling: Resampling | None = None,
) -> dict[str, float]:
    """Return R-peak sensitivity, PPV and F1 within 150 ms, and AAMI scores, whole records.

    Ventricular flutter is not scored: its waves are no beats.
    """
    del vocabulary
    tables = [_beat_table(r, o.beats) for r, o in zip(references, outcomes, strict=True)]
    return _with_limits("beats", _beat_measures, np.stack(tables).astype(np.float64), resampling)


def _beat_table(reference: Annotated, estimate: Sequence[Beat]) -> NDArray[np.int64]:
    skip = [(r.start_s, r.end_s) for r in reference.rhythms if r.kind in WITHOUT_BEATS]
    beats = reference.beats
    match = match_beats([b.time_s for b in beats], [b.time_s for b in estimate], skip=skip)
    return confusion([b.kind for b in beats], [b.kind for b in estimate], match)


def _beat_measures(tables: Floats) -> dict[str, Floats]:
    return detection_scores(tables) | aami_scores(tables)


def score_rhythms(
    references: Sequence[Annotated],
    outcomes: Sequence[Outcome],
    vocabulary: Vocabulary,
    resampling: Resampling | None = None,
) -> dict[str, float]:
    """Return sensitivity, PPV and F1 of each kind of rhythm by duration; marks are MIT-BIH's.

    Time that no mark names, or one of ectopy alone, is not scored.
    """
    kinds, known = [term.code for term in vocabulary.terms], rhythm_kinds()
    tables = []
    for reference, outcome in zip(references, outcomes, strict=True):
        spans = [replace(span, kind=known.get(span.kind) or "") for span in reference.rhythms]
        tables.append(rhythm_durations(spans, outcome.rhythms, kinds))
    return _with_limits(
        "rhythm", lambda sums: rhythm_scores(sums, kinds), np.stack(tables), resampling
    )


def score_diagnoses(
    references: Sequence[Annotated],
    outcomes: Sequence[Outcome],
    vocabulary: Vocabulary,
    resampling: Resampling | None = None,
    *,
    task: str = "diagnosis",
) -> dict[str, float]:
    """Return AUROC, AUPRC and F1 of each class ("diagnosis.SCP-ECG.AFIB.auroc"), macro by system.

    A system's classes without a positive or without a negative leave its average;
    "diagnosis.SYSTEM.macro.classes" counts those that stay. "diagnosis.macro.auroc", what a
    training watches, is the mean over the systems that have such a class; it has no limits.
    """
    if len(references) != len(outcomes):
        raise ValueError(f"{len(references)} records but {len(outcomes)} outcomes")
    encoded = [vocabulary.encode(reference.labels) for reference in references]
    labels = np.stack([target > 0 for target, _ in encoded])
    known = np.stack([mask for _, mask in encoded])
    scores = np.stack([outcome.answers[task].probabilities for outcome in outcomes]).astype(
        np.float64
    )
    decisions = np.stack([outcome.answers[task].decisions for outcome in outcomes])
    named: dict[str, float] = {}
    for system in vocabulary.systems:
        places = [i for i, term in enumerate(vocabulary.terms) if term.system == system]
        rows = np.flatnonzero(known[:, places].any(axis=1))
        if rows.size:
            codes = [vocabulary.terms[i].code for i in places]
            part = np.ix_(rows, np.asarray(places))
            found = _rank(labels[part], scores[part], decisions[part], known[part], codes)
            if resampling is not None:
                groups = [resampling.groups[row] for row in rows.tolist()]
                drawn = replace(resampling, groups=groups)
                found |= _rank_limits(labels[part], scores[part], known[part], codes, drawn)
                found |= _f1_limits(labels[part], decisions[part], known[part], codes, drawn)
            named |= {f"{task}.{system}.{key}": value for key, value in found.items()}
    averages = [
        named[f"{task}.{system}.macro.auroc"]
        for system in vocabulary.systems
        if named.get(f"{task}.{system}.macro.classes")
    ]
    if averages:
        named[f"{task}.macro.auroc"] = float(np.mean(averages))
    return named


def _rank(
    labels: NDArray[np.bool_],
    scores: Floats,
    decisions: NDArray[np.bool_],
    known: NDArray[np.bool_],
    codes: Sequence[str],
) -> dict[str, float]:
    counts = count_scores(decision_counts(labels, decisions, known))
    measures = {
        "auroc": auroc(labels, scores, known),
        "auprc": auprc(labels, scores, known),
        "f1": counts["f1"],
    }
    found: dict[str, float] = {}
    for measure, values in measures.items():
        found[f"macro.{measure}"] = float(macro(values))
        found |= {f"{code}.{measure}": float(v) for code, v in zip(codes, values, strict=True)}
    found["macro.classes"] = float(scorable(labels, known).sum())
    positives = (labels & known).sum(axis=0)
    return found | {f"{c}.positives": float(n) for c, n in zip(codes, positives, strict=True)}


def _rank_limits(
    labels: NDArray[np.bool_],
    scores: Floats,
    known: NDArray[np.bool_],
    codes: Sequence[str],
    resampling: Resampling,
) -> dict[str, float]:
    found: dict[str, float] = {}
    for measure in ("auroc", "auprc"):
        limits = ranking_intervals(
            measure,
            labels,
            scores,
            resampling.groups,
            known=known,
            resamples=resampling.resamples,
            rng=np.random.default_rng(resampling.seed),
        )
        found[f"macro.{measure}.low"] = float(limits.macro_low)
        found[f"macro.{measure}.high"] = float(limits.macro_high)
        for place, code in enumerate(codes):
            found[f"{code}.{measure}.low"] = float(limits.low[place])
            found[f"{code}.{measure}.high"] = float(limits.high[place])
    return found


def _f1_limits(
    labels: NDArray[np.bool_],
    decisions: NDArray[np.bool_],
    known: NDArray[np.bool_],
    codes: Sequence[str],
    resampling: Resampling,
) -> dict[str, float]:
    cells = (labels & decisions, ~labels & decisions, labels & ~decisions, ~labels & ~decisions)
    counts = np.stack([cell & known for cell in cells], axis=-1).astype(np.float64)

    def measures(sums: Floats) -> Floats:
        values = count_scores(sums)["f1"]
        return np.concatenate([macro(values)[..., np.newaxis], values], axis=-1)

    low, high = sums_interval(
        measures,
        counts,
        resampling.groups,
        resamples=resampling.resamples,
        rng=np.random.default_rng(resampling.seed),
    )
    found: dict[str, float] = {}
    for place, code in enumerate(("macro", *codes)):
        found[f"{code}.f1.low"] = float(low[place])
        found[f"{code}.f1.high"] = float(high[place])
    return found


def _with_limits(
    task: str,
    measures: Callable[[Floats], dict[str, Floats]],
    sums: Floats,
    resampling: Resampling | None,
) -> dict[str, float]:
    """Return measures of the summed rows, and their limits over resampled patients."""
    values = measures(sums.sum(axis=0))
    found = {f"{task}.{key}": float(value) for key, value in values.items()}
    if resampling is None:
        return found
    low, high = sums_interval(
        lambda drawn: np.stack(list(measures(drawn).values()), axis=-1),
        sums,
        resampling.groups,
        resamples=resampling.resamples,
        rng=np.random.default_rng(resampling.seed),
    )
    for place, key in enumerate(values):
        found[f"{task}.{key}.low"] = float(low[place])
        found[f"{task}.{key}.high"] = float(high[place])
    return found
