"""WFDB records: a header and what it names, one set of signals or several segments."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from fascicle.errors import BadFile
from fascicle.io.header import read_header
from fascicle.io.raw import Raw
from fascicle.io.segments import read_segments
from fascicle.io.signals import read_signals


def read_wfdb(path: Path, unit: str | None) -> Raw:
    """Return a WFDB record by its header, its signal file or its name without suffix."""
    header_path = find_header(path)
    header = read_header(header_path)
    read = read_segments if header.segments else read_signals
    raw = read(header_path, header, unit)
    if not raw.leads:
        raise BadFile(f"{header_path}: expected a voltage, came {'; '.join(raw.warnings)[:200]}")
    stated = header.name.removesuffix(".mat")
    if stated != header_path.stem:
        raw = replace(raw, warnings=(*raw.warnings, f"the header is of a record named {stated!r}"))
    return raw


def find_header(path: Path) -> Path:
    """Return the header that belongs to `path`. Raises BadFile if there is none."""
    kind = path.suffix.lower()
    if kind == ".hea":
        return path
    of_signals = kind in (".dat", ".mat")
    bases = [path, path.with_suffix("")] if of_signals else [path]
    for candidate in [Path(f"{base}{suffix}") for base in bases for suffix in (".hea", ".HEA")]:
        if _is_file(candidate):
            return candidate
    if path.is_dir():
        closed = "" if os.access(path, os.R_OK | os.X_OK) else " that may not be searched"
        raise BadFile(f"{path}: expected a file, found a folder{closed}")
    if _is_file(path) and not of_signals:
        raise BadFile(f"{path}: expected a WFDB record, a table or an array, came another file")
    name = f"{bases[-1].name}.hea"
    raise BadFile(f"{path}: expected a file, or a WFDB header {name} beside it, found none")


def _is_file(path: Path) -> bool:
    """Return whether there is a file. Raises BadFile where not even that can be found out."""
    try:
        return path.is_file()
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror or error}") from error
