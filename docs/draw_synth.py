"""Draw docs/pictures/synth_<condition>.png: `python docs/draw_synth.py [condition ...]`.

The paper is 25 mm/s and 10 mm/mV: three rows of four leads, 2.5 s each, and lead II below.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from fascicle.record import Record
from fascicle.synth import CONDITIONS, synthesize

PICTURES = Path(__file__).parent / "pictures"
ROWS = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"))
ROW_MV = 3.0
COLOURS = {"P": "#1f77b4", "QRS": "#d62728", "T": "#2ca02c"}
SEEDS = {"paced": 12, "vt": 5, "lvh": 2, "flutter": 7}
RATES = {"flutter": 75.0}


def draw(record: Record, title: str) -> Figure:
    """Return the page of one record; coloured bars under lead II are its marks."""
    height = ROW_MV * 4 + 0.6
    figure = plt.figure(figsize=(10.4, height * 10.4 / 26.0), dpi=100)
    axes = figure.add_axes((0.0, 0.0, 1.0, 0.965))
    axes.set_xlim(-0.2, 10.2)
    axes.set_ylim(-ROW_MV * 3.5 - 0.3, ROW_MV * 0.5 + 0.3)
    axes.set_xticks(np.arange(-0.2, 10.2, 0.2))
    axes.set_xticks(np.arange(-0.2, 10.2, 0.04), minor=True)
    axes.set_yticks(np.arange(-11.0, 2.0, 0.5))
    axes.set_yticks(np.arange(-11.0, 2.0, 0.1), minor=True)
    axes.grid(which="minor", color="#fdeeee", linewidth=0.4)
    axes.grid(which="major", color="#f5c6c6", linewidth=0.6)
    axes.tick_params(length=0, which="both", labelsize=0)
    times = np.arange(record.samples) / record.rate_hz
    for row, leads in enumerate((*ROWS, ("II",))):
        base = -ROW_MV * row
        for column, lead in enumerate(leads):
            begin, end = (2.5 * column, 2.5 * column + 2.5) if row < 3 else (0.0, 10.0)
            shown = (times >= begin) & (times < end)
            axes.plot(times[shown], base + record.lead(lead)[shown], "k", linewidth=0.8)
            axes.text(begin + 0.04, base + 0.85, lead, fontsize=8, weight="bold")
            if column:
                axes.plot([begin, begin], [base - 0.25, base + 0.25], "k", linewidth=0.5)
    for wave in record.waves:
        if wave.lead == "II" and wave.onset_s is not None and wave.offset_s is not None:
            y = -ROW_MV * 3 - 1.15
            axes.plot([wave.onset_s, wave.offset_s], [y, y], color=COLOURS[wave.kind], lw=2.5)
    figure.text(0.01, 0.975, title, fontsize=9)
    return figure


def main(names: list[str]) -> None:
    """Write the named pictures, or all."""
    mpl.use("Agg")
    PICTURES.mkdir(exist_ok=True)
    for name in names or list(CONDITIONS):
        seed = SEEDS.get(name, 7)
        record = synthesize(name, seed=seed, heart_rate_bpm=RATES.get(name))
        title = f"{name}, seed {seed} (synthetic): {CONDITIONS[name].description}"
        figure = draw(record, title)
        buffer = io.BytesIO()
        figure.savefig(buffer)
        plt.close(figure)
        picture = Image.open(buffer).convert("RGB").quantize(64)
        picture.save(PICTURES / f"synth_{name}.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
