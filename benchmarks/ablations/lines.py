"""Finished nets as lines of a file that processes share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fascicle.files import write_whole


def add_line(path: Path, line: Mapping[str, Any]) -> None:
    """Append a line in one write, so that two processes can share the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(line, separators=(",", ":")) + "\n"
    before = path.read_bytes() if path.exists() else b""
    broken = bool(before) and not before.endswith(b"\n")
    with path.open("ab", buffering=0) as file:
        file.write(("\n" * broken + text).encode())


def write_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Write these lines in place of the file's."""
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    write_whole(path, text.encode())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the runs of a file that is there; a line that was broken off does not count."""
    found: list[dict[str, Any]] = []
    for line in path.read_text().splitlines() if path.exists() else ():
        with suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found
