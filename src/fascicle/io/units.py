"""Units of voltage, as files spell them, in millivolts."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from fascicle.errors import BadFile, BadRequest

MILLIVOLTS = {
    "v": 1e3,
    "volt": 1e3,
    "volts": 1e3,
    "mv": 1.0,
    "millivolt": 1.0,
    "millivolts": 1.0,
    "uv": 1e-3,
    "µv": 1e-3,
    "μv": 1e-3,
    "microvolt": 1e-3,
    "microvolts": 1e-3,
    "nv": 1e-6,
    "nanovolt": 1e-6,
    "nanovolts": 1e-6,
}
"""Unit in lower case (micro sign and Greek mu are two characters) -> mV."""

DEFAULT_GAIN = 200.0
"""adu per mV where a file gives none: the default of WFDB's header(5)."""

_PER_MILLIVOLT = re.compile(
    r"(\d{1,9}(?:\.\d{1,9})?)\s*(?:adu)?\s*/\s*mv", re.IGNORECASE | re.ASCII
)
WIDEST_SPREAD_MV = 20.0
"""A surface ECG spans 0.5 to 10 mV: values that span more than this are not mV."""


def millivolts_per(unit: str) -> float | None:
    """Return the mV in one `unit` ("uV", "mV", "V", "adu", "1000/mV"); None if it is no voltage."""
    text = unit.strip().lower()
    if text == "adu":
        return 1 / DEFAULT_GAIN
    gain = _PER_MILLIVOLT.fullmatch(text)
    if gain is not None:
        return 1 / float(gain[1]) if float(gain[1]) > 0 else None
    return MILLIVOLTS.get(text)


def check_unit(unit: str | None) -> None:
    """Raise BadRequest unless `unit` is None or a voltage."""
    if unit is not None and millivolts_per(unit) is None:
        raise BadRequest(f"unit: expected uV, mV, V, adu or a gain such as 1000/mV, came {unit!r}")


def assume_millivolts(rows: list[NDArray[np.float64]], where: str, warnings: list[str]) -> None:
    """Note that mV are assumed for `rows`. Raises BadFile if their values cannot be mV."""
    spreads = [_spread(row[np.isfinite(row)]) for row in rows]
    spread = float(np.median(spreads)) if spreads else 0.0
    if spread > WIDEST_SPREAD_MV:
        raise BadFile(
            f"{where}: no unit given and the values span {spread:.4g}, too much for mV:"
            " give the unit (uV, mV, V, or a gain such as 1000/mV)"
        )
    warnings.append("no unit given: mV assumed")


def _spread(row: NDArray[np.float64]) -> float:
    return float(np.subtract(*np.percentile(row, [99, 1]))) if row.size else 0.0
