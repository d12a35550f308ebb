"""A few synthetic ECGs under PTB-XL's statements, so that a quick run needs no data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nets

from fascicle.data.pack import write_pack
from fascicle.data.packing import pack_folder
from fascicle.labels import SCP
from fascicle.recipe import read_recipe
from fascicle.record import Record
from fascicle.synth import Noise, synthesize

STATEMENTS = {
    "sinus": ("NORM", "SR"),
    "pac": ("PAC", "SR"),
    "pvc": ("PVC", "SR"),
    "af": ("AFIB",),
}
CLASSES = ("AFIB", "NORM", "PAC", "PVC", "SR")
TARGETS = ("PAC",)
STEPS = 2
EACH = 2
"""Records of each condition in each of the nine folds."""


def write_pack_into(packs: Path) -> Path:
    """Return the folder that stands for the data, with its pack written."""
    data = packs / "data"
    conditions = list(STATEMENTS) * EACH
    places = [(fold, name) for fold in range(1, 10) for name in conditions]
    items = [(f"ptbxl/{n}", f"ptbxl/p{n}", "ptbxl", fold) for n, (fold, _) in enumerate(places)]

    def load(place: int) -> Record:
        name = places[place][1]
        record = synthesize(name, seed=place, rate_hz=250.0, noise=Noise())
        return replace(record, labels={SCP: frozenset(STATEMENTS[name])})

    preprocessing = read_recipe(nets.RECIPE).preprocessing
    folder = pack_folder("ptbxl", data, packs, preprocessing)
    write_pack(folder, items, load, preprocessing)
    return data
