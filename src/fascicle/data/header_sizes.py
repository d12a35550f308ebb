"""How many bytes each signal file of a WFDB record should have, by its header alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from fascicle.data.checksums import is_plain_path
from fascicle.errors import BadData

SIGNAL_FORMAT = re.compile(r"(\d+)(?:x(\d+))?(?::\d+)?(?:\+(\d+))?", re.ASCII)
SAMPLE_BITS: Mapping[str, int] = {
    "8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12,
}  # fmt: skip


def signal_file_sizes(header: Path) -> dict[Path, int | None]:
    """Return the size in bytes of each signal file that a WFDB header names.

    None where the header does not tell: compressed formats, or no number of samples.

    Raises
    ------
    BadData
        If the header cannot be read, or a file name leads out of its folder.
    """
    try:
        text = header.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadData(f"{header}: cannot be read: {error.strerror}") from error
    lines = [line.split() for line in text.splitlines() if line.strip() and line[0] != "#"]
    try:
        signals = int(lines[0][1])
        samples = int(lines[0][3]) if len(lines[0]) > 3 else 0
        named = [(line[0], SIGNAL_FORMAT.fullmatch(line[1])) for line in lines[1 : signals + 1]]
    except (IndexError, ValueError) as error:
        raise BadData(f"{header}: not a WFDB header of one segment") from error
    if len(named) < max(signals, 1):
        raise BadData(f"{header}: expected {signals} signal lines, got {len(named)}")
    formats: dict[str, list[re.Match[str] | None]] = {}
    for file, format_ in named:
        if not is_plain_path(file):
            raise BadData(f"{header}: signal file {file[:80]!r} is no plain path in the folder")
        formats.setdefault(file, []).append(format_)
    return {header.parent / file: _file_size(found, samples) for file, found in formats.items()}


def _file_size(formats: list[re.Match[str] | None], samples: int) -> int | None:
    """Bytes of one file from the formats of its signals; these share one format and offset."""
    first = formats[0]
    if first is None or first[1] not in SAMPLE_BITS or samples <= 0:
        return None
    per_frame = sum(int(format_[2] or 1) for format_ in formats if format_ is not None)
    return int(first[3] or 0) + (per_frame * samples * SAMPLE_BITS[first[1]] + 7) // 8
