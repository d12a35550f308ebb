"""Findings as a short text for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fascicle.record import BEAT_KINDS, Diagnosis, Findings, Measure

INTERVAL_ROWS = (
    ("heart_rate_bpm", "Heart rate", "bpm"),
    ("rr_ms", "RR", "ms"),
    ("p_ms", "P", "ms"),
    ("pr_ms", "PR", "ms"),
    ("qrs_ms", "QRS", "ms"),
    ("qt_ms", "QT", "ms"),
    ("qtc_fridericia_ms", "QTc Fridericia", "ms"),
    ("qtc_bazett_ms", "QTc Bazett", "ms"),
    ("qtc_framingham_ms", "QTc Framingham", "ms"),
    ("axis_deg", "Axis", "°"),
)
"""Key of `Findings.intervals`, the word for it and its unit, in the order of reading."""

DISCLAIMER = "Research software, not a medical device."
SEXES = {"F": "female", "M": "male"}


def summarize(findings: Findings) -> str:
    """Return the findings as a few lines of plain text, without a final line end."""
    parts = [
        [f"{findings.name}: {describe_record(findings)}"],
        _section("Signal", describe_quality(findings) or ["no problem found"]),
        _section("Intervals", _interval_lines(findings)),
        _section("Beats", [describe_beats(findings) or "none found"]),
        _section("Rhythm", [", ".join(rhythm)] if (rhythm := describe_rhythm(findings)) else []),
        _section("Diagnoses", _diagnosis_lines(findings)),
        _section("Warnings", list(join_reasons(findings.warnings))),
        [f"by {findings.bundle.name} {findings.bundle.version}. {DISCLAIMER}"],
    ]
    return "\n".join(line for part in parts for line in part)


def describe_record(findings: Findings) -> str:
    """Return who and what was recorded, such as "female, 63 years, 12 leads, 10 s at 500 Hz"."""
    who = [SEXES[findings.sex]] if findings.sex else []
    if findings.age is not None:
        who.append(f"{findings.age:.0f} years")
    leads = len(findings.leads)
    who.append(f"{leads} lead{'s' if leads != 1 else ''}")
    return f"{', '.join(who)}, {findings.duration_s:.4g} s at {findings.rate_hz:g} Hz"


def describe_beats(findings: Findings) -> str:
    """Return how many beats there are of each class, such as "11 N, 2 V"; "" without beats."""
    counts = Counter(beat.kind for beat in findings.beats)
    return ", ".join(f"{counts[kind]} {kind}" for kind in BEAT_KINDS if counts[kind])


def describe_rhythm(findings: Findings, most: int = 6) -> list[str]:
    """Return which rhythm there is when, such as "sinus 0:00-0:34" and "AF 0:34-1:00".

    More than `most` spans are counted, the longest kind first: "AF 14:05 in 9 spans".
    """
    spans = findings.rhythm
    if len(spans) <= most:
        return [f"{s.kind} {_clock(s.start_s)}-{_clock(s.end_s)}" for s in spans]
    parts = []
    for kind in dict.fromkeys(span.kind for span in spans):
        lengths = [span.end_s - span.start_s for span in spans if span.kind == kind]
        plural = "s" if len(lengths) > 1 else ""
        parts.append(
            (sum(lengths), f"{kind} {_clock(sum(lengths))} in {len(lengths)} span{plural}")
        )
    return [text for _, text in sorted(parts, reverse=True)]


def _clock(time_s: float) -> str:
    """Return minutes and seconds such as "0:34", with hours where there are any."""
    minutes, seconds = divmod(round(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def describe_quality(findings: Findings) -> list[str]:
    """Return which leads are not good and why, such as "II, aVF poor (noisy: mains)"."""
    leads: dict[str, list[str]] = {}
    for lead, quality in findings.quality.items():
        if quality.status != "good":
            reasons = f" ({', '.join(quality.reasons)})" if quality.reasons else ""
            leads.setdefault(f"{quality.status}{reasons}", []).append(lead)
    return [f"{', '.join(of)} {fault}" for fault, of in leads.items()]


def format_measure(measure: Measure | None, unit: str) -> str:
    """Return an interval with its unit, such as "92 ms" or "45°"; "—" when it is None."""
    if measure is None:
        return "—"
    gap = "" if unit == "°" else " "
    return f"{measure.value:z.0f}{gap}{unit}".replace("-", "−")


def group_present(diagnoses: Sequence[Diagnosis]) -> list[tuple[str, list[Diagnosis]]]:
    """Return the present diagnoses by code system, superclasses first, the likeliest first."""
    groups: dict[str, list[Diagnosis]] = {}
    for diagnosis in diagnoses:
        if diagnosis.present:
            groups.setdefault(diagnosis.system, []).append(diagnosis)
    systems = sorted(groups, key=lambda system: "superclass" not in system.lower())
    return [
        (system, sorted(groups[system], key=lambda item: -item.probability)) for system in systems
    ]


def join_reasons(warnings: Sequence[str]) -> tuple[str, ...]:
    """Return the warnings for a reader: intervals by their words, those of one reason together."""
    words = {key: word for key, word, _ in INTERVAL_ROWS}
    joined: dict[str, list[str]] = {}
    for warning in warnings:
        key, _, reason = warning.partition(": ")
        if key in words:
            joined.setdefault(reason, []).append(words[key])
        else:
            joined.setdefault(warning, [])
    return tuple(f"{', '.join(of)}: {text}" if of else text for text, of in joined.items())


def _section(title: str, lines: list[str]) -> list[str]:
    return [f"{title if row == 0 else '':<10} {line}" for row, line in enumerate(lines)]


def _interval_lines(findings: Findings) -> list[str]:
    values = [
        f"{word} {format_measure(findings.intervals.get(key), unit)}"
        for key, word, unit in INTERVAL_ROWS
    ]
    return [", ".join(values[:6]), ", ".join(values[6:])]


def _diagnosis_lines(findings: Findings) -> list[str]:
    lines = []
    for system, diagnoses in group_present(findings.diagnoses):
        lines.append(f"{system}:")
        lines += [f"  {item.probability:4.0%}  {item.name} ({item.code})" for item in diagnoses]
    return lines or ["none reaches its threshold" if findings.diagnoses else "none asked for"]
