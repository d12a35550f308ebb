"""The records in a folder."""

from __future__ import annotations

import os
from pathlib import Path

from fascicle.errors import BadFile
from fascicle.io.header import LARGEST_HEADER, split_lines
from fascicle.io.raw import read_bytes
from fascicle.io.tables import number, separator_of, split

TABLES = (".csv", ".tsv")
ARRAYS = (".npy", ".npz")


def find_records(folder: Path | str) -> list[Path]:
    """Return the records in a folder and all its levels, sorted.

    A WFDB record is given by its header; headers of segments are left out, as are hidden files,
    and tables whose first row of data holds words (lists of patients, not signals).

    Raises BadFile if `folder` is not a folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadFile(f"{folder}: expected a folder")
    found: list[Path] = []
    segments: set[Path] = set()
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(place) / name for name in names if not name.startswith(".")):
            kind = path.suffix.lower()
            if kind == ".hea":
                segments.update(_segments(path))
            if kind in (".hea", *ARRAYS) or (kind in TABLES and not _is_prose(path)):
                found.append(path)
    return sorted(set(found) - segments)


def _segments(path: Path) -> set[Path]:
    """Return the headers of the segments that a header names."""
    try:
        lines, _ = split_lines(read_bytes(path, LARGEST_HEADER).decode("utf-8", "replace"))
    except BadFile:
        return set()
    if not lines or "/" not in lines[0].split()[0]:
        return set()
    return {path.parent / f"{line.split()[0]}.hea" for line in lines[1:]}


def _is_prose(path: Path) -> bool:
    """Return whether a table's second row has a cell that is no number."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as table:
            lines = [table.readline(2**16) for _ in range(2)]
    except OSError:
        return False
    cells = split(lines[1].strip(), separator_of(lines[1]))
    return any(number(cell) is None for cell in cells)
