from __future__ import annotations

import numpy as np
import pytest

from fascicle.errors import BadFile, BadRequest
from fascicle.io.units import assume_millivolts, check_unit, doubt_scale, millivolts_per


@pytest.mark.parametrize(
    ("unit", "mv"),
    [
        *[
            ("mV", 1),
            ("MV", 1),
            (" uV ", 1e-3),
            ("µV", 1e-3),
            ("μV", 1e-3),
            ("V", 1e3),
            ("nV", 1e-6),
        ],
        *[("adu", 1 / 200), ("1000/mV", 1e-3), ("204.8 adu/mV", 1 / 204.8), ("0/mV", None)],
        *[("mmHg", None), ("", None), ("bpm", None), ("m V", None), ("-5/mV", None)],
    ],
)
def test_millivolts_per_unit(unit: str, mv: float | None) -> None:
    assert millivolts_per(unit) == mv


def test_a_given_unit_must_be_a_voltage() -> None:
    check_unit(None)
    check_unit("uV")
    with pytest.raises(BadRequest, match="'mmHg'"):
        check_unit("mmHg")


def test_values_that_cannot_be_millivolts_are_refused() -> None:
    notes: list[str] = []
    rows = [np.sin(np.arange(1000) / 9), np.sin(np.arange(1000) / 5) + 300, np.full(1000, np.nan)]
    assume_millivolts(rows, "x", notes)
    assert notes == ["no unit given: mV assumed"]
    with pytest.raises(BadFile, match=r"x: no unit given and the values span"):
        assume_millivolts([row * 1000 for row in rows[:2]], "x", notes)
    assume_millivolts([], "x", [])


def test_values_too_small_for_millivolts_are_refused() -> None:
    volts = np.sin(np.arange(1000) / 9) * 1e-3
    with pytest.raises(BadFile, match=r"x: no unit given and the values span 0\.0019.*too little"):
        assume_millivolts([volts, volts], "x", [])
    silent: list[str] = []
    assume_millivolts([np.zeros(1000)], "x", silent)
    assert silent == ["no unit given: mV assumed"]


@pytest.mark.parametrize(("factor", "doubted"), [(1, 0), (0, 0), (100, 1), (0.001, 1)])
def test_a_scale_that_no_ecg_has_is_doubted(factor: float, doubted: int) -> None:
    notes: list[str] = []
    rows = np.sin(np.arange(2000).reshape(2, 1000) / 9).astype(np.float32)
    doubt_scale(rows * np.float32(factor), notes)
    assert len(notes) == doubted
    assert all("gain or unit" in note for note in notes)
