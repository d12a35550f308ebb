"""Text that keeps inside its place: cut or wrapped by its measured width, never as mathematics."""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from typing import Any

from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

MM_PER_POINT = 25.4 / 72
FAMILY = "DejaVu Sans"
"""Comes with matplotlib, so a page looks the same everywhere."""


def put_text(axes: Axes, x_mm: float, y_mm: float, text: str, size: float, **look: Any) -> Text:
    """Return a line of text added to the axes, its base line at `y_mm`, `size` in points."""
    look = {"color": "#1b1b1f", "usetex": False, "parse_math": False, **look}
    return axes.text(x_mm, y_mm, printable(text), fontsize=size, family=FAMILY, **look)


def printable(text: str) -> str:
    """Return the text on one line, with "?" for what the font does not have."""
    known = _characters()
    return "".join(letter if ord(letter) in known else "?" for letter in " ".join(text.split()))


def width_mm(text: str, size: float, bold: bool = False) -> float:
    """Return the width of a printed line, without kerning."""
    return sum(_advance_em(letter, bold) for letter in printable(text)) * size * MM_PER_POINT


def fit(text: str, limit_mm: float, size: float, bold: bool = False) -> str:
    """Return the text, cut with an ellipsis where it is wider than `limit_mm`."""
    text = printable(text)
    count = _fitting(text, limit_mm, size, bold)
    if count == len(text):
        return text
    room_mm = limit_mm - width_mm("…", size, bold)
    return text[: _fitting(text, room_mm, size, bold)].rstrip() + "…"


def wrap(text: str, limit_mm: float, size: float) -> list[str]:
    """Return the text as lines of at most `limit_mm`, broken at spaces, in need inside a word."""
    lines = []
    rest = printable(text)
    while rest:
        count = max(1, _fitting(rest, limit_mm, size))
        if count < len(rest):
            space = rest.rfind(" ", 0, count + 1)
            count = space if space > 0 else count
        lines.append(rest[:count])
        rest = rest[count:].lstrip()
    return lines


def _fitting(text: str, limit_mm: float, size: float, bold: bool = False) -> int:
    """Return how many of the first letters fit."""
    if width_mm(text, size, bold) <= limit_mm:
        return len(text)
    widths = range(len(text) + 1)
    found = bisect_right(widths, limit_mm, key=lambda n: width_mm(text[:n], size, bold))
    return max(found - 1, 0)


@lru_cache(maxsize=1)
def _characters() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family=FAMILY))).get_charmap())


@lru_cache(maxsize=1024)
def _advance_em(letter: str, bold: bool) -> float:
    """Return how far a letter moves the next one, in units of the font's size."""
    font = FontProperties(family=FAMILY, size=1, weight="bold" if bold else "normal")

    def measured(text: str) -> float:
        return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])

    # Between two others, because the width of a letter alone leaves out the space around it.
    return measured(f"n{letter}n") - measured("nn")
