"""The rhythm benchmark: what it counts, on made-up records."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fascicle.record import Beat, BeatKind, Record, Rhythm

PATH = Path(__file__).parents[2] / "benchmarks" / "rhythm" / "run.py"


@pytest.fixture(scope="module")
def run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rhythm_run", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["rhythm_run"] = module
    spec.loader.exec_module(module)
    return module


def span(start_s: float, end_s: float, kind: str) -> dict[str, Any]:
    return {"start_s": start_s, "end_s": end_s, "kind": kind}


def make_record(name: str = "202", fold: int = 2) -> dict[str, Any]:
    """Return 100 s: 40 of sinus rhythm, 50 of AF of which 40 are found, 10 of bigeminy."""
    return {
        "name": name,
        "patient": f"mitdb/{name}",
        "fold": fold,
        "reference": [span(0, 40, "sinus"), span(40, 90, "AF"), span(90, 100, "")],
        "found": [span(0, 50, "sinus"), span(50, 100, "AF")],
        "beats": [float(t) + 0.5 for t in range(100)],
        "p": [float(t) + 0.35 for t in range(60)],
    }


def test_marks_become_kinds(run: ModuleType) -> None:
    marks = (Rhythm(0, 1, "AFIB"), Rhythm(1, 2, "B"), Rhythm(2, 3, "SBR"), Rhythm(3, 4, "?"))
    record = Record("r", np.zeros((1, 4), np.float32), 1.0, ("I",), rhythms=marks)
    assert [found.kind for found in run.told(record)] == ["AF", "", "sinus", ""]


def test_seconds_and_scores_of_a_record(run: ModuleType) -> None:
    found = run.of_record(make_record())
    assert (found["reference_s"], found["found_s"], found["both_s"]) == (50, 40, 40)
    assert found["found_in"] == {"AF": 40}
    scores = run.scored([make_record("1"), make_record("2")])
    assert scores["patients"] == 2
    assert scores["scores"]["AF.sensitivity"] == [0.8, 0.8, 0.8]
    assert scores["scores"]["AF.ppv"][0] == 1
    assert scores["scores"]["sinus.ppv"][0] == 0.8


def test_p_waves_by_rhythm(run: ModuleType) -> None:
    found = run.p_waves([make_record()])
    assert found["sinus"] == {"beats": 40, "with_p": 1.0}
    assert found["AF"] == {"beats": 50, "with_p": 0.4}
    assert "flutter" not in found


def test_paced_beats_are_counted(run: ModuleType) -> None:
    kinds: tuple[BeatKind, ...] = ("N", "Q", "Q", "Q", "V")
    reference = [Beat(float(time_s), kind) for time_s, kind in enumerate(kinds)]
    found = [replace(reference[0], kind="Q"), *reference[1:3], Beat(9.0, "Q")]
    record = make_record() | {"named": run.named(reference, found)}
    counted = run.paced_beats([record])
    assert counted == {"q": 2, "q_called": 2, "others": 1, "others_called": 1}


def test_the_table_says_what_was_found(run: ModuleType) -> None:
    records = [make_record(), make_record("201", 1)]
    half = [0.95, 0.9, 0.99]
    text = run.table(
        {
            "parts": {"DS2": run.scored(records[:1])},
            "records": {r["name"]: run.of_record(r) for r in records},
            "p_waves": run.p_waves(records),
            "paced_beats": {"DS2": {"q": 7, "q_called": 5, "others": 40, "others_called": 2}},
            "ptbxl": {
                "1": {"records": 9, "with_af": 2, "rhythm": half, "diagnosis": half},
                "12": {"records": 3, "with_af": 0},
            },
        }
    )
    assert "| DS2 | AF | 50 | 0.800 (0.800 to 0.800) | 1.000 (1.000 to 1.000) |" in text
    assert "| 202 | 50 | 40 | 40 | AF 40 |" in text
    assert "| lead I alone | 9 (2) | 0.950 (0.900 to 0.990) | 0.950 (0.900 to 0.990) |" in text
    assert "| twelve leads | 3 (0) | none | none |" in text
    assert "| AF | 100 | 0.400 |" in text
    assert "| DS2 | 7 | 5 | 40 | 2 |" in text
