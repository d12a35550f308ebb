"""Write official_cases.npz: inputs and the answers of the official Challenge program.

    python make_official_cases.py PROGRAM_FOLDER CASES_NPZ

PROGRAM_FOLDER holds evaluate_model.py, helper_code.py and weights.csv of
github.com/physionetchallenges/evaluation-2021 at commit e2a75fc (BSD 2-Clause, see README.md
beside this file); CASES_NPZ has large cases that the program answered through files. Corner cases
are made here and answered by the program's own functions.
"""

from __future__ import annotations

import csv
import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NORMAL = "426783006"
COPIED = ("labels", "outputs", "scores")


def corner_cases() -> dict[str, tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Return labels, outputs and scores of small inputs that sit on the definitions' edges."""
    rng = np.random.default_rng(20211)
    shape = (24, 26)
    labels, outputs = rng.random(shape) < 0.15, rng.random(shape) < 0.15
    scores = rng.random(shape)
    nothing, everything = np.zeros(shape, dtype=bool), np.ones(shape, dtype=bool)
    sinus, half = nothing.copy(), labels.copy()
    sinus[:, 14] = True
    half[:, :5], half[:, 5:9] = True, False
    return {
        "no_labels": (nothing, outputs, scores),
        "no_outputs": (labels, nothing, scores),
        "nothing": (nothing, nothing, scores),
        "everything": (everything, everything, scores),
        "all_labels": (everything, outputs, scores),
        "only_sinus": (sinus, outputs, scores),
        "sinus_or_nothing": (sinus & (rng.random((24, 1)) < 0.5), outputs, scores),
        "whole_classes": (half, outputs, scores),
        "constant_scores": (labels, outputs, np.full(shape, 0.5)),
        "huge_scores": (labels, outputs, np.round(scores, 1) * 1e17 - 5e16),
        "infinite_scores": (labels, outputs, np.where(scores > 0.8, np.inf, scores)),
        "one_record": (labels[:1], outputs[:1], scores[:1]),
    }


def main(program_folder: Path, cases_file: Path) -> None:
    """Answer every case and write the golden file beside this script."""
    sys.path.insert(0, str(program_folder))
    program = importlib.import_module("evaluate_model")
    with (program_folder / "weights.csv").open() as file:
        rows = list(csv.reader(file))
    classes = [set(name.split("|")) for name in rows[0][1:]]
    weights = np.array([[float(cell) for cell in row[1:]] for row in rows[1:]])
    normal_index = classes.index({NORMAL})
    given = np.load(cases_file)
    assert [set(name.split("|")) for name in given["classes"].tolist()] == classes
    golden: dict[str, Any] = {"weights": weights, "normal_index": normal_index}
    for i in range(int(given["n_cases"])):
        name = str(given[f"case{i}_kind"])
        if name == "correlated":  # as large as "random" and adds nothing to the corner cases
            continue
        for key in (*COPIED, "auroc", "auprc", "accuracy", "f_measure", "challenge"):
            golden[f"{name}/{key}"] = given[f"case{i}_{key}"]
        for key in ("auroc_classes", "auprc_classes", "f_classes"):
            golden[f"{name}/{key}"] = given[f"case{i}_{key}"]
    for name, (labels, outputs, scores) in corner_cases().items():
        auroc, auprc, auroc_classes, auprc_classes = program.compute_auc(labels, scores)
        f_measure, f_classes = program.compute_f_measure(labels, outputs)
        metric = program.compute_challenge_metric(weights, labels, outputs, classes, {NORMAL})
        accuracy = program.compute_accuracy(labels, outputs)
        answers = (labels, outputs, scores, auroc, auprc, accuracy, f_measure, metric)
        keys = (*COPIED, "auroc", "auprc", "accuracy", "f_measure", "challenge")
        golden |= {f"{name}/{key}": value for key, value in zip(keys, answers, strict=True)}
        golden |= {
            f"{name}/auroc_classes": auroc_classes,
            f"{name}/auprc_classes": auprc_classes,
            f"{name}/f_classes": f_classes,
        }
    np.savez_compressed(Path(__file__).with_name("official_cases.npz"), **golden)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
