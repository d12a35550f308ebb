"""WFDB records: a header and what it names, one set of signals or several segments."""

from __future__ import annotations

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
    if path.suffix.lower() == ".hea":
        return path
    same_name = Path(f"{path}.hea")
    for candidate in (same_name, path.with_suffix(".hea"), path.with_suffix(".HEA")):
        if candidate.is_file():
            return candidate
    expected = path.with_suffix(".hea") if path.suffix.lower() in (".dat", ".mat") else same_name
    raise BadFile(f"{path}: expected a WFDB header {expected.name} beside it, found none")
