from __future__ import annotations

from dataclasses import replace

import pytest

from fascicle.record import Diagnosis, Findings
from fascicle.report.panel import LEAST_LINES, MOST_LINES, set_panel


def many(system: str, count: int) -> list[Diagnosis]:
    return [Diagnosis(f"{i}", system, f"{system} {i}", 0.9, 0.5) for i in range(count)]


def test_little_to_say_takes_the_least_room(findings: Findings) -> None:
    panel = set_panel(replace(findings, diagnoses=(), warnings=(), quality={}))
    assert (panel.first, panel.second, panel.warnings) == ((), (), ())
    assert panel.lines == LEAST_LINES


def test_present_diagnoses_stand_under_their_system(findings: Findings) -> None:
    panel = set_panel(findings)
    said = [line if isinstance(line, str) else line.code for line in panel.first]
    assert said == ["PTB-XL superclass", "CD", "SCP-ECG", "PVC", "SR"]
    assert panel.second == ()


def test_columns_break_between_systems(findings: Findings) -> None:
    diagnoses = (*many("A", 3), *many("B", 4), *many("C", 4))
    panel = set_panel(replace(findings, diagnoses=diagnoses))
    assert panel.first[4] == "B"
    assert len(panel.first) == 9
    assert panel.second[0] == "C"


@pytest.mark.parametrize("count", [1, 9, 10, 11, 20, 21, 22, 40, 66, 67, 68, 200])
def test_every_diagnosis_is_shown_or_counted(findings: Findings, count: int) -> None:
    diagnoses = (*many("A", count // 2), *many("B", count - count // 2))
    panel = set_panel(replace(findings, diagnoses=diagnoses))
    assert len(panel.first) <= panel.lines <= MOST_LINES
    assert len(panel.second) <= panel.lines
    assert not isinstance(panel.first[-1], str)
    lines = [*panel.first, *panel.second]
    shown = sum(isinstance(line, Diagnosis) for line in lines)
    if shown < count:
        assert lines[-1] == f"and {count - shown} more, see the JSON file"


@pytest.mark.parametrize("count", [1, 15, 34, 35, 80])
def test_every_warning_is_shown_or_counted(findings: Findings, count: int) -> None:
    warnings = tuple(f"warning {i}" for i in range(count))
    lines = set_panel(replace(findings, warnings=warnings, quality={})).warnings
    assert len(lines) <= MOST_LINES
    shown = sum(line.startswith("•") for line in lines)
    if shown < count:
        assert lines[-1] == f"and {count - shown} more, see the JSON file"
    assert shown >= min(count, MOST_LINES - 1)


def test_leads_that_are_not_good_stand_before_the_warnings(findings: Findings) -> None:
    lines = set_panel(findings).warnings
    assert [line.lstrip("• ") for line in lines] == [
        "V3 poor (noisy)",
        "QT: no T wave was sure enough",
    ]
