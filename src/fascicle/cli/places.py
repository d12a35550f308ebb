"""Where data sets and packs are kept when no folder is named."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir(part: str) -> Path:
    """Return ~/.cache/fascicle/PART, or its place under XDG_CACHE_HOME."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "fascicle" / part


def data_folder(named: Path | None) -> Path:
    """Return the folder that holds the data sets."""
    return named or cache_dir("data")


def packs_folder(named: Path | None) -> Path:
    """Return the folder that holds the packs."""
    return named or cache_dir("packs")
