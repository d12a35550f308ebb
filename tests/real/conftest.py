"""Real data sets: named by FASCICLE_DATA, or in the cache, or unpacked into it from beside here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SETS = ("mitdb", "ludb", "ptbxl", "cinc2021")


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "fascicle" / "data"


def _find_data() -> Path | None:
    named = os.environ.get("FASCICLE_DATA")
    if named:
        return Path(named)
    archives = Path(__file__).parents[3] / "shared" / "data" / "unpack"
    if archives.is_file():
        subprocess.run([str(archives), str(_cache())], check=True, stdout=subprocess.DEVNULL)
    return _cache() if all((_cache() / name).is_dir() for name in SETS) else None


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder that holds the four public data sets, or skip."""
    found = _find_data()
    if found is None or not all((found / name).is_dir() for name in SETS):
        pytest.skip(f"real data not found: set FASCICLE_DATA to a folder with {', '.join(SETS)}")
    return found
