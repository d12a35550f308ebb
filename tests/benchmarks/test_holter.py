"""The day's benchmark: the record that it makes, and its tables."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fascicle.io import read
from fascicle.record import Beat, Wave
from fascicle.synth import synthesize
from fascicle.tasks import Outcome

FOLDER = Path(__file__).parents[2] / "benchmarks" / "holter"
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


def test_the_day_is_its_parts_one_after_another(
    bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    parts = [np.full((2, 3), 0.5), np.array([[1.0, 2.0], [-1.0, np.nan]])]
    monkeypatch.setattr(bench, "signals", lambda _: parts)
    bench.make_day(argparse.Namespace(), tmp_path / "day")
    record = read(tmp_path / "day.hea")
    assert (record.leads, record.rate_hz) == (("II", "V1"), 360.0)
    assert record.warnings == ("lead 'MLII' is a modified lead, read as II",)  # checksums are right
    np.testing.assert_allclose(record.signal, [[0.5] * 3 + [1, 2], [0.5] * 3 + [-1, 0]], atol=1e-6)


def test_changes_are_counted(bench: Any) -> None:
    record = synthesize("sinus", seed=1)
    marks = record.beats

    def waves(shift_s: float) -> tuple[Wave, ...]:
        return tuple(Wave("II", "QRS", t + shift_s, t + 0.1, t + 0.2) for t in range(1, 6))

    every = Outcome(waves(0.0), marks)
    some = Outcome(waves(0.01)[1:], (Beat(marks[0].time_s, "V"), *marks[2:]))
    found = bench.beat_changes(record, every, some) | bench.wave_changes(every, some)
    assert (found["beats"], found["beats_lost"], found["beats_new"]) == (len(marks), 1, 0)
    assert found["other_kind"] == 1
    none_of_a_kind = Outcome((*waves(0.0), Wave("V1", "P", 1.0, 1.1, 1.2)), marks)
    for pair, counts in (((every, none_of_a_kind), (0, 1)), ((none_of_a_kind, every), (1, 0))):
        changes = bench.wave_changes(*pair)
        assert (changes["waves_lost"], changes["waves_new"]) == counts
    assert (found["sensitivity_every"], found["ppv_some"]) == (1.0, 1.0)
    assert found["sensitivity_some"] == pytest.approx(1 - 1 / len(marks))
    assert (found["waves"], found["waves_lost"], found["waves_new"]) == (5, 1, 0)
    assert found["boundary_mean_ms"] == pytest.approx(5.0)


def test_both_tables_are_shown(bench: Any) -> None:
    day = {
        "threads": 2,
        "wall_s": 50.0,
        "cpu_s": 90.0,
        "times_real_time": 1733.3,
        "peak_mb": 1234.5,
    }
    day |= {"peak_mb": 1234.5, "waves": 978_000, "beats": 109_000, "json_mb": 157.0}
    machine = {"processor": "P", "cores": 2, "memory_gb": 8, "system": "S"}
    about = {"machine": machine, "versions": {}, "note": "", "load_at_start": 0.1, "commit": "c"}
    lines = bench.table({"day": [day], "spread": [], **about}).splitlines()
    assert lines[2] == "| 2 | 50.0 | 90.0 | 1,733 | 1,234 | 978,000 | 109,000 | 157 |"
    assert len(lines) == 5
