"""Packs of a few synthetic ECGs in the place of PTB-XL, LUDB and MIT-BIH: for a quick run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fascicle.data.pack import write_pack
from fascicle.data.packing import pack_folder
from fascicle.record import Record
from fascicle.signal.chain import Preprocessing
from fascicle.synth import synthesize

CONDITIONS = ("sinus", "af", "pvc")
FOLDS = {"ptbxl": tuple(range(1, 10)) * 12, "ludb": (0, 1, 2, 3, 4), "mitdb": (1, 2) * 3}
"""Source -> the fold of each record; as many train on PTB-XL's as a pre-training needs."""


def write_packs(data: Path, packs: Path, preprocessing: Preprocessing) -> None:
    """Write the packs where `pack_source` looks for them, if they are not there yet."""
    for source, folds in FOLDS.items():
        folder = pack_folder(source, data, packs, preprocessing)
        items = [
            (f"{source}/{place}", f"{source}/p{place // 18}-{place % 9}", source, fold)
            for place, fold in enumerate(folds)  # PTB-XL has two records of each patient
        ]
        if not (folder / "pack.json").exists():
            write_pack(folder, items, _record, preprocessing)


def _record(place: int) -> Record:
    condition = CONDITIONS[(place // 9 + place) % len(CONDITIONS)]  # all of them in each fold
    made = synthesize(condition, seed=place, duration_s=4.0, rate_hz=100.0)
    return replace(made, name=f"{place:05d}")
