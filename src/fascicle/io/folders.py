"""The records in a folder."""

from __future__ import annotations

import os
from pathlib import Path

from fascicle.errors import BadFile
from fascicle.io.header import LARGEST_HEADER, split_lines
from fascicle.io.raw import read_bytes
from fascicle.io.tables import clock, is_comment, number, separator_of, split, text_of

TABLES = (".csv", ".tsv")
ARRAYS = (".npy", ".npz")
FIRST_ROWS, FIRST_BYTES = 20, 2**18


def find_records(folder: Path | str) -> list[Path]:
    """Return the records in a folder and all its levels, sorted.

    A WFDB record is given by its header; headers of segments are left out, as are hidden files,
    and tables whose first rows mostly hold words (lists of patients, not signals). A folder that
    cannot be searched stands in the list itself, so that reading it says why.

    Raises BadFile if `folder` is not a folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadFile(f"{folder}: expected a folder")
    found: list[Path] = []
    segments: set[Path] = set()
    closed: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=closed.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(place) / name for name in names if not name.startswith(".")):
            kind = path.suffix.lower()
            if kind == ".hea":
                segments.update(_segments(path))
            if kind in (".hea", *ARRAYS) or (kind in TABLES and not _is_prose(path)):
                found.append(path)
    return sorted((set(found) | {Path(error.filename) for error in closed}) - segments)


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
    """Return whether most of the first rows below the names have a cell that is no number."""
    try:
        if not path.is_file():  # to open a pipe would wait for ever
            return False
        with path.open("rb") as table:
            text = text_of(table.read(FIRST_BYTES))
    except OSError:
        return False
    if text is None:
        return False
    lines = [line.strip() for line in text.splitlines()[:FIRST_ROWS]]
    rows = [line for line in lines if line and not is_comment(line)]
    separator = separator_of(rows[:2]) if rows else None
    words = [any(_is_word(cell) for cell in split(row, separator)) for row in rows[1:]]
    return 2 * sum(words) > len(words)


def _is_word(cell: str) -> bool:
    return number(cell) is None and clock(cell) is None
