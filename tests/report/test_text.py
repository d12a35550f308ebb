from __future__ import annotations

from dataclasses import replace

import pytest

from fascicle.record import Diagnosis, Findings, Measure
from fascicle.report import summarize
from fascicle.report.text import describe_beats, format_measure, group_present


def test_summary_in_full(findings: Findings) -> None:
    assert summarize(findings).splitlines() == [
        "rec-1: female, 63 years, 12 leads, 10 s at 250 Hz",
        "Signal     V3 poor (noisy)",
        "Intervals  Heart rate 75 bpm, RR —, P —, PR —, QRS —, QT —",
        "           QTc Fridericia —, QTc Bazett —, QTc Framingham —, Axis −30°",
        "Beats      11 N, 1 V",
        "Diagnoses  PTB-XL superclass:",
        "              60%  Conduction disturbance (CD)",
        "           SCP-ECG:",
        "              80%  ventricular premature complex (PVC)",
        "              70%  sinus rhythm (SR)",
        "Warnings   qt_ms: no T wave was sure enough",
        "by default 1.0. Research software, not a medical device.",
    ]


def test_summary_of_nothing(findings: Findings) -> None:
    bare = replace(
        findings,
        leads=("I",),
        age=None,
        sex=None,
        quality={},
        beats=(),
        intervals={},
        diagnoses=(),
        warnings=(),
    )
    text = summarize(bare)
    assert text.startswith("rec-1: 1 lead, 10 s")
    assert "no problem found" in text
    assert "none found" in text
    assert "none asked for" in text
    assert "Warnings" not in text


def test_beats_in_the_order_of_classes(findings: Findings) -> None:
    assert describe_beats(replace(findings, beats=findings.beats[::-1])) == "11 N, 1 V"


@pytest.mark.parametrize(
    ("measure", "unit", "text"),
    [
        (Measure(92.4, 1.0, 3), "ms", "92 ms"),
        (Measure(-0.4, 1.0, 3), "°", "0°"),
        (Measure(-90.0, 1.0, 3), "°", "−90°"),
        (None, "ms", "—"),
    ],
)
def test_measure(measure: Measure | None, unit: str, text: str) -> None:
    assert format_measure(measure, unit) == text


def test_a_diagnosis_at_its_threshold_is_present() -> None:
    at = Diagnosis("a", "s", "at", 0.5, 0.5)
    below = Diagnosis("b", "s", "below", 0.49, 0.5)
    assert group_present([below, at]) == [("s", [at])]


def test_summary_without_a_present_diagnosis(findings: Findings) -> None:
    absent = [item for item in findings.diagnoses if not item.present]
    assert "none reaches its threshold" in summarize(replace(findings, diagnoses=tuple(absent)))
