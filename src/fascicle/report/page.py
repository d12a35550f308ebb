"""The 12-lead page: calibrated ECG paper with what was found, at true size.

One unit of the axes is one millimetre on paper, in PDF and SVG and, by its resolution, in PNG.
A page is 297 mm wide and at most 210 mm high (A4) unless there is more to say than fits.
Nothing here touches matplotlib's global state, so pages can be drawn in several threads.
"""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fascicle.errors import BadRequest
from fascicle.record import Findings, Record
from fascicle.report.layout import MM_PER_S, PAPER_MM, Layout, lay_out
from fascicle.report.panel import draw_header, draw_panel, set_panel
from fascicle.report.paper import GREY, WAVE_COLOURS, draw_paper
from fascicle.report.text import DISCLAIMER
from fascicle.report.typeset import fit, put_text, width_mm

MM_PER_INCH = 25.4
WIDTH_MM = 297.0
MARGIN_MM = (WIDTH_MM - PAPER_MM) / 2
DPI = 6 * MM_PER_INCH
"""Six pixels for a millimetre: the grid falls on whole pixels."""

_TOP_MM = 10.0
_HEADER_MM = 5.0
_FOOTER_MM = 11.0


def draw_page(record: Record, findings: Findings, *, start_s: float = 0.0) -> Figure:
    """Return the page as a figure of its true size, ten seconds from `start_s`.

    Parameters
    ----------
    record
        The signal to draw, each lead less its median; gaps stay gaps.
    findings
        What was found in this record, from this or from another form of its signal.
    start_s
        Where the page begins in a long record.

    Raises
    ------
    BadRequest
        `start_s` is not inside the record.
    """
    layout = lay_out(record, findings, start_s)
    panel = set_panel(findings)
    paper_top = _FOOTER_MM + layout.height_mm
    height_mm = math.ceil(paper_top + panel.height_mm + _HEADER_MM + _TOP_MM - 1e-6)
    figure = Figure(
        figsize=(WIDTH_MM / MM_PER_INCH, height_mm / MM_PER_INCH),
        dpi=DPI,
        facecolor="white",
    )
    figure.set_layout_engine("none")
    draw_header(_add_axes(figure, height_mm - _TOP_MM), findings, PAPER_MM)
    draw_panel(_add_axes(figure, paper_top + panel.height_mm), findings, panel)
    draw_paper(_add_axes(figure, _FOOTER_MM, "paper"), record, findings, layout)
    _draw_footer(_add_axes(figure, 0), record, layout)
    return figure


def save_page(
    record: Record, findings: Findings, path: str | Path, *, start_s: float = 0.0
) -> None:
    """Write the page of `draw_page` as PNG, SVG or PDF, by the suffix of `path`.

    Raises
    ------
    BadRequest
        Another suffix, or `start_s` is not inside the record.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _DATES:
        raise BadRequest(f"a page is {', '.join(_DATES)}, not {suffix!r} ({path})")
    figure = draw_page(record, findings, start_s=start_s)
    metadata = dict.fromkeys(_DATES[suffix])
    # Everything is said here, because a user's settings for savefig could crop the page.
    figure.savefig(
        path,
        format=suffix[1:],
        dpi=DPI,
        facecolor="white",
        bbox_inches=figure.bbox_inches,
        metadata=metadata,
    )


# What would make two files of the same findings differ.
_DATES: dict[str, tuple[str, ...]] = {".png": (), ".svg": ("Date",), ".pdf": ("CreationDate",)}


def _add_axes(figure: Figure, bottom_mm: float, name: str = "") -> Axes:
    """Return axes in millimetres with (0, 0) at the left margin, `bottom_mm` above the page's end.

    They span the whole page, so that nothing drawn on them is ever clipped.
    """
    width, height = figure.get_size_inches() * MM_PER_INCH
    axes = figure.add_axes((0, 0, 1, 1), label=name or f"{bottom_mm:g}")
    axes.set_xlim(-MARGIN_MM, width - MARGIN_MM)
    axes.set_ylim(-bottom_mm, height - bottom_mm)
    axes.set_axis_off()
    return axes


def _draw_footer(axes: Axes, record: Record, layout: Layout) -> None:
    """Draw scale, span and legend under the paper, and what this page is not."""
    shown = f"{layout.start_s:g}–{layout.end_s:.4g} s"
    if layout.end_s - layout.start_s < record.duration_s - 1e-9:
        shown += f" of {record.duration_s:.6g} s"
    scale = f"{MM_PER_S:g} mm/s · {layout.gain:g} mm/mV · {shown}"
    put_text(axes, 0, 7, scale, 7, weight="bold")
    x = max(75.0, width_mm(scale, 7, bold=True) + 6)
    for kind, colour in WAVE_COLOURS.items():
        axes.add_patch(Rectangle((x, 7.6), 5, 0.8, facecolor=colour, edgecolor="none"))
        put_text(axes, x + 6, 7, kind, 7)
        x += 16
    put_text(axes, x, 7, "beats: N S V F Q (AAMI)", 7, color=GREY)
    put_text(axes, PAPER_MM, 7, DISCLAIMER, 7, ha="right", weight="bold")
    notes = []
    if layout.undrawn:
        notes.append(f"Not drawn: {', '.join(layout.undrawn)}.")
    if layout.overlapping:
        notes.append("The record is short: the columns overlap in time.")
    if layout.cut:
        notes.append(f"Cut where they leave their row: {', '.join(layout.cut)}.")
    put_text(axes, 0, 3.4, fit(" ".join(notes), PAPER_MM, 6.5), 6.5, color=GREY)
