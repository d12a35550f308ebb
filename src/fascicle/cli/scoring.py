"""`fascicle score`: Challenge files or beat annotations against their reference."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fascicle.cli.training import write_json
from fascicle.errors import BadFile, BadRequest
from fascicle.io.beats import BeatFiles, pair_files, read_beat_files
from fascicle.io.challenge import read_challenge
from fascicle.labels import SINUS_RHYTHM, SNOMED, Vocabulary, challenge_classes, challenge_weights
from fascicle.metrics.beats import LEARNING_S, confusion
from fascicle.metrics.challenge import ChallengeScores, challenge_scores
from fascicle.metrics.ec57 import average, ec57_scores, match_as_bxb
from fascicle.record import BEAT_KINDS, BeatKind

LINE_SCORES = (
    "QRS.sensitivity",
    "QRS.ppv",
    "V.sensitivity",
    "V.ppv",
    "V.fpr",
    "S.sensitivity",
    "S.ppv",
    "S.fpr",
)


def score_command(labels_dir: Path, outputs_dir: Path, out: Path | None) -> None:
    """Print the five Challenge scores and those per class as the official program does."""
    classes = challenge_classes()
    files = read_challenge(labels_dir, outputs_dir, classes)
    normal = classes.index(SNOMED, SINUS_RHYTHM)
    scores = challenge_scores(
        files.labels, files.outputs, files.scores, challenge_weights(), normal
    )
    names = _class_names(classes)
    sys.stdout.write(_challenge_text(scores, names))
    if files.unlabelled:
        sys.stderr.write(
            f"{len(files.unlabelled)} of {len(files.names)} label files have no #Dx line, such as "
            f"{files.unlabelled[0]}: scored as having no label\n"
        )
    if out is not None:
        _write(out, _challenge_json(scores, names, len(files.names)))


def _class_names(classes: Vocabulary) -> list[str]:
    """Return each class as its codes in order, joined by "|"."""
    codes = [{term.code} for term in classes.terms]
    for (system, equivalent), code in classes.merged.items():
        codes[classes.index(system, code)].add(equivalent)
    return ["|".join(sorted(group)) for group in codes]


def _challenge_text(scores: ChallengeScores, names: Sequence[str]) -> str:
    whole = (
        scores.auroc,
        scores.auprc,
        scores.accuracy,
        scores.f_measure,
        scores.challenge_metric,
    )
    rows: list[tuple[str, Iterable[float]]] = [
        ("AUROC", scores.auroc_classes),
        ("AUPRC", scores.auprc_classes),
        ("F-measure", scores.f_measure_classes),
    ]
    lines = ["AUROC,AUPRC,Accuracy,F-measure,Challenge metric", _three_digits(whole)]
    lines += [",".join(["Classes", *names])]
    lines += [f"{title},{_three_digits(values)}" for title, values in rows]
    return "\n".join(lines) + "\n"


def _three_digits(values: Iterable[float]) -> str:
    return ",".join(f"{value:.3f}" for value in values)


def _challenge_json(
    scores: ChallengeScores, names: Sequence[str], records: int
) -> dict[str, object]:
    per_class = zip(
        names, scores.auroc_classes, scores.auprc_classes, scores.f_measure_classes, strict=True
    )
    return {
        "auroc": _number(scores.auroc),
        "auprc": _number(scores.auprc),
        "accuracy": _number(scores.accuracy),
        "f_measure": _number(scores.f_measure),
        "challenge_metric": _number(scores.challenge_metric),
        "classes": {
            name: {"auroc": _number(roc), "auprc": _number(prc), "f_measure": _number(f)}
            for name, roc, prc, f in per_class
        },
        "records": records,
    }


def _number(value: float) -> float | None:
    """Return a number that JSON knows, None for NaN."""
    return None if math.isnan(value) else float(value)


def score_beats_command(
    reference: Path,
    estimate: Path,
    out: Path | None,
    start_s: float | None = None,
    suffix: str | None = None,
    escape: str = "N",
) -> None:
    """Print a line per record, gross and average, the confusion table and scores per class."""
    start_s = LEARNING_S if start_s is None else start_s
    if not 0 <= start_s < math.inf:
        raise BadRequest(f"--start: expected a number of seconds, came {start_s}")
    pairs, left = pair_files(reference, estimate, suffix)
    kind: BeatKind = "S" if escape == "S" else "N"
    read = [read_beat_files(*pair, escape=kind) for pair in pairs]
    tables = np.stack([_table(files, start_s) for files in read])
    if not tables.any():
        raise BadRequest(
            f"{reference}, {estimate}: no beat after the learning period of {start_s:g} s; "
            "--start 0 scores from the beginning"
        )
    names = [files.name for files in read]
    sys.stdout.write(_beats_text(names, tables))
    if left:
        sys.stderr.write(f"not scored, as there is no estimate: {' '.join(left)}\n")
    if out is not None:
        _write(out, _beats_json(names, tables, left, start_s, escape))


def _table(files: BeatFiles, start_s: float) -> NDArray[np.int64]:
    match = match_as_bxb(
        files.reference.samples,
        files.estimate.samples,
        files.rate_hz,
        start_s=start_s,
        samples=files.length,
        flutter=files.reference.flutter,
    )
    return confusion(files.reference.kinds, files.estimate.kinds, match)


def _beats_text(names: Sequence[str], tables: NDArray[np.int64]) -> str:
    width = max(map(len, ("Average", *names)))
    by_record, total = ec57_scores(tables), tables.sum(axis=0)
    gross = ec57_scores(total)
    heads = ("beats", "Q Se", "Q +P", "V Se", "V +P", "V FPR", "S Se", "S +P", "S FPR")
    lines = [f"{'Record':{width}} " + "".join(f"{head:>8}" for head in heads)]
    for place, name in enumerate(names):
        values = {key: float(by_record[key][place]) for key in LINE_SCORES}
        lines.append(_line(name, width, int(tables[place, :-1].sum()), values))
    if len(names) > 1:
        lines.append(_line("Gross", width, int(total[:-1].sum()), gross))
        lines.append(_line("Average", width, None, average(by_record)))
    lines += ["", "     " + "".join(f"{column:>8}" for column in (*"nsvfq", "missed"))]
    for row, counts in zip((*BEAT_KINDS, "extra"), total, strict=True):
        cells = counts[:-1] if row == "extra" else counts
        lines.append(f"{row:5}" + "".join(f"{count:8d}" for count in cells))
    lines += ["", "class      Se      +P     FPR"]
    for kind in BEAT_KINDS:
        keys = (f"{kind}.sensitivity", f"{kind}.ppv", f"{kind}.fpr")
        lines.append(f"{kind:5}" + "".join(_percent(key, float(gross[key])) for key in keys))
    return "\n".join(lines) + "\n"


def _line(name: str, width: int, beats: int | None, scores: Mapping[str, Any]) -> str:
    cells = "".join(_percent(key, float(scores[key])) for key in LINE_SCORES)
    return f"{name:{width}} {'' if beats is None else beats:>8}{cells}"


def _percent(key: str, value: float) -> str:
    """Return per cent in eight places, "-" where undefined; rates of false alarms in 1/1000."""
    if math.isnan(value):
        return f"{'-':>8}"
    return f"{100 * value:8.3f}" if key.endswith(".fpr") else f"{100 * value:8.2f}"


def _beats_json(
    names: Sequence[str],
    tables: NDArray[np.int64],
    left: Sequence[str],
    start_s: float,
    escape: str,
) -> dict[str, object]:
    by_record, total = ec57_scores(tables), tables.sum(axis=0)
    return {
        "start_s": start_s,
        "escape_beats": escape,
        "rows": [*BEAT_KINDS, "extra"],
        "columns": [*BEAT_KINDS, "missed"],
        "gross": _scores_json(ec57_scores(total)) | {"confusion": total.tolist()},
        "average": _scores_json(average(by_record)),
        "records": {
            name: _scores_json({key: values[place] for key, values in by_record.items()})
            | {"confusion": tables[place].tolist()}
            for place, name in enumerate(names)
        },
        "not_scored": list(left),
    }


def _scores_json(scores: Mapping[str, Any]) -> dict[str, object]:
    return {key: _number(float(value)) for key, value in scores.items()}


def _write(path: Path, value: object) -> None:
    try:
        write_json(path, value)
    except OSError as error:
        raise BadFile(f"{path}: cannot be written: {error.strerror or error}") from error
    sys.stdout.write(f"wrote {path}\n")
