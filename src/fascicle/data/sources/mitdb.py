"""MIT-BIH Arrhythmia Database 1.0.0: 48 half-hours, two leads, 360 Hz, beats and rhythms.

Folds are those of de Chazal et al. 2004: 1 = DS1 (train), 2 = DS2 (test), 0 = the paced records.
Records 201 and 202 are one patient although one is in DS1 and the other in DS2.
"""

from __future__ import annotations

from pathlib import Path

from fascicle.data.sources.source import Item, Source
from fascicle.errors import BadData
from fascicle.io import read
from fascicle.record import Record

# fmt: off
DS1 = (101, 106, 108, 109, 112, 114, 115, 116, 118, 119, 122, 124, 201, 203, 205, 207, 208, 209,
       215, 220, 223, 230)
DS2 = (100, 103, 105, 111, 113, 117, 121, 123, 200, 202, 210, 212, 213, 214, 219, 221, 222, 228,
       231, 232, 233, 234)
PACED = (102, 104, 107, 217)
# fmt: on


def index(folder: Path) -> list[Item]:
    """Return the records that are in the folder, by number. Raises BadData if there is none."""
    everything = sorted(DS1 + DS2 + PACED)
    items = [_item(folder, name) for name in everything if (folder / f"{name}.hea").is_file()]
    if not items:
        raise BadData(f"{folder}: expected MIT-BIH records such as 100.hea, found none")
    return items


def _item(folder: Path, name: int) -> Item:
    patient = 201 if name == 202 else name
    fold = 1 if name in DS1 else 2 if name in DS2 else 0
    return Item(f"mitdb/{name}", folder / str(name), f"mitdb/{patient}", fold)


def load(item: Item) -> Record:
    """Return the record with its beats and rhythms."""
    return read(item.path)


MITDB = Source(
    name="mitdb",
    title="MIT-BIH Arrhythmia Database 1.0.0",
    licence="ODC-BY 1.0",
    citation="Moody GB, Mark RG. The impact of the MIT-BIH Arrhythmia Database. "
    "IEEE Eng Med Biol 20(3):45-50, 2001. doi:10.13026/C2F305",
    url="https://physionet.org/files/mitdb/1.0.0/",
    records=48,
    include=("[12][0-9][0-9].hea", "[12][0-9][0-9].dat", "[12][0-9][0-9].atr", "RECORDS"),
    annotations=(".atr",),
    index=index,
    load=load,
)
