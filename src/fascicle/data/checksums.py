"""SHA256SUMS.txt as PhysioNet publishes it: one line per file, hash, blank, path below the list."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from fascicle.errors import BadData

SUMS = "SHA256SUMS.txt"
MAX_PATH = 1024
MAX_PART_BYTES = 250  # ".part" must still fit
LINE = re.compile(r"([0-9a-fA-F]{64}) [ *]?(\S.*)")


def parse_checksums(text: str, where: str) -> Mapping[str, str]:
    """Return path -> SHA-256 in lower case, in the order of the list.

    Raises
    ------
    BadData
        If a line has another form, or a path is not plain and inside the folder or has two
        hashes.
    """
    sums: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        match = LINE.fullmatch(line.rstrip())
        if match is None:
            raise BadData(
                f"{where} line {number}: expected a SHA-256 and a path, got {line[:80]!r}"
            )
        digest, path = match[1].lower(), match[2].removeprefix("./")
        if not is_plain_path(path):
            raise BadData(f"{where} line {number}: {path[:80]!r} is no plain path in the folder")
        if sums.setdefault(path, digest) != digest:
            raise BadData(f"{where} line {number}: {path} has two different hashes")
    if not sums:
        raise BadData(f"{where}: the list of files is empty")
    return MappingProxyType(sums)


def is_plain_path(path: str) -> bool:
    """Return whether a relative path names a file below its folder, on every operating system."""
    parts = PurePosixPath(path).parts
    strange = any(character in path for character in '\\:*?"<>|') or not path.isprintable()
    too_long = len(path) > MAX_PATH or any(len(part.encode()) > MAX_PART_BYTES for part in parts)
    outside = path.startswith("/") or ".." in parts
    return bool(parts) and not (strange or too_long or outside)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes. Raises BadData if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadData(f"{path}: cannot be read: {error.strerror}") from error
