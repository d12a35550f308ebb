"""Draw docs/pictures/multi_head_gain.png from benchmarks/multi-head/results.json.

The gain in F1 of a net that also learns other classes, over the net of the rare class alone,
against how many positives taught it; the paper's own classes beside ours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "multi-head" / "results.json"
PICTURE = ROOT / "docs" / "pictures" / "multi_head_gain.png"
PAPER = {
    "complete\nheart block": (204, {"all": 0.62 - 0.09}),
    "AVNRT": (372, {"all": 0.49 - 0.39}),
    "Mobitz I": (626, {"two": 0.73 - 0.58, "all": 0.73 - 0.58}),
    "ectopic\natrial": (1710, {"all": 0.0}),
    "AFIB": (4719, {"all": 0.01}),
}
ARMS = {
    "two": ("with its common relative", "#1f77b4", -0.2),
    "all": ("all classes", "#d62728", 0.0),
    "frozen": ("frozen trunk, new last layer", "#7f7f7f", 0.2),
}
TITLES = {"real": "PTB-XL, out-of-fold", "synthetic": "synthetic ECGs, out-of-fold"}


def main() -> None:
    """Write the picture."""
    mpl.use("Agg")
    studies = json.loads(RESULTS.read_text())["studies"]
    names = [name for name in TITLES if name in studies]
    widths = [*(len(studies[name]["classes"]) for name in names), len(PAPER)]
    figure, axes = plt.subplots(
        1,
        len(widths),
        figsize=(0.62 * sum(widths) + 1.2, 4.4),
        width_ratios=widths,
        sharey=True,
        dpi=100,
    )
    for place, name in zip(axes, names, strict=False):
        draw(place, studies[name]["classes"])
        place.set_title(TITLES[name], fontsize=9)
    for x, (_, gains) in enumerate(PAPER.values()):
        for arm, gain in gains.items():
            _, colour, shift = ARMS[arm]
            axes[-1].plot(x + shift, gain, "x", color=colour)
    name_classes(axes[-1], [f"{name}\n{count}" for name, (count, _) in PAPER.items()])
    axes[-1].set_title("the paper (UCSF)", fontsize=9)
    for place in axes:
        place.axhline(0, color="black", linewidth=0.6)
        place.grid(axis="y", color="#eeeeee")
    axes[0].set_ylabel("F1 gain over the net of the class alone")
    axes[0].legend(fontsize=7, loc="upper right")
    figure.tight_layout()
    figure.savefig(PICTURE)


def draw(place: Axes, classes: list[dict[str, Any]]) -> None:
    """Draw one study: a column for each class, from few positives to many."""
    ordered = sorted(classes, key=lambda row: sum(row["training_positives"]))
    for arm, (label, colour, shift) in ARMS.items():
        drawn = [
            (x, row["gains"][arm]["f1"]) for x, row in enumerate(ordered) if arm in row["gains"]
        ]
        below = [max(told["value"] - told["low"], 0) for _, told in drawn]
        above = [max(told["high"] - told["value"], 0) for _, told in drawn]
        place.errorbar(
            [x + shift for x, _ in drawn],
            [told["value"] for _, told in drawn],
            [below, above],
            fmt="o",
            color=colour,
            markersize=4,
            linewidth=0.9,
            label=label,
        )
    counts = [round(sum(r["training_positives"]) / len(r["training_positives"])) for r in ordered]
    name_classes(place, [f"{r['code']}\n{n}" for r, n in zip(ordered, counts, strict=True)])


def name_classes(place: Axes, names: list[str]) -> None:
    """Write the classes and their positives below their columns."""
    place.set_xticks(range(len(names)), names, fontsize=7)
    place.set_xlabel("positives that teach", fontsize=8)
    place.set_xlim(-0.6, len(names) - 0.4)


if __name__ == "__main__":
    main()
