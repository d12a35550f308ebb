"""A few synthetic ECGs as the pack of the source "synth": a quick run needs no more."""

from __future__ import annotations

from pathlib import Path

from fascicle.data.pack import write_pack
from fascicle.data.packing import pack_folder
from fascicle.record import Record
from fascicle.signal.chain import Preprocessing
from fascicle.synth import synthesize

CONDITIONS = ("sinus", "af", "avb1", "pvc", "rbbb")
RECORDS = 80


def write_tiny_pack(data: Path, packs: Path, preprocessing: Preprocessing) -> None:
    """Write the pack where `pack_source` looks for it, if it is not there yet."""
    folder = pack_folder("synth", data, packs, preprocessing)
    # each fold has every condition
    items = [(f"synth/{i}", f"synth/{i}", "synth", i // 5 % 10) for i in range(RECORDS)]

    def load(place: int) -> Record:
        return synthesize(CONDITIONS[place % len(CONDITIONS)], seed=place, rate_hz=100.0)

    if not (folder / "pack.json").exists():
        write_pack(folder, items, load, preprocessing)
