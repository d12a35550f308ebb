"""Packs of synthetic ECGs under PTB-XL's statements: the synthetic study, and quick runs.

Rates are drawn alike for all conditions, as far as each can have them: a slow rate alone must not
tell a complete heart block.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nets
import numpy as np

from fascicle.data.pack import write_pack
from fascicle.data.packing import pack_folder
from fascicle.labels import SCP
from fascicle.record import Record
from fascicle.signal.chain import Preprocessing
from fascicle.synth import CONDITIONS, Noise, synthesize

STATEMENTS = {
    "sinus": ("SR",),
    "avb1": ("1AVB", "SR"),
    "af": ("AFIB",),
    "pvc": ("PVC", "SR"),
    "pac": ("PAC", "SR"),
    "rbbb": ("CRBBB", "SR"),
    "lvh": ("LVH", "SR"),
    "st_depression": ("STD_", "SR"),
    "paced": ("PACE",),
    "avb3": ("3AVB",),
    "avb2_mobitz1": ("2AVB",),
    "flutter": ("AFLT",),
    "bigeminy": ("BIGU",),
}
EACH = {
    "synthetic": {
        "sinus": 30, "avb1": 14, "af": 14, "pvc": 14, "pac": 10, "rbbb": 10, "lvh": 10,
        "st_depression": 8, "paced": 6, "avb3": 5, "avb2_mobitz1": 5, "flutter": 5, "bigeminy": 5,
    },
    "quick": {"sinus": 2, "pac": 2, "pvc": 2, "af": 2},
}  # fmt: skip
"""Study -> records of each condition in each of the nine folds."""
RATES_BPM = (40.0, 100.0)


def write_pack_into(packs: Path, study: nets.Study, preprocessing: Preprocessing) -> Path:
    """Return the folder that stands for the data, with its pack written."""
    data = packs / study.name
    each = EACH[study.name]
    places = [
        (fold, name) for fold in range(1, 10) for name, count in each.items() for _ in range(count)
    ]
    items = [(f"ptbxl/{n}", f"ptbxl/p{n}", "ptbxl", fold) for n, (fold, _) in enumerate(places)]
    folder = pack_folder("ptbxl", data, packs, preprocessing)
    if not (folder / "pack.json").exists():
        write_pack(folder, items, lambda place: record(places[place][1], place), preprocessing)
    return data


def record(condition: str, seed: int) -> Record:
    """Return a synthetic ECG with the statements of its condition."""
    low, high = CONDITIONS[condition].allowed_bpm
    rate_bpm = np.random.default_rng(seed).uniform(max(low, RATES_BPM[0]), min(high, RATES_BPM[1]))
    made = synthesize(
        condition, seed=seed, heart_rate_bpm=float(rate_bpm), rate_hz=250.0, noise=Noise()
    )
    return replace(made, labels={SCP: frozenset(STATEMENTS[condition])})
