"""The printed part of the page: who, the measurements, the diagnoses and the warnings.

Columns are laid out in lines from the top down before anything is drawn, so the page knows how
high the panel must be. Distances in mm; y goes down from the panel's top.
"""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from fascicle.record import Diagnosis, Findings
from fascicle.report.text import (
    INTERVAL_ROWS,
    SEXES,
    describe_beats,
    describe_quality,
    describe_rhythm,
    format_measure,
    group_present,
    join_reasons,
)
from fascicle.report.typeset import fit, put_text, width_mm, wrap

LINE_MM = 3.4
LEAST_LINES = 11
MOST_LINES = 34

INK = "#1b1b1f"
GREY = "#6b6b73"
RULE = "#c9c9cf"
BAR = "#3d5a80"
BAR_BACK = "#e4e7ec"
ALERT = "#8a1c4a"

MEASURES_MM = 56.0
DIAGNOSES_MM = 69.0
WARNINGS_MM = 56.0
GAP_MM = 5.0

_SIZE = 6.8
_BAR_MM = 13.0
_BULLET_MM = 2.2
_TITLE_MM = 5.0
_END_MM = 1.6
_VALUE_MM = 42.0


Line = str | Diagnosis
"""A line of the diagnoses: the name of a code system, or one of its statements."""


@dataclass(frozen=True, slots=True)
class Panel:
    """The lines of the panel's columns; the diagnoses take two."""

    first: tuple[Line, ...]
    second: tuple[Line, ...]
    warnings: tuple[str, ...]
    rhythm: tuple[str, ...]
    lines: int

    @property
    def height_mm(self) -> float:
        """Height of titles and lines."""
        return _TITLE_MM + LINE_MM * self.lines + _END_MM


def set_panel(findings: Findings) -> Panel:
    """Return the panel of some findings, with as many lines as its longest column needs."""
    said = join_reasons((*describe_quality(findings), *findings.warnings))
    warnings = _warning_lines(said)
    listed: list[Line] = []
    for system, diagnoses in group_present(findings.diagnoses):
        listed += [system, *diagnoses]
    rhythm = _rhythm_lines(findings)
    least = LEAST_LINES + len(rhythm)
    lines = min(max(least, len(warnings), (len(listed) + 2) // 2), MOST_LINES)
    first, rest = _break_columns(listed, lines)
    if len(rest) > lines:
        left_out = sum(not isinstance(line, str) for line in rest[lines - 1 :])
        rest = [*rest[: lines - 1], f"and {left_out} more, see the JSON file"]
    return Panel(tuple(first), tuple(rest), warnings, rhythm, lines)


def _rhythm_lines(findings: Findings) -> tuple[str, ...]:
    """Return the rhythms on one line if they fit, else each on its own."""
    parts = describe_rhythm(findings, most=2)
    together = ", ".join(parts)
    return (together,) if parts and _fits("Rhythm", together) else tuple(parts)


def _fits(word: str, value: str) -> bool:
    return width_mm(value, _SIZE, bold=True) <= MEASURES_MM - 2 - width_mm(word, _SIZE)


def _break_columns(listed: list[Line], lines: int) -> tuple[list[Line], list[Line]]:
    """Return both columns, broken between systems where that fits, never after a system's name."""
    if len(listed) <= lines:
        return listed, []
    names = [row for row, line in enumerate(listed) if isinstance(line, str) and row]
    whole = [row for row in names if row <= lines and len(listed) - row <= lines]
    end = max(whole, default=lines - (lines - 1 in names))
    return listed[:end], listed[end:]


def draw_header(axes: Axes, findings: Findings, paper_mm: float) -> None:
    """Draw the name and what is known of the person at y = 0, the recording at the right."""
    leads = len(findings.leads)
    recording = (
        f"{leads} lead{'s' if leads != 1 else ''} · {findings.duration_s:.4g} s · "
        f"{findings.rate_hz:g} Hz"
    )
    bundle = f"{findings.bundle.name} {findings.bundle.version}".strip()
    put_text(axes, paper_mm, 0.6, recording, 7.5, ha="right")
    put_text(axes, paper_mm, -2.8, fit(f"read by {bundle}", 80, 6), 6, ha="right", color=GREY)
    who = [SEXES[findings.sex]] if findings.sex else []
    who += [] if findings.age is None else [f"{findings.age:.0f} years"]
    person = ", ".join(who) or "age and sex unknown"
    person_mm = width_mm(person, 9)
    room_mm = paper_mm - max(width_mm(recording, 7.5), 80) - person_mm - 10
    name = fit(findings.name, room_mm, 13, bold=True)
    put_text(axes, 0, -1.2, name, 13, weight="bold")
    put_text(axes, width_mm(name, 13, bold=True) + 4, -1.2, person, 9, color=GREY)


def draw_panel(axes: Axes, findings: Findings, panel: Panel) -> None:
    """Draw the three columns below y = 0."""
    x = 0.0
    _draw_title(axes, x, MEASURES_MM, "Measurements")
    _draw_measures(axes, findings, panel.rhythm)
    x += MEASURES_MM + GAP_MM
    _draw_title(axes, x, 2 * DIAGNOSES_MM + GAP_MM, "Diagnoses present (mark: threshold)")
    for column in (panel.first, panel.second):
        _draw_diagnoses(axes, x, column)
        x += DIAGNOSES_MM + GAP_MM
    if not panel.first:
        said = "None reaches its threshold." if findings.diagnoses else "None asked for."
        put_text(axes, MEASURES_MM + GAP_MM, _line_y(0), said, _SIZE, color=GREY)
    _draw_title(axes, x, WARNINGS_MM, "Warnings")
    if not panel.warnings:
        put_text(axes, x, _line_y(0), "None.", _SIZE, color=GREY)
    for row, line in enumerate(panel.warnings):
        bullet = line[:1] if line.startswith("•") else ""
        put_text(axes, x, _line_y(row), bullet, 6.2)
        put_text(axes, x + _BULLET_MM, _line_y(row), line.removeprefix(bullet), 6.2)


def _line_y(row: int) -> float:
    return -_TITLE_MM - LINE_MM * (row + 0.75)


def _draw_title(axes: Axes, x: float, width: float, title: str) -> None:
    put_text(axes, x, -2.6, title, 6.5, weight="bold", color=GREY)
    axes.add_patch(Rectangle((x, -4.3), width, 0.25, facecolor=RULE, edgecolor="none"))


def _draw_measures(axes: Axes, findings: Findings, rhythm: tuple[str, ...]) -> None:
    """Draw the intervals, each with its deviation over the beats, then the beats and the rhythm."""
    for row, (key, word, unit) in enumerate(INTERVAL_ROWS):
        y = _line_y(row)
        measure = findings.intervals.get(key)
        put_text(axes, 0, y, word, _SIZE, color=GREY)
        put_text(
            axes, _VALUE_MM, y, format_measure(measure, unit), _SIZE, ha="right", weight="bold"
        )
        if measure is not None and measure.beats > 1:
            put_text(axes, _VALUE_MM + 2, y, f"± {measure.sd:.0f}", 6, color=GREY)
    _draw_long(axes, len(INTERVAL_ROWS), "Beats", describe_beats(findings) or "—")
    for row, text in enumerate(rhythm, len(INTERVAL_ROWS) + 1):
        _draw_long(axes, row, "Rhythm" if text == rhythm[0] else "", text)


def _draw_long(axes: Axes, row: int, word: str, value: str) -> None:
    """Draw a value that may need more than the column of values, as in long records."""
    put_text(axes, 0, _line_y(row), word, _SIZE, color=GREY)
    room = MEASURES_MM - 2 - width_mm(word, _SIZE)
    value = fit(value, room, _SIZE, bold=True)
    narrow = width_mm(value, _SIZE, bold=True) < _VALUE_MM - 11
    right = _VALUE_MM if narrow else MEASURES_MM
    put_text(axes, right, _line_y(row), value, _SIZE, weight="bold", ha="right")


def _draw_diagnoses(axes: Axes, x: float, column: tuple[Line, ...]) -> None:
    bar_left = x + DIAGNOSES_MM - _BAR_MM - 8.5
    for row, item in enumerate(column):
        y = _line_y(row)
        if isinstance(item, str):
            put_text(axes, x, y, fit(item, DIAGNOSES_MM, 6), 6, color=GREY, style="italic")
            continue
        put_text(axes, x, y, fit(item.name, bar_left - x - 2, _SIZE), _SIZE)
        for width, colour in ((_BAR_MM, BAR_BACK), (_BAR_MM * item.probability, BAR)):
            axes.add_patch(
                Rectangle((bar_left, y - 0.1), width, 1.9, facecolor=colour, edgecolor="none")
            )
        mark = bar_left + _BAR_MM * item.threshold
        axes.add_patch(
            Rectangle((mark - 0.15, y - 0.5), 0.3, 2.7, facecolor=ALERT, edgecolor="none")
        )
        percent = f"{item.probability:.0%}"
        put_text(axes, x + DIAGNOSES_MM, y, percent, _SIZE, ha="right")


def _warning_lines(warnings: tuple[str, ...]) -> tuple[str, ...]:
    lines: list[str] = []
    for shown, warning in enumerate(warnings):
        wrapped = wrap(warning, WARNINGS_MM - _BULLET_MM, 6.2)
        if len(lines) + len(wrapped) > MOST_LINES - (shown + 1 < len(warnings)):
            return (*lines, f"and {len(warnings) - shown} more, see the JSON file")
        lines += ["•" + wrapped[0], *wrapped[1:]] if wrapped else []
    return tuple(lines)
