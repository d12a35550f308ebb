"""What a data set is to the other rooms: a folder as published, listed and read by record.

`index` is cheap and reads no signal; `load` reads one record with everything its set says of it.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from fascicle.errors import BadData
from fascicle.record import Record, Sex

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Item:
    """One recording of a set.

    Parameters
    ----------
    key
        The same for the same recording in every set that holds it, such as "ptbxl/00001".
    path
        What `fascicle.io.read` takes: the record's path without suffix.
    patient
        Who was recorded; the key where the set does not tell.
    fold
        The set's own folds where it has them; see each source.
    """

    key: str
    path: Path
    patient: str
    fold: int


@dataclass(frozen=True, slots=True)
class Source:
    """A public data set in the layout in which it is published.

    Parameters
    ----------
    records
        How many records the full set has; fewer is a partial set, which is fine.
    url
        Folder that holds the files and their SHA256SUMS.txt, with a final slash.
    include
        Patterns (`fnmatch`) of the published files that this source needs.
    annotations
        Suffixes of the annotation files that stand beside every record.
    index
        Folder -> items in a fixed order. Raises BadData when the folder is not this set.
    load
        Item -> record with all its labels, age and sex.
    """

    name: str
    title: str
    licence: str
    citation: str
    url: str
    records: int
    include: tuple[str, ...]
    annotations: tuple[str, ...]
    index: Callable[[Path], list[Item]]
    load: Callable[[Item], Record]


def read_table(path: Path, key: str) -> Mapping[str, Row]:
    """Return the rows of a CSV file by the value of its column `key`, parsed once per version.

    Raises
    ------
    BadData
        If the file is absent, not a table with that column, or names a key twice.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise BadData(f"{path}: expected the set's table here ({error.strerror})") from error
    return _parse_table(path, key, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=16)
def _parse_table(path: Path, key: str, _modified_ns: int, _size: int) -> Mapping[str, Row]:
    rows: dict[str, Row] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            table = csv.DictReader(lines, strict=True)
            if key not in (table.fieldnames or ()):
                raise BadData(f"{path}: expected a table with the column {key!r}")
            for row in table:
                if None in row or None in row.values():
                    raise BadData(f"{path} line {table.line_num}: wrong number of columns")
                if row[key] in rows:
                    raise BadData(f"{path} line {table.line_num}: {key} {row[key]} repeats")
                rows[row[key]] = MappingProxyType(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{path}: not a readable table: {error}") from error
    return MappingProxyType(rows)


def row_of(item: Item, table: Mapping[str, Row], key: str, path: Path) -> Row:
    """Return the item's row. Raises BadData if the table has none."""
    if key not in table:
        raise BadData(f"{path}: no row for {item.key}")
    return table[key]


def parse_age(text: str, where: str) -> float | None:
    """Return years, None for an empty cell; ages over 89 are published as 300 or ">89" -> 90."""
    text = text.strip()
    if not text or text.lower() == "nan":
        return None
    if text == ">89":
        return 90.0
    try:
        age = float(text)
    except ValueError as error:
        raise BadData(f"{where}: age {text!r} is not a number") from error
    if age == 300:
        return 90.0
    if not 0 <= age <= 130:
        raise BadData(f"{where}: age {text!r} is not possible")
    return age


def parse_sex(text: str, codes: Mapping[str, Sex], where: str) -> Sex | None:
    """Return "F" or "M" by the set's codes, None for an empty cell."""
    text = text.strip()
    if not text:
        return None
    if text not in codes:
        raise BadData(f"{where}: sex {text!r}, expected one of {', '.join(codes)}")
    return codes[text]


def hash_fold(key: str, folds: int) -> int:
    """Return 0 .. folds - 1 from the key alone: the same for ever and on every machine."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % folds
