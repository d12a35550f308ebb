"""The calibrated part of the page: grid, calibration pulses, traces, waves, beats and rhythms.

Everything is in millimetres on one axes; each kind of line is one collection, so it is quick.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from fascicle.record import BEAT_KINDS, Findings, Record, Wave, WaveKind
from fascicle.report.layout import (
    CELL_S,
    MM_PER_S,
    PAPER_MM,
    Layout,
    Row,
    Strip,
    cut_out,
    status_of,
)
from fascicle.report.typeset import fit, put_text, width_mm

PAPER = "#fffaf7"
MINOR = "#f7dcd6"
MAJOR = "#eeb9ae"
INK = "#1b1b1f"
GREY = "#6b6b73"
ALERT = "#8a1c4a"
WAVE_COLOURS: dict[WaveKind, str] = {"P": "#0072b2", "QRS": "#d55e00", "T": "#00875f"}
"""After Okabe and Ito, told apart with every usual colour blindness and in grey by their place."""

_PULSE_LEFT_MM = 2.0
_PULSE_MM = 5.0
_BRACKET_MM = 0.6
_TRACE_PT = 0.75
_WAVE_PT = 1.05

Path = NDArray[np.float64]


def draw_paper(axes: Axes, record: Record, findings: Findings, layout: Layout) -> None:
    """Draw grid, traces, waves and beats of a layout whose lower left corner is (0, 0)."""
    _draw_grid(axes, layout.height_mm)
    _draw_pulses(axes, layout)
    known = _waves_by_lead(findings, layout)
    ink: list[Path] = []
    poor: list[Path] = []
    waves: dict[WaveKind, list[Path]] = {kind: [] for kind in WAVE_COLOURS}
    for strip in layout.strips:
        row = layout.rows[strip.row]
        status = status_of(record, findings.quality, strip.lead)
        if status.status != "missing":
            points = _trace(record, strip, row, layout.gain)
            (ink if status.status == "good" else poor).extend(_unbroken(points))
            # The consensus stands in for a lead without waves of its own.
            for wave in known.get(strip.lead, known.get(None, [])):
                waves[wave.kind] += _unbroken(_part(points, wave, strip))
        _draw_label(axes, strip, row, status.status, status.reasons)
        if strip.rhythm:
            _draw_beats(axes, findings, strip, row)
            _draw_rhythms(axes, findings, strip, row)
    _draw_lines(axes, ink, INK, _TRACE_PT, "trace")
    _draw_lines(axes, poor, GREY, _TRACE_PT, "poor trace")
    for kind, parts in waves.items():
        _draw_lines(axes, parts, WAVE_COLOURS[kind], _WAVE_PT, kind)
    _draw_separators(axes, layout)


def _draw_grid(axes: Axes, height_mm: float) -> None:
    axes.add_patch(Rectangle((0, 0), PAPER_MM, height_mm, facecolor=PAPER, edgecolor="none"))
    for step, colour, width, name in ((1, MINOR, 0.3, "1 mm"), (5, MAJOR, 0.5, "5 mm")):
        across = np.arange(0, PAPER_MM + 0.5, step)
        up = np.arange(0, height_mm + 0.5, step)
        if step == 1:  # the heavier lines cover every fifth
            across, up = across[across % 5 != 0], up[up % 5 != 0]
        lines = [[(x, 0.0), (x, height_mm)] for x in across]
        lines += [[(0.0, y), (PAPER_MM, y)] for y in up]
        axes.add_collection(
            LineCollection(lines, colors=colour, linewidths=width, label=name), autolim=False
        )


def _draw_pulses(axes: Axes, layout: Layout) -> None:
    """Draw 1 mV for 0.2 s at the left of every row."""
    left, right = _PULSE_LEFT_MM, _PULSE_LEFT_MM + _PULSE_MM
    pulses = [
        np.array(
            [
                (left - 1, row.base_mm),
                (left, row.base_mm),
                (left, row.base_mm + layout.gain),
                (right, row.base_mm + layout.gain),
                (right, row.base_mm),
                (right + 1, row.base_mm),
            ]
        )
        for row in layout.rows
    ]
    _draw_lines(axes, pulses, INK, _TRACE_PT, "calibration")


def _trace(record: Record, strip: Strip, row: Row, gain: float) -> Path:
    """Return the points (x, y) in mm; those beyond the row's limits are NaN."""
    times, samples = cut_out(record, strip)
    y = row.base_mm + gain * samples
    y[(y < row.bottom_mm) | (y > row.top_mm)] = np.nan
    return np.column_stack([strip.left_mm + MM_PER_S * (times - strip.start_s), y])


def _waves_by_lead(findings: Findings, layout: Layout) -> dict[str | None, list[Wave]]:
    """Return the waves on the page by lead; a lead that has any, but none here, has an entry."""
    waves: dict[str | None, list[Wave]] = {}
    for wave in findings.waves:
        known = waves.setdefault(wave.lead, [])
        if wave.onset_s is None or wave.offset_s is None:
            continue
        if wave.onset_s <= layout.end_s and wave.offset_s >= layout.start_s:
            known.append(wave)
    return waves


def _part(points: Path, wave: Wave, strip: Strip) -> Path:
    """Return the points inside a wave; none when a boundary is unknown."""
    if wave.onset_s is None or wave.offset_s is None:
        return points[:0]
    span = strip.left_mm + MM_PER_S * (np.array([wave.onset_s, wave.offset_s]) - strip.start_s)
    first, last = np.searchsorted(points[:, 0], span + np.array([-1e-6, 1e-6]))
    return points[first:last]


def _unbroken(points: Path) -> list[Path]:
    """Return the stretches of two points or more without a gap."""
    if not points.size:
        return []
    solid = np.isfinite(points[:, 1])
    edges = np.flatnonzero(np.diff(np.concatenate([[False], solid, [False]])))
    return [points[a:b] for a, b in edges.reshape(-1, 2) if b - a > 1]


def _draw_lines(axes: Axes, lines: Sequence[Path], colour: str, width: float, name: str) -> None:
    axes.add_collection(
        LineCollection(
            lines,
            colors=colour,
            linewidths=width,
            capstyle="round",
            joinstyle="round",
            label=name,
        ),
        autolim=False,
    )


def _draw_label(axes: Axes, strip: Strip, row: Row, status: str, reasons: Sequence[str]) -> None:
    halo = [withStroke(linewidth=2, foreground=PAPER)]
    x, y = strip.left_mm + 1, row.top_mm - 3.2
    label = put_text(axes, x, y, fit(strip.lead, 30, 8), 8, weight="bold", path_effects=halo)
    if status == "good":
        return
    said = f"{status}: {', '.join(reasons)}" if reasons else status
    x += 2 + width_mm(label.get_text(), 8, bold=True)
    room_mm = strip.left_mm + CELL_S * MM_PER_S - 1 - x
    put_text(axes, x, y, fit(said, room_mm, 6), 6, color=ALERT, path_effects=halo)


def _draw_beats(axes: Axes, findings: Findings, strip: Strip, row: Row) -> None:
    """Write each beat's class above the rhythm strip, all but normal ones in bold."""
    ticks = []
    for beat in findings.beats:
        if not strip.start_s <= beat.time_s <= strip.start_s + strip.length_s:
            continue
        x = strip.left_mm + MM_PER_S * (beat.time_s - strip.start_s)
        usual = beat.kind == BEAT_KINDS[0]
        put_text(
            axes,
            x,
            row.top_mm + 1.4,
            beat.kind,
            6.5,
            ha="center",
            color=GREY if usual else ALERT,
            weight="normal" if usual else "bold",
        )
        ticks.append(np.array([(x, row.top_mm - 0.6), (x, row.top_mm + 0.8)]))
    _draw_lines(axes, ticks, GREY, 0.5, "beats")


def _draw_rhythms(axes: Axes, findings: Findings, strip: Strip, row: Row) -> None:
    """Bracket each rhythm below the rhythm strip; all but sinus rhythm are in the alert colour."""
    for usual, colour in ((True, GREY), (False, ALERT)):
        brackets = []
        for span in findings.rhythm:
            low = max(span.start_s - strip.start_s, 0.0)
            high = min(span.end_s - strip.start_s, strip.length_s)
            if high <= low or (span.kind == "sinus") != usual:
                continue
            left, right = (strip.left_mm + MM_PER_S * time_s for time_s in (low, high))
            y = row.bottom_mm + _BRACKET_MM
            ends = [(left, y + 1.0), (left, y), (right, y), (right, y + 1.0)]
            # a span that goes on beyond the page is open there
            first = 0 if span.start_s >= strip.start_s else 1
            last = 4 if span.end_s <= strip.start_s + strip.length_s + 0.01 else 3
            brackets.append(np.array(ends[first:last]))
            halo = [withStroke(linewidth=2, foreground=PAPER)]
            text = fit(span.kind, right - left - 1.0, 6.5)
            put_text(axes, left + 0.7, y + 0.6, text, 6.5, color=colour, path_effects=halo)
        _draw_lines(axes, brackets, colour, 0.7, "sinus" if usual else "rhythm")


def _draw_separators(axes: Axes, layout: Layout) -> None:
    """Mark with a short line where the next lead begins in a row."""
    starts = {(strip.left_mm, strip.row) for strip in layout.strips if not strip.rhythm}
    first = min((left for left, _ in starts), default=0.0)
    ticks = [
        np.array([(left, layout.rows[row].base_mm - 2.5), (left, layout.rows[row].base_mm + 2.5)])
        for left, row in sorted(starts)
        if left > first
    ]
    _draw_lines(axes, ticks, GREY, 0.6, "separators")
