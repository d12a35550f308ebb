"""NumPy arrays: `.npy` with the signal alone, `.npz` with `signal` and `rate_hz`, `leads`, `unit`.

A signal is (lead, sample), or (sample, lead): its longer axis is time. The header is parsed here,
not by numpy, so that no array is made that the file does not fill, and nothing is unpickled.
"""

from __future__ import annotations

import ast
import io
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fascicle.errors import BadFile
from fascicle.io.raw import Raw, orient, read_bytes, stack
from fascicle.io.units import assume_millivolts, millivolts_per

LARGEST_MEMBER = 2**31
MOST_PACKED, PACKED_RATIO = 2**26, 64
"""Bytes that an archive may unpack to whatever its size; beyond, at most this ratio: ECGs pack to
a half or a fifth, an archive that was made to fill the memory to a thousandth."""
_TYPE = re.compile(r"[<>|=]?([fiu][1248]|U\d{1,4}|S\d{1,4})", re.ASCII)
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    RuntimeError,  # encrypted, or an unknown compression (NotImplementedError)
    OverflowError,
)


def read_npy(path: Path, unit: str | None) -> Raw:
    """Return the signal of a `.npy` file; its rate and leads are unknown."""
    return _raw(parse_npy(read_bytes(path), str(path)), str(path), unit, None, ())


def read_npz(path: Path, unit: str | None) -> Raw:
    """Return the signal of a `.npz` file, with rate, leads and unit where it has them."""
    data = read_bytes(path)
    members = _members(data, str(path))
    if "signal" not in members:
        found = ", ".join(sorted(members)) or "nothing"
        raise BadFile(f"{path}: expected an array named signal, found {found[:200]}")
    arrays = {
        key: parse_npy(members[key], f"{path}: {key}")
        for key in ("signal", "rate_hz", "leads", "unit")
        if key in members
    }
    rate, leads = arrays.get("rate_hz"), arrays.get("leads")
    if rate is not None and (rate.size != 1 or rate.dtype.kind not in "fiu"):
        raise BadFile(f"{path}: expected rate_hz to be one number, came {rate.dtype} {rate.shape}")
    for key in ("leads", "unit"):
        if key in arrays and arrays[key].dtype.kind not in "US":
            raise BadFile(f"{path}: expected {key} to be text, came {arrays[key].dtype}")
    if unit is None and "unit" in arrays:
        unit = "".join(_texts(arrays["unit"], path))
    names = () if leads is None else tuple(_texts(leads, path))
    rate_hz = None if rate is None else float(rate.item())
    return _raw(arrays["signal"], str(path), unit, rate_hz, names)


def _raw(
    values: NDArray[Any],
    where: str,
    unit: str | None,
    rate_hz: float | None,
    names: tuple[str, ...],
) -> Raw:
    if values.dtype.kind not in "fiu":
        raise BadFile(f"{where}: expected an array of numbers, came {values.dtype}")
    warnings: list[str] = []
    with np.errstate(over="ignore", invalid="ignore"):
        table = orient(values, where, warnings)
        if unit is None:
            assume_millivolts(table, where, warnings)
        scale = millivolts_per(unit or "mV")
        if scale is None:
            raise BadFile(f"{where}: expected a unit of voltage, came {str(unit)[:40]!r}")
        rows = (row.astype(np.float64) * scale for row in table)  # one lead at a time
        signal = stack(rows, table.shape, warnings)
    if names and len(names) != len(table):
        raise BadFile(f"{where}: expected a name for each of {len(table)} leads, came {len(names)}")
    return Raw(signal, names or (None,) * len(table), rate_hz, warnings=tuple(warnings))


def parse_npy(data: bytes, where: str) -> NDArray[Any]:
    """Return the array in the bytes of a `.npy` file. Raises BadFile if they are not one."""
    if not data:
        raise BadFile(f"{where}: expected a NumPy array, came an empty file")
    wide = data[6:7] in (b"\x02", b"\x03")
    start = 12 if wide else 10
    if (
        data[:6] != b"\x93NUMPY"
        or data[6:7] not in (b"\x01", b"\x02", b"\x03")
        or len(data) < start
    ):
        raise BadFile(f"{where}: expected a NumPy array, came other bytes")
    size = int.from_bytes(data[8:start], "little")
    header = _literal(data[start : start + min(size, 10000)])
    match header:
        case {"descr": str(kind), "fortran_order": bool(fortran), "shape": tuple(shape)}:
            pass
        case _:
            raise BadFile(f"{where}: expected the header of a plain array, came something else")
    if not _TYPE.fullmatch(kind) or kind.lstrip("<>|=") in ("f1", "U0", "S0"):
        raise BadFile(f"{where}: expected numbers or text, came type {kind[:40]!r}")
    if len(shape) > 2 or not all(type(n) is int and 0 <= n <= len(data) for n in shape):
        raise BadFile(
            f"{where}: expected at most two axes that the file fills, came {str(shape)[:60]}"
        )
    count = int(np.prod(shape, dtype=object))
    dtype = np.dtype(kind)
    body = memoryview(data)[start + size :]
    if len(body) != count * dtype.itemsize:
        raise BadFile(
            f"{where}: expected {count * dtype.itemsize} bytes for shape {shape}, came {len(body)}"
        )
    return np.frombuffer(body, dtype, count).reshape(shape, order="F" if fortran else "C")


def _literal(text: bytes) -> object:
    try:
        return ast.literal_eval(text.decode("latin-1").strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _members(data: bytes, where: str) -> dict[str, bytes]:
    """Return the arrays of a `.npz` by name; those that are not used are empty."""
    if not data:
        raise BadFile(f"{where}: expected a NumPy archive, came an empty file")
    members = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                key = info.filename.removesuffix(".npy")
                wanted = key in ("signal", "rate_hz", "leads", "unit")
                if wanted and info.file_size > LARGEST_MEMBER:
                    raise BadFile(
                        f"{where}: {key}: expected under 2 GB, came {info.file_size} bytes"
                    )
                if wanted and info.file_size > MOST_PACKED + PACKED_RATIO * info.compress_size:
                    raise BadFile(
                        f"{where}: {key}: expected an ECG, came {info.file_size} bytes that pack "
                        f"to {info.compress_size}"
                    )
                members[key] = archive.read(info) if wanted else b""
    except _ZIP_ERRORS as error:
        raise BadFile(f"{where}: expected a NumPy archive: {str(error)[:100]}") from error
    return members


def _texts(values: NDArray[Any], path: Path) -> list[str]:
    try:
        return [
            text.decode("utf-8") if isinstance(text, bytes) else str(text)
            for text in values.ravel().tolist()
        ]
    except ValueError as error:
        raise BadFile(f"{path}: expected text, came {str(error)[:60]}") from error
