"""How many bytes each signal file of a WFDB record should have, by its header alone."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

from fascicle.data.checksums import stays_inside
from fascicle.errors import BadData

SIGNAL_FORMAT = re.compile(r"(\d+)(?:x(\d+))?(?::\d+)?(?:\+(\d+))?", re.ASCII)
SAMPLE_BYTES: Mapping[str, float] = {
    "8": 1, "16": 2, "24": 3, "32": 4, "61": 2, "80": 1, "160": 2, "212": 1.5,
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
    sizes: dict[Path, int | None] = {}
    for file, _ in named:
        if not stays_inside(file):
            raise BadData(f"{header}: signal file {file!r} leads out of the folder")
        formats = [format_ for other, format_ in named if other == file]
        sizes[header.with_name(file)] = _file_size(formats, samples)
    return sizes


def _file_size(formats: list[re.Match[str] | None], samples: int) -> int | None:
    """Bytes of one file from the formats of its signals; these share one format and offset."""
    first = formats[0]
    if first is None or first[1] not in SAMPLE_BYTES or samples <= 0:
        return None
    per_frame = sum(int(format_[2] or 1) for format_ in formats if format_ is not None)
    return int(first[3] or 0) + math.ceil(per_frame * samples * SAMPLE_BYTES[first[1]])
