"""Draw docs/pictures/multi_head_gain.png from benchmarks/multi-head/results.json.

The gain in F1 of a net that also learns other classes, over the net of the rare class alone,
against how many positives taught it; the paper's own classes beside ours.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "multi-head" / "results.json"
PICTURE = ROOT / "docs" / "pictures" / "multi_head_gain.png"
PAPER = {
    "complete heart block": (204, 0.62 - 0.09),
    "AVNRT": (372, 0.49 - 0.39),
    "Mobitz I": (626, 0.73 - 0.58),
    "ectopic atrial rhythm": (1710, 0.0),
    "atrial fibrillation": (4719, 0.01),
}
ARMS = {
    "two": ("with its common relative", "#1f77b4", -0.04),
    "all": ("all classes", "#d62728", 0.0),
    "frozen": ("frozen trunk, new last layer", "#7f7f7f", 0.04),
}


def main() -> None:
    """Write the picture."""
    mpl.use("Agg")
    studies = json.loads(RESULTS.read_text())["studies"]
    names = [name for name in ("real", "synthetic") if name in studies]
    figure, axes = plt.subplots(
        1, len(names) + 1, figsize=(4.4 * len(names) + 3.6, 4.6), sharey=True, dpi=100
    )
    for place, name in zip(axes, names, strict=False):
        classes = studies[name]["classes"]
        for arm, (label, colour, shift) in ARMS.items():
            drawn = [row for row in classes if arm in row["gains"]]
            x = [mean(row["training_positives"]) * (1 + shift) for row in drawn]
            told = [row["gains"][arm]["f1"] for row in drawn]
            place.errorbar(
                x,
                [t["value"] for t in told],
                [[t["value"] - t["low"] for t in told], [t["high"] - t["value"] for t in told]],
                fmt="o",
                color=colour,
                markersize=4,
                linewidth=0.8,
                label=label,
            )
        for row in classes:
            top = max(gain["f1"]["high"] for gain in row["gains"].values())
            at = (mean(row["training_positives"]), top)
            place.annotate(
                row["code"], at, (0, 5), textcoords="offset points", ha="center",
                fontsize=7, rotation=90,
            )  # fmt: skip
        place.set_title("PTB-XL, out-of-fold" if name == "real" else "synthetic ECGs")
        place.set_xscale("log")
    last = axes[-1]
    for name, (count, gain) in PAPER.items():
        last.plot(count, gain, "kx")
        last.annotate(name, (count, gain), (4, 5), textcoords="offset points", fontsize=7)
    last.plot(626, 0.73 - 0.58, "s", color=ARMS["two"][1], fillstyle="none", markersize=9)
    last.set_title("the paper (UCSF), all classes")
    last.set_xscale("log")
    last.set_xlim(150, 20000)
    for place in axes:
        place.axhline(0, color="black", linewidth=0.6)
        place.grid(color="#eeeeee")
        place.set_xlabel("positives (taught)" if place is not last else "positives")
    axes[0].set_ylabel("F1 gain over the net of the class alone")
    axes[0].legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    figure.savefig(PICTURE)


def mean(values: list[int]) -> float:
    """Return the mean of the groups' counts."""
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
