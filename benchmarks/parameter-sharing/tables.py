"""From runs to tables: accuracy on balanced classes, its spread over seeds, paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import measuring
import numpy as np
from cells import FOLD_SEEDS, GRID, PAPER
from scipy.stats import t as student

LEAST = 30
"""Classes with fewer test beats are shown and not averaged."""
NAMES = {"cnn1d": "1D-CNN", "rnn": "RNN", "lstm": "LSTM"}
Part = Mapping[str, Sequence[Any]]
"""Class -> (beats, recall); the recall is None where there is no beat."""


def accuracy(part: Part, least: int = LEAST) -> float:
    """Return the mean recall: what is right of a test in which the classes are equally many."""
    known = [recall for count, recall in part.values() if recall is not None and count >= least]
    return float(np.mean(known)) if known else float("nan")


def interval(values: Sequence[float]) -> dict[str, float]:
    """Return the mean and its 95 % limits by Student's t over the seeds."""
    mean, count = float(np.mean(values)), len(values)
    reach = 0.0
    if count > 1:
        reach = float(student.ppf(0.975, count - 1) * np.std(values, ddof=1) / np.sqrt(count))
    return {"mean": mean, "low": mean - reach, "high": mean + reach}


PAIRS = (
    ("mtl", "stl"), ("mtl", "matched"), ("natural", "stl"), ("mtl", "natural"), ("shared", "stl"),
    ("timing", "stl"), ("few_timing", "few"), ("few_others", "few"), ("few_others", "few_pooled"),
    ("long_mtl", "long"), ("long", "stl"),
)  # fmt: skip
"""Rows that are compared, seed by seed."""


def summary(
    rows: Mapping[str, Mapping[str, Any]], per_seed: Mapping[str, list[float]]
) -> dict[str, Any]:
    """Return what is shown of a comparison: each row's accuracy, and paired differences."""
    return {
        "rows": {
            row: {
                "setting": GRID[found["setting"]],
                "accuracy": per_seed[row],
                "mean": float(np.mean(per_seed[row])),
                "sd": float(np.std(per_seed[row], ddof=1)) if len(per_seed[row]) > 1 else 0.0,
            }
            for row, found in rows.items()
        },
        "differences": {
            f"{row} - {other}": interval(
                [a - b for a, b in zip(per_seed[row], per_seed[other], strict=True)]
            )
            for row, other in PAIRS
            if row in rows and other in rows
        },
    }


def recalls_over(runs: Sequence[Part]) -> dict[str, list[float | None]]:
    """Return class -> (test beats, mean recall) over runs, beats of one of them."""
    found: dict[str, list[float | None]] = {}
    for name, (count, _) in runs[0].items():
        known = [run[name][1] for run in runs if run[name][1] is not None]
        found[name] = [count, float(np.mean(known)) if known else None]
    return found


def pooled(folds: Sequence[Part]) -> dict[str, tuple[int, float | None]]:
    """Return class -> (beats, recall) of all folds' test beats together."""
    names = folds[0]
    counts = {name: sum(fold[name][0] for fold in folds) for name in names}
    hits = {name: sum(f[name][0] * (f[name][1] or 0) for f in folds) for name in names}
    return {n: (counts[n], hits[n] / counts[n] if counts[n] else None) for n in names}


def results(
    cells: Mapping[str, Mapping[str, Any]],
    others: Mapping[str, Mapping[str, Any]],
    wise: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Return all figures of the finished runs."""
    found: dict[str, Any] = {"cells": {}, "gains": {}, "variants": {}, "patient_wise": {}}
    for name, rows in cells.items():
        per_seed = {
            row: [accuracy(run["test"]) for run in part["runs"]] for row, part in rows.items()
        }
        found["cells"][name] = summary(rows, per_seed)
        for row, part in rows.items():
            shown = found["cells"][name]["rows"][row]
            shown["parameters"] = part["runs"][0]["parameters"]
            shown["steps"] = part["runs"][0]["steps"]
            shown["validation"] = accuracy(part["runs"][0]["validation"], least=1)
            shown["classes"] = recalls_over([run["test"] for run in part["runs"]])
    for problem, scenario in PAPER:
        mine = [c for n, c in found["cells"].items() if n.startswith(f"{problem}-{scenario}-")]
        if mine:
            gains = [cell["differences"]["mtl - stl"]["mean"] for cell in mine]
            found["gains"][f"{problem}-{scenario}"] = float(np.mean(gains))
    for name, rows in others.items():
        per_seed = {r: [accuracy(run["test"]) for run in part["runs"]] for r, part in rows.items()}
        found["variants"][name] = summary(rows, per_seed)
    for net, rows in wise.items():
        tests = {
            row: [pooled([fold["test"] for fold in seed]) for seed in part["runs"]]
            for row, part in rows.items()
        }
        per_seed = {row: [accuracy(test) for test in seeds] for row, seeds in tests.items()}
        found["patient_wise"][net] = summary(rows, per_seed)
        for row, seeds in tests.items():
            found["patient_wise"][net]["rows"][row]["classes"] = recalls_over(seeds)
    return found


def markdown(found: Mapping[str, Any], caption: str) -> str:
    """Return the tables, the paper's figures beside ours."""
    parts = ["\n".join(f"- {line}" for line in verdict(found))]
    for problem, scenario in PAPER:
        mine = {net: found["cells"].get(f"{problem}-{scenario}-{net}") for net in NAMES}
        cells = {net: cell for net, cell in mine.items() if cell is not None}
        parts += [
            f"**{problem.capitalize()}, {scenario}**",
            _table(cells, PAPER[problem, scenario]),
        ]
        if problem == "classification":
            parts.append(_classes(cells))
    parts += ["**Other ways of sharing, detection**", _variants(found["variants"])]
    parts += ["**Classification over all records with these rhythms, patient-wise**"]
    parts += [_table(found["patient_wise"], {}), _classes(found["patient_wise"])]
    return "\n\n".join([*parts, caption])


def _table(cells: Mapping[str, Any], paper: Mapping[str, tuple[float, float]]) -> str:
    head = ["accuracy (%)", "STL", "STL, matched", "MTL", "MTL - STL", "MTL - matched"]
    head += ["paper: STL", "MTL", "gain"] if paper else []
    body = []
    for net, cell in cells.items():
        line = [NAMES[net], *(_spread(row) for row in cell["rows"].values())]
        line += [_limits(found) for found in cell["differences"].values()]
        if paper:
            stl, mtl = paper[net]
            line += [f"{stl:.2f}", f"{mtl:.2f}", f"{mtl - stl:+.2f}"]
        body.append(line)
    return measuring.rows(head, body)


def _variants(cells: Mapping[str, Any]) -> str:
    """Return a line for each other row, beside the row that it is compared with."""
    body = []
    for name, cell in cells.items():
        _, scenario, net = name.split("-")
        rows = cell["rows"]
        for pair, gap in cell["differences"].items():
            if pair == "mtl - stl":
                continue  # stands in the first tables
            row, other = pair.split(" - ")
            line = [f"{NAMES[net]}, {scenario}", f"{TITLES[row]}", _spread(rows[row])]
            body.append([*line, TITLES[other], _spread(rows[other]), _limits(gap)])
    body.sort(key=lambda line: list(TITLES.values()).index(line[1]))
    return measuring.rows(
        ["net", "row", "accuracy (%)", "against", "accuracy (%)", "difference"], body
    )


def _classes(cells: Mapping[str, Any]) -> str:
    """Return the recall of each class, its test beats in the head."""
    first = next(iter(next(iter(cells.values()))["rows"].values()))["classes"]
    head = ["recall (%)", *(f"{name} ({count} beats)" for name, (count, _) in first.items())]
    body = [
        [
            f"{NAMES[net]}, {TITLES[row]}",
            *("none" if r is None else f"{100 * r:.1f}" for _, r in found["classes"].values()),
        ]
        for net, cell in cells.items()
        for row, found in cell["rows"].items()
    ]
    return measuring.rows(head, body)


TITLES = {
    "stl": "STL",
    "matched": "STL, matched",
    "mtl": "MTL",
    "natural": "STL, 12 % abnormal in training",
    "long": "STL, four times the updates",
    "long_mtl": "MTL, four times the updates",
    "shared": "one extractor, MTL's heads",
    "timing": "one extractor, also when beats come",
    "few": "STL, few labels",
    "few_timing": "few labels, also when beats come",
    "few_pooled": "few labels, 37 others in the same task",
    "few_others": "few labels, 37 others as a task",
}


def _spread(row: Mapping[str, Any]) -> str:
    return f"{100 * row['mean']:.2f} ± {100 * row['sd']:.2f}"


def _limits(found: Mapping[str, float]) -> str:
    mean, low, high = (100 * found[key] for key in ("mean", "low", "high"))
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


def verdict(found: Mapping[str, Any]) -> list[str]:
    """Return in sentences how the figures compare with the paper's."""
    cells = {n: c for n, c in found["cells"].items() if n.startswith("detection-")}
    gains = [cell["differences"]["mtl - stl"] for cell in cells.values()]
    above, sure, worse = (
        sum(gain[key] * sign > 0 for gain in gains)
        for key, sign in (("mean", 1), ("low", 1), ("high", -1))
    )
    reached = 0
    for name, cell in cells.items():
        _, scenario, net = name.split("-")
        reached += 100 * cell["rows"]["mtl"]["mean"] >= PAPER["detection", scenario][net][1]
    lines = [
        f"Detection: MTL is above STL in {above} of {len(gains)} pairs, with its interval above 0 "
        f"in {sure} and below 0 in {worse}. MTL's accuracy is at least the paper's in {reached}."
    ]
    for name, gain in found["gains"].items():
        problem, scenario = name.split("-")
        theirs = float(np.mean([m - s for s, m in PAPER[problem, scenario].values()]))
        lines.append(
            f"Average gain of MTL, {problem}, {scenario}: {100 * gain:+.2f} (paper {theirs:+.2f})."
        )
    return lines


def caption(about: Mapping[str, Any], seeds: int) -> str:
    """Return the line below the tables."""
    note = f" ({about['note']})" if about["note"] else ""
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    return (
        f"Mean ± standard deviation over {seeds} seeds; differences seed by seed with their 95 % "
        f"interval (Student's t); patient-wise: {min(seeds, FOLD_SEEDS)} seeds. {versions}. "
        f"Commit {about['commit']}{note}."
    )
