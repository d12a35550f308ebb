from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from fascicle.report.typeset import FAMILY, MM_PER_POINT, fit, printable, width_mm, wrap


@pytest.mark.parametrize("text", ["AVATAR To", "left anterior fascicular block", "a b", "..."])
@pytest.mark.parametrize("bold", [False, True])
def test_width_is_what_matplotlib_draws(text: str, bold: bool) -> None:
    font = FontProperties(family=FAMILY, size=8, weight="bold" if bold else "normal")
    points, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    # Kerning only brings letters together: what is drawn is never much wider.
    assert 0.89 < points * MM_PER_POINT / width_mm(text, 8, bold) < 1.02


def test_width_grows_with_size() -> None:
    assert width_mm("QRS", 14) == pytest.approx(2 * width_mm("QRS", 7))
    assert width_mm("", 7) == 0


def test_printable_has_one_line_and_known_letters() -> None:
    assert printable("  Müller\n\t张 ±5° \x00") == "Müller ? ±5° ?"


def test_fit_keeps_what_fits() -> None:
    assert fit("sinus rhythm", 40, 7) == "sinus rhythm"
    cut = fit("sinus rhythm", 12, 7)
    assert cut.endswith("…")
    assert "sinus rhythm".startswith(cut[:-1])
    assert width_mm(cut, 7) <= 12
    assert fit("sinus rhythm", 0.1, 7) == fit("sinus rhythm", -5, 7) == "…"


def test_wrap_breaks_at_spaces() -> None:
    assert wrap("one two three", width_mm("one two", 7) + 0.1, 7) == ["one two", "three"]
    assert wrap("", 10, 7) == []


@settings(max_examples=50)
@given(st.text(max_size=80), st.floats(5, 60))
def test_wrapped_lines_fit_and_lose_nothing(text: str, limit_mm: float) -> None:
    lines = wrap(text, limit_mm, 6)
    assert all(width_mm(line, 6) <= limit_mm for line in lines)
    assert "".join(lines).replace(" ", "") == printable(text).replace(" ", "")
