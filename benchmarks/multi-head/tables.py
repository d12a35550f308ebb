"""What the multi-head benchmark shows: results with intervals, and the tables of its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import measuring
import numpy as np
import scores

ARMS = {
    "single": "single-head",
    "two": "two-class",
    "all": "all classes",
    "frozen": "frozen + new last layer",
}
MEASURES = {"f1": "F1", "auprc": "AUPRC"}


def results(
    rows: Sequence[Mapping[str, Any]], longer: Sequence[Mapping[str, Any]], every: Sequence[str]
) -> dict[str, Any]:
    """Return all figures as plain values."""
    common = [row for row in rows if not row["few"]]
    few = [row for row in rows if row["few"]]
    return {
        "classes_of_all": list(every),
        "classes": [_of_class(row) for row in rows],
        "means": _means(common),
        "means_of_few": _means(few),
        "longer": list(longer),
    }


def _of_class(row: Mapping[str, Any]) -> dict[str, Any]:
    draws = row["draws"]
    told = {key: row[key] for key in ("code", "relative", "few", "positives")}
    return {
        **told,
        "training_positives": row["training_positives"],
        "arms": {
            arm: {key: scores.figure(values) for key, values in found.items()}
            for arm, found in draws.items()
        },
        "gains": {
            arm: {key: scores.figure(draws[arm][key] - draws["single"][key]) for key in MEASURES}
            for arm in draws
            if arm != "single" and "single" in draws
        },
    }


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return each arm's mean over the classes, and its gain over the nets of one class."""
    made = {}
    for arm in ARMS:
        having = [row for row in rows if {arm, "single"} <= row["draws"].keys()]
        if not having:
            continue
        told: dict[str, Any] = {"classes": len(having)}
        for key in MEASURES:
            told[key] = scores.figure(np.mean([r["draws"][arm][key] for r in having], axis=0))
            told[f"{key}_gain"] = scores.figure(scores.gains(having, arm, key))
            if all("all" in row["draws"] for row in having):
                told[f"{key}_over_all"] = scores.figure(scores.gains(having, arm, key, "all"))
        made[arm] = told
    return made


TITLES = {
    "real": "PTB-XL",
    "synthetic": "Synthetic ECGs, all of them",
    "quick": "Synthetic ECGs, a quick run",
}


def show(studies: Mapping[str, Any]) -> str:
    """Return the tables of each study."""
    parts = [f"### {TITLES[name]}\n\n{_show(found)}" for name, found in studies.items()]
    return "\n\n".join(parts)


def _show(found: Mapping[str, Any]) -> str:
    """Return the tables: the means, the classes, and the nets that trained longer."""
    parts = [_table_of_means(found["means"])]
    if found["means_of_few"]:
        parts += ["", "Classes with under 20 training positives:", ""]
        parts.append(_table_of_means(found["means_of_few"]))
    for key, name in MEASURES.items():
        parts += ["", f"{name} of each class:", "", _table_of_classes(found["classes"], key)]
    if found["longer"]:
        parts += ["", "More updates (first group, first seed):", "", _table_of_longer(found)]
    return "\n".join(parts)


def _table_of_means(means: Mapping[str, Any]) -> str:
    head = ("net", "classes", "F1", "F1 gain over single-head", "AUPRC", "AUPRC gain")
    return measuring.rows(
        head,
        [
            [
                ARMS[arm],
                str(told["classes"]),
                _figure(told["f1"]),
                "" if arm == "single" else _figure(told["f1_gain"], "+"),
                _figure(told["auprc"]),
                "" if arm == "single" else _figure(told["auprc_gain"], "+"),
            ]
            for arm, told in means.items()
        ],
    )


def _table_of_classes(classes: Sequence[Mapping[str, Any]], key: str) -> str:
    head = ("class", "relative", "taught, by group", "tested", *ARMS.values())
    return measuring.rows(
        head,
        [
            [
                row["code"],
                row["relative"],
                ", ".join(map(str, row["training_positives"])),
                str(row["positives"]),
                *(_figure(row["arms"][arm][key]) if arm in row["arms"] else "" for arm in ARMS),
            ]
            for row in sorted(classes, key=lambda row: -row["positives"])
        ],
    )


def _table_of_longer(found: Mapping[str, Any]) -> str:
    codes = sorted({code for row in found["longer"] for code in row["auprc"]})
    head = ("net", "updates", "last loss", *(f"AUPRC {code}" for code in codes), "mean AUPRC")
    return measuring.rows(
        head,
        [
            [
                f"{ARMS[row['arm']]} {row['target']}".strip(),
                f"x {row['times']}",
                f"{row['loss']:.4f}",
                *(f"{row['auprc'][code]:.2f}" if code in row["auprc"] else "" for code in codes),
                f"{row['mean_auprc']:.3f}" if row["arm"] == "all" else "",
            ]
            for row in found["longer"]
        ],
    )


def _figure(told: Mapping[str, float], sign: str = "") -> str:
    value, low, high = (format(told[key], f"{sign}.2f") for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"
