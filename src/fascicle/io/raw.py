"""What every reader hands to the door: signals in mV, with what the file said about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fascicle.errors import BadFile
from fascicle.record import Signal


@dataclass(frozen=True, slots=True)
class Raw:
    """A file's signals (lead, sample) float32 in mV, before leads are named and times are set.

    `leads` are the file's own names, None where it gives none. `samples_per_frame` is how many
    samples lie in one tick of the annotations' clock (WFDB frames; 1 elsewhere).
    """

    signal: Signal
    leads: tuple[str | None, ...]
    rate_hz: float | None
    samples_per_frame: int = 1
    comments: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read_bytes(path: Path, limit: int | None = None) -> bytes:
    """Return the content of a file of at most `limit` bytes. Raises BadFile if it has none."""
    try:
        if not path.is_file():
            raise BadFile(f"{path}: expected a file, found {_kind(path)}")
        size = path.stat().st_size
        if limit is not None and size > limit:
            raise BadFile(f"{path}: expected at most {limit} bytes, came {size}")
        return path.read_bytes()
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror or error}") from error


def _kind(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    return "a device or a pipe" if path.exists() else "none"


def stack(
    rows: Iterable[NDArray[np.float64]], shape: tuple[int, int], warnings: list[str]
) -> Signal:
    """Return rows of mV as float32 (lead, sample); values that float32 cannot hold become NaN."""
    signal = np.empty(shape, dtype=np.float32)
    infinite = 0
    with np.errstate(over="ignore", invalid="ignore"):
        for index, row in enumerate(rows):
            signal[index] = row
            bad = np.isinf(signal[index])
            if bad.any():
                infinite += int(bad.sum())
                signal[index][bad] = np.nan
    if infinite:
        warnings.append(f"{infinite} infinite values are taken as missing")
    return signal


def orient(values: NDArray[Any], where: str, warnings: list[str]) -> NDArray[Any]:
    """Return an array as (lead, sample): the longer axis is time; or BadFile."""
    if values.ndim == 1:
        values = values[np.newaxis]
    if values.ndim != 2 or 0 in values.shape:
        raise BadFile(f"{where}: expected an array (lead, sample), came shape {values.shape}")
    if values.shape[0] > values.shape[1]:
        warnings.append(f"array of shape {values.shape} is read as (sample, lead)")
        return values.T
    return values
