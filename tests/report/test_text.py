from __future__ import annotations

from dataclasses import replace

import pytest

from fascicle.record import Diagnosis, Findings, LeadQuality, Measure, Rhythm
from fascicle.report import summarize
from fascicle.report.text import (
    describe_beats,
    describe_quality,
    describe_rhythm,
    format_measure,
    group_present,
    join_reasons,
)


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
        "Warnings   QT: no T wave was sure enough",
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


def test_one_reason_of_several_intervals_is_one_line() -> None:
    warnings = ("no gain", "pr_ms: no P", "qt_ms: no T", "p_ms: no P", "note: no P", "rr_ms: no P")
    assert join_reasons(warnings) == ("no gain", "PR, P, RR: no P", "QT: no T", "note: no P")
    assert join_reasons(()) == ()


def test_leads_with_one_fault_are_one_line(findings: Findings) -> None:
    noisy, lost = LeadQuality("poor", ("noisy", "clipped")), LeadQuality("missing")
    quality = {"I": noisy, "II": LeadQuality("good"), "III": lost, "V1": noisy}
    described = describe_quality(replace(findings, quality=quality))
    assert described == ["I, V1 poor (noisy, clipped)", "III missing"]


SPANS = (Rhythm(0.0, 34.4, "sinus"), Rhythm(34.4, 61.0, "AF"), Rhythm(3599.0, 3661.0, "sinus"))


def test_rhythms_stand_after_the_beats_with_their_times(findings: Findings) -> None:
    lines = summarize(replace(findings, rhythm=SPANS)).splitlines()
    place = lines.index("Rhythm     sinus 0:00-0:34, AF 0:34-1:01, sinus 59:59-1:01:01")
    assert lines[place - 1].startswith("Beats")
    assert not any(line.startswith("Rhythm") for line in summarize(findings).splitlines())


def test_many_rhythms_are_added_up(findings: Findings) -> None:
    many = tuple(Rhythm(10.0 * i, 10.0 * i + 9, "VT" if i == 3 else "AF") for i in range(8))
    found = replace(findings, rhythm=many)
    assert describe_rhythm(found) == ["AF 1:03 in 7 spans", "VT 0:09 in 1 span"]
    assert "AF 1:03 in 7 spans, VT 0:09 in 1 span" in summarize(found)
    assert describe_rhythm(findings) == []
