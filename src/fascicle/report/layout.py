"""Where each strip of a page goes: plain numbers in millimetres, no drawing.

The paper is calibrated: 25 mm are one second, `gain` mm are one millivolt. A strip is one lead
over one span of time. Distances go right and up from the lower left corner of the paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fascicle.errors import BadRequest
from fascicle.record import LEADS, Findings, LeadQuality, Record

Line = NDArray[np.float64]

MM_PER_S = 25.0
GAINS = (10.0, 5.0, 2.5)
"""mm per mV: the first with which no strip meets another."""
PAGE_S = 10.0
PAPER_MM = 265.0
TRACE_LEFT_MM = 10.0
"""Room for the calibration pulse."""

GRID = tuple(LEADS[row::3] for row in range(3))
"""Rows of the 3 x 4 page, each lead for 2.5 s."""
CELL_S = 2.5
MOST_STRIPS = 6
STRIP_HEIGHTS_MM = {0: 30.0, 1: 50.0, 2: 80.0, 3: 105.0, 4: 125.0, 5: 140.0, 6: 140.0}
GRID_HEIGHT_MM = 140.0

_PAD_MM = 2.0
_MARKS_MM = 5.0
_LEAST_ROW_MM = 15.0
_POOR_MV = 1.2


@dataclass(frozen=True, slots=True)
class Strip:
    """One lead from `start_s` for `length_s`, beginning at `left_mm` in row `row`."""

    lead: str
    row: int
    left_mm: float
    start_s: float
    length_s: float
    rhythm: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """The isoelectric line of a row and the limits that its traces do not cross, in mm."""

    bottom_mm: float
    base_mm: float
    top_mm: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything about a page's paper that is known before it is drawn.

    `undrawn` leads have no place on the page; `cut` ones leave their row and are cut there.
    """

    strips: tuple[Strip, ...]
    rows: tuple[Row, ...]
    height_mm: float
    gain: float
    start_s: float
    end_s: float
    undrawn: tuple[str, ...]
    cut: tuple[str, ...]

    @property
    def overlapping(self) -> bool:
        """Whether the columns of a short record repeat parts of it."""
        cells = {strip.left_mm for strip in self.strips}
        return len(cells) > 1 and self.end_s - self.start_s < PAGE_S - 1e-9


def lay_out(record: Record, findings: Findings, start_s: float = 0.0) -> Layout:
    """Return the layout of the ten seconds of `record` from `start_s`.

    Raises
    ------
    BadRequest
        `start_s` is not inside the record.
    """
    if not (start_s == 0 or 0 <= start_s < record.duration_s):
        raise BadRequest(
            f"start_s must be from 0 to {record.duration_s:g} (the end of {record.name}), "
            f"not {start_s:g}"
        )
    length_s = min(PAGE_S, record.duration_s - start_s)
    rhythm = _rhythm_lead(record, findings.quality)
    standard = [lead for lead in LEADS if lead in record.leads]
    if len(standard) > MOST_STRIPS:
        strips, height_mm = _grid(start_s, length_s, rhythm), GRID_HEIGHT_MM
    else:
        others = [lead for lead in record.leads if lead not in LEADS]
        shown = (standard + others)[:MOST_STRIPS]
        strips = [
            Strip(lead, row, TRACE_LEFT_MM, start_s, length_s, rhythm=lead == rhythm)
            for row, lead in enumerate(shown)
        ]
        height_mm = STRIP_HEIGHTS_MM[len(shown)]
    gain, rows = _place_rows(record, findings.quality, strips, height_mm)
    drawn = {strip.lead for strip in strips}
    return Layout(
        strips=tuple(strips),
        rows=rows,
        height_mm=height_mm,
        gain=gain,
        start_s=start_s,
        end_s=start_s + length_s,
        undrawn=tuple(lead for lead in record.leads if lead not in drawn),
        cut=_cut_leads(record, strips, rows, gain),
    )


def cut_out(record: Record, strip: Strip) -> tuple[Line, Line]:
    """Return times in seconds and mV less the lead's median, of the samples that a strip shows."""
    first = max(0, int(np.ceil(strip.start_s * record.rate_hz - 1e-6)))
    last = int(np.floor((strip.start_s + strip.length_s) * record.rate_hz + 1e-6))
    samples = record.lead(strip.lead)[first : last + 1].astype(np.float64)
    finite = samples[np.isfinite(samples)]
    level = np.median(finite) if finite.size else 0.0
    return (first + np.arange(samples.size)) / record.rate_hz, samples - level


def status_of(record: Record, quality: Mapping[str, LeadQuality], lead: str) -> LeadQuality:
    """Return the quality of a lead of the page, which need not be a lead of the record."""
    known = quality.get(lead, LeadQuality("good"))
    if lead not in record.leads:
        return LeadQuality("missing", known.reasons or ("not recorded",))
    if not np.isfinite(record.lead(lead)).any():
        return LeadQuality("missing", known.reasons or ("no signal",))
    return known


def _rhythm_lead(record: Record, quality: Mapping[str, LeadQuality]) -> str:
    """Return lead II, or the first lead that is better."""
    order = [lead for lead in ("II", "V1", *LEADS, *record.leads) if lead in record.leads]
    for wanted in ("good", "poor"):
        for lead in order:
            if status_of(record, quality, lead).status == wanted:
                return lead
    return order[0] if order else ""


def _grid(start_s: float, length_s: float, rhythm: str) -> list[Strip]:
    cell_s = min(CELL_S, length_s)
    strips = [
        Strip(
            lead,
            row,
            TRACE_LEFT_MM + column * CELL_S * MM_PER_S,
            # In a short record the columns overlap in time, so that none stays empty.
            start_s + min(column * CELL_S, length_s - cell_s),
            cell_s,
        )
        for row, leads in enumerate(GRID)
        for column, lead in enumerate(leads)
    ]
    return [*strips, Strip(rhythm, len(GRID), TRACE_LEFT_MM, start_s, length_s, rhythm=True)]


def _place_rows(
    record: Record,
    quality: Mapping[str, LeadQuality],
    strips: Sequence[Strip],
    height_mm: float,
) -> tuple[float, tuple[Row, ...]]:
    """Return the gain and the rows from the top down, each as high as its traces need."""
    count = 1 + max((strip.row for strip in strips), default=-1)
    low, high, marks = np.full(count, -0.3), np.full(count, 0.6), np.zeros(count)
    for strip in strips:
        lowest, highest = _extent(record, quality, strip)
        low[strip.row] = min(low[strip.row], lowest)
        high[strip.row] = max(high[strip.row], highest)
        marks[strip.row] += _MARKS_MM * strip.rhythm
    for gain in GAINS:
        need = np.maximum((high - low) * gain + 2 * _PAD_MM, _LEAST_ROW_MM) + marks
        if need.sum() <= height_mm:
            break
    scale = min(1.0, height_mm / need.sum()) if count else 1.0
    slack = (height_mm - need.sum() * scale) / max(count, 1)
    tops = height_mm - np.concatenate([[0.0], np.cumsum(need * scale + slack)])
    rows = []
    for row in range(count):
        top, bottom = tops[row] - marks[row], tops[row + 1]
        free = max(top - bottom - (high[row] - low[row]) * gain, 0.0)
        base = np.clip(np.round(bottom + free / 2 - low[row] * gain * scale), bottom, top)
        rows.append(Row(float(bottom), float(base), float(top)))
    return gain, tuple(rows)


def _extent(
    record: Record, quality: Mapping[str, LeadQuality], strip: Strip
) -> tuple[float, float]:
    """Return the lowest and highest mV that must stay visible; noise may be cut."""
    status = status_of(record, quality, strip.lead).status
    if status == "missing":
        return 0.0, 0.0
    _, samples = cut_out(record, strip)
    finite = samples[np.isfinite(samples)]
    if not finite.size:
        return 0.0, 0.0
    if status == "poor":
        finite = np.clip(finite, -_POOR_MV, _POOR_MV)
    return float(finite.min()), float(finite.max())


def _cut_leads(
    record: Record, strips: Sequence[Strip], rows: Sequence[Row], gain: float
) -> tuple[str, ...]:
    """Return the leads with samples beyond the limits of their row."""
    leads = {}
    for strip in strips:
        if strip.lead in record.leads:
            row = rows[strip.row]
            height = row.base_mm + gain * cut_out(record, strip)[1]
            if ((height < row.bottom_mm) | (height > row.top_mm)).any():
                leads[strip.lead] = True
    return tuple(leads)
