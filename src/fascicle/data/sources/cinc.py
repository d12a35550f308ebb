"""PhysioNet/CinC Challenges 2020 and 2021: 12-lead records of several sources with SNOMED CT codes.

Records are found at any depth (training/georgia/g1/E00001.hea, or flat). Only PTB-XL's are known in
another set: HRnnnnn is PTB-XL's nnnnn and has its key. Folds are 0 .. 9 by a hash of the key; the
sets do not tell patients, so every record counts as one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from fascicle.data.sources.source import Item, Source, hash_fold
from fascicle.errors import BadData
from fascicle.io import read
from fascicle.record import Record

FOLDS = 10
NAME = re.compile(r"(?:[AQSI]\d{4}|E\d{5}|(?:HR|JS)\d{5})\.hea", re.ASCII)


def index(folder: Path) -> list[Item]:
    """Return the records in the folder and below, by key.

    Raises
    ------
    BadData
        If there is none, or one record stands in two places.
    """
    items: dict[str, Item] = {}
    for path in _headers(folder):
        item = _item(path)
        if item.key in items:
            raise BadData(f"{path} and {items[item.key].path}: one record in two places")
        items[item.key] = item
    if not items:
        raise BadData(f"{folder}: expected CinC 2020/2021 records such as E00001.hea, found none")
    return [items[key] for key in sorted(items)]


def _headers(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            if NAME.fullmatch(name):
                yield Path(parent, name[:-4])


def _item(path: Path) -> Item:
    key = f"ptbxl/{path.name[2:]}" if path.name.startswith("HR") else f"cinc2021/{path.name}"
    return Item(key, path, key, hash_fold(key, FOLDS))


def load(item: Item) -> Record:
    """Return the record with its SNOMED-CT codes, age and sex, all from the header."""
    return read(item.path)


CINC2021 = Source(
    name="cinc2021",
    title="PhysioNet/Computing in Cardiology Challenges 2020 and 2021 1.0.3, training sets",
    licence="CC BY 4.0",
    citation="Reyna MA et al. Will two do? Varying dimensions in electrocardiography: the "
    "PhysioNet/Computing in Cardiology Challenge 2021. Comput Cardiol 48:1-4, 2021. "
    "doi:10.13026/34va-7q14",
    url="https://physionet.org/files/challenge-2021/1.0.3/",
    records=88253,
    include=("training/*.hea", "training/*.mat", "RECORDS", "LICENSE.txt"),
    annotations=(),
    index=index,
    load=load,
)
