"""The memory benchmark: its table, and that memory grows with the length, not with its square."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "perceiver-memory"
MODULES = ("measuring", "run")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return the benchmark's module, as it is imported beside `measuring`."""
    for name in MODULES:
        sys.modules.pop(name, None)
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module("run")
    for name in MODULES:
        sys.modules.pop(name, None)


def test_four_times_the_frames_take_no_more_than_four_times_the_memory(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "SHAPES", {"small": bench.SHAPES["small"]})
    short, long = bench.measure((8 * 3600, 32 * 3600))  # far above what imports take
    assert (short["frames"], long["frames"]) == (112500, 450000)
    assert 1 < long["head_mb"] / short["head_mb"] < 4.5
    assert long["head_mb"] * 1e6 / long["frames"] < 8 * 2 * 128 * 4
    lines = bench.table([short, long]).splitlines()
    assert lines[2].startswith("| small | 8 h | 112500 | 57.6 |")
    assert lines[3].startswith("| small | 32 h | 450000 |")
