"""Lobachevsky University Database 1.0.1: 200 ten-second 12-lead records with marked waves.

The set has no folds: 0 .. 4 are dealt out over the rows of ludb.csv sorted by rhythm, so that every
fold has its share of every rhythm. A folder with another choice of rows has other folds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fascicle.data.sources.source import (
    Item,
    Row,
    Source,
    parse_age,
    parse_sex,
    read_table,
    row_of,
)
from fascicle.errors import BadData
from fascicle.io import read
from fascicle.labels import LUDB as LUDB_SYSTEM
from fascicle.labels import ludb_codes
from fascicle.record import LEADS, Record, Sex

FOLDS = 5
STATEMENTS = (
    "Rhythms",
    "Electric axis of the heart",
    "Conduction abnormalities",
    "Extrasystolies",
    "Hypertrophies",
    "Cardiac pacing",
    "Ischemia",
    "Non-specific repolarization abnormalities",
    "Other states",
)
SEX: Mapping[str, Sex] = {"F": "F", "M": "M"}


def index(folder: Path) -> list[Item]:
    """Return the records that are in the folder, by number. Raises BadData if it is not LUDB."""
    table = read_table(folder / "ludb.csv", "ID")
    missing = [column for column in STATEMENTS if any(column not in row for row in table.values())]
    if missing:
        raise BadData(f"{folder / 'ludb.csv'}: no column {missing[0]!r}")
    odd = [name for name in table if not name.isdecimal()]
    if odd:
        raise BadData(f"{folder / 'ludb.csv'}: ID {odd[0]!r} is not a number")
    by_rhythm = sorted(table, key=lambda name: (table[name]["Rhythms"].strip(), int(name)))
    fold = {name: position % FOLDS for position, name in enumerate(by_rhythm)}
    items = [
        Item(f"ludb/{name}", folder / "data" / name, f"ludb/{name}", fold[name])
        for name in sorted(table, key=int)
        if (folder / "data" / f"{name}.hea").is_file()
    ]
    if not items:
        raise BadData(f"{folder}: expected LUDB records such as data/1.hea, found none")
    return items


def load(item: Item) -> Record:
    """Return the record with its waves, rhythm and diagnosis statements, age and sex."""
    path = item.path.parents[1] / "ludb.csv"
    row = row_of(item, read_table(path, "ID"), item.path.name, path)
    report = _report(row)
    record = read(item.path)
    where = f"{path} ID {item.path.name}"
    return replace(
        record,
        age=parse_age(row["Age"], where),
        sex=parse_sex(row["Sex"], SEX, where),
        labels={**record.labels, LUDB_SYSTEM: ludb_codes([report])},
        report=report,
    )


def _report(row: Row) -> str:
    cells = (line.strip() for column in STATEMENTS for line in row[column].splitlines())
    return "\n".join(line for line in cells if line)


LUDB = Source(
    name="ludb",
    title="Lobachevsky University Electrocardiography Database 1.0.1",
    licence="ODC-BY 1.0",
    citation="Kalyakulina AI et al. LUDB: a new open-access validation tool for electrocardiogram "
    "delineation algorithms. IEEE Access 8:186181-186190, 2020. doi:10.13026/eegm-h675",
    url="https://physionet.org/files/ludb/1.0.1/",
    records=200,
    include=("data/*", "ludb.csv", "RECORDS", "LICENSE.txt"),
    annotations=tuple(f".{lead.lower()}" for lead in LEADS),
    index=index,
    load=load,
)
