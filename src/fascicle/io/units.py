"""Units of voltage, as files spell them, in millivolts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fascicle.errors import BadFile, BadRequest
from fascicle.record import Signal

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
LEAST_SPREAD_MV, WIDEST_SPREAD_MV = 0.02, 20.0
"""A surface ECG spans 0.5 to 10 mV: values that span more are not mV, nor those that span less."""


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


def assume_millivolts(rows: Iterable[NDArray[Any]], where: str, warnings: list[str]) -> None:
    """Note that mV are assumed for `rows`. Raises BadFile if their values cannot be mV."""
    spread = median_spread(rows)
    if spread > WIDEST_SPREAD_MV or 0 < spread < LEAST_SPREAD_MV:
        what = "much" if spread > WIDEST_SPREAD_MV else "little"
        raise BadFile(
            f"{where}: no unit given and the values span {spread:.4g}, too {what} for mV:"
            " give the unit (uV, mV, V, or a gain such as 1000/mV)"
        )
    warnings.append("no unit given: mV assumed")


def doubt_scale(signal: Signal, warnings: list[str]) -> None:
    """Note where the mV of a signal (lead, sample) are too many or too few for an ECG."""
    spread_mv = median_spread(signal)
    if spread_mv > WIDEST_SPREAD_MV or 0 < spread_mv < LEAST_SPREAD_MV:
        warnings.append(
            f"the leads span {spread_mv:.4g} mV, an ECG some 0.5 to 10: is the gain or unit wrong?"
        )


def median_spread(rows: Iterable[NDArray[Any]]) -> float:
    """Return the median over leads of what 98 % of the samples span; 0 where there are none."""
    spreads = [_spread(row[np.isfinite(row)]) for row in rows]
    return float(np.median(spreads)) if spreads else 0.0


def _spread(row: NDArray[Any]) -> float:
    if not row.size:
        return 0.0
    low, high = np.percentile(row, [1, 99])
    return float(high) - float(low)
