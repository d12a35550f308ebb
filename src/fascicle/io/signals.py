"""The signal files of one WFDB record without segments, in mV.

Signals in units that are no voltage (pressures, rates) are left out with a warning. Leads of
several rates come out at the highest, the slower ones interpolated linearly.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from fascicle.errors import BadFile
from fascicle.io.formats import (
    FLAC,
    GROUPS,
    INVALID,
    Samples,
    bytes_needed,
    decode,
    decode_flac,
    samples_held,
)
from fascicle.io.header import Header, SignalLine
from fascicle.io.raw import Raw, read_bytes, stack
from fascicle.io.units import millivolts_per

MAT_KINDS = {16: 30, 32: 20}
"""WFDB format -> type of a MATLAB 4 matrix of such numbers, little-endian."""
MOST_FRAME_RATIO = 32
"""Leads of one record may differ in rate by this factor; more would let a header blow up memory."""


def read_signals(header_path: Path, header: Header, unit: str | None) -> Raw:
    """Return the voltages of a record without segments, which may be none.

    `unit` overrides the units of the header.
    """
    warnings = list(header.warnings)
    scales = [millivolts_per(unit or line.unit) for line in header.signals]
    for line, scale in zip(header.signals, scales, strict=True):
        if scale is None:
            warnings.append(f"signal {line.name or line.file!r} in {line.unit!r} is left out")
        elif (unit or line.unit).strip().lower() == "adu":
            warnings.append(f"signal {line.name or line.file!r} is in adu: 200 per mV assumed")
    keep = {index: scale for index, scale in enumerate(scales) if scale is not None}
    lines = {index: header.signals[index] for index in keep}
    samples: dict[int, Samples] = {}
    for name in dict.fromkeys(line.file for line in lines.values()):
        group = [index for index, line in enumerate(header.signals) if line.file == name]
        in_file = [header.signals[index] for index in group]
        samples.update(
            zip(
                group,
                _read_file(header_path, name, in_file, header.samples, warnings),
                strict=True,
            )
        )
    fastest = max((line.frame for line in lines.values()), default=1)
    frames = _frames(header_path, [(samples[i].size, line) for i, line in lines.items()], fastest)
    # one lead at a time, so that only the integers and the result are there as a whole
    rows = (
        _at(fastest, _millivolts(samples.pop(i), line, keep[i], warnings), line, warnings)
        for i, line in lines.items()
    )
    signal = stack(rows, (len(lines), frames * fastest), warnings)
    return Raw(
        signal=signal,
        leads=tuple(line.name for line in lines.values()),
        rate_hz=header.rate_hz * fastest,
        samples_per_frame=fastest,
        comments=header.comments,
        warnings=tuple(warnings),
    )


def _frames(header_path: Path, found: list[tuple[int, SignalLine]], fastest: int) -> int:
    """Return the frames that each signal has, 0 without signals. Raises BadFile if they differ."""
    frames = sorted({size // line.frame for size, line in found})
    if len(frames) > 1:
        raise BadFile(f"{header_path}: expected signals of one length, came {frames} frames")
    if frames == [0]:
        raise BadFile(f"{header_path}: expected samples, its signal files hold none")
    slowest = min((line.frame for _, line in found), default=1)
    if fastest > MOST_FRAME_RATIO * slowest:
        raise BadFile(
            f"{header_path}: expected rates within a factor of {MOST_FRAME_RATIO},"
            f" came {slowest} and {fastest} samples per frame"
        )
    return frames[0] if frames else 0


def beside(header_path: Path, name: str) -> Path:
    """Return the path of a file that a header names. Raises BadFile if it is in another folder."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in name or "\0" in name:
        raise BadFile(f"{header_path}: expected a file in the same folder, came {name[:60]!r}")
    return header_path.parent / parts


def _read_file(
    header_path: Path, name: str, lines: list[SignalLine], frames: int | None, warnings: list[str]
) -> list[Samples]:
    """Return the samples of each signal in one signal file."""
    path = beside(header_path, name)
    fmt, offset = lines[0].format, lines[0].offset
    if any((line.format, line.offset) != (fmt, offset) for line in lines):
        raise BadFile(f"{header_path}: expected one format and offset for {name}, came several")
    if fmt not in GROUPS and fmt not in FLAC:
        raise BadFile(f"{header_path}: expected a WFDB format, came {fmt} for {name}")
    data = read_bytes(path)
    if not data:
        raise BadFile(f"{path}: expected samples, came an empty file")
    if fmt in FLAC:
        return _flac(path, data, lines, frames)
    if path.suffix.lower() == ".mat":
        _check_mat(path, data, lines)
    width = sum(line.frame for line in lines)
    if frames is None:
        frames = samples_held(fmt, max(len(data) - offset, 0)) // width
        warnings.append(f"the header gives no length: {frames} samples by the size of {name}")
    needed = offset + bytes_needed(fmt, frames * width)
    if len(data) < needed:
        raise BadFile(
            f"{path}: expected {needed} bytes ({frames} frames of {width} samples in format {fmt}),"
            f" came {len(data)}: truncated, or the header is wrong"
        )
    # 310 and 311 may end in a whole group; anything longer the header does not tell of
    if len(data) >= needed + GROUPS[fmt][0]:
        warnings.append(f"{name} holds {len(data) - needed} bytes more than the header announces")
    table = decode(data[offset:] if offset else data, fmt, frames * width).reshape(frames, width)
    edges = np.cumsum([0, *(line.frame for line in lines)])
    parts = [table[:, a:b].ravel() for a, b in pairwise(edges)]
    if fmt == 8:
        return [
            (part.cumsum(dtype=np.int64) + (line.first or 0)).astype(np.int32)
            for part, line in zip(parts, lines, strict=True)
        ]
    return parts


def _flac(path: Path, data: bytes, lines: list[SignalLine], frames: int | None) -> list[Samples]:
    frame = lines[0].frame
    if any(line.frame != frame for line in lines):
        raise BadFile(f"{path}: expected as many samples per frame for each signal of a FLAC file")
    count = None if frames is None else frames * frame
    try:
        table = decode_flac(data, lines[0].format, len(lines), lines[0].offset, count)
    except ValueError as error:
        raise BadFile(f"{path}: {error}") from error
    if count is not None and len(table) < count:
        raise BadFile(f"{path}: expected {count} samples per signal, came {len(table)}")
    return list(table[: len(table) // frame * frame].T)


def _check_mat(path: Path, data: bytes, lines: list[SignalLine]) -> None:
    """Refuse a MATLAB file that is not the matrix that the header takes it for."""
    if data.startswith(b"MATLAB "):
        version = data[7:10].decode("latin-1")
        raise BadFile(f"{path}: expected a MATLAB 4 matrix, came MATLAB {version}: save it as -v4")
    fmt, offset, width = lines[0].format, lines[0].offset, sum(line.frame for line in lines)
    if offset < 24 or len(data) < 24 or fmt not in MAT_KINDS:
        return
    kind, rows, columns, imaginary, name_size = struct.unpack("<5i", data[:20])
    if not (0 <= kind <= 52 and imaginary in (0, 1) and 0 < name_size <= 64):
        return  # no MATLAB file, whatever its name
    if (kind, 20 + name_size) != (MAT_KINDS[fmt], offset):
        raise BadFile(
            f"{path}: expected a {fmt}-bit matrix that begins at byte {offset} and nothing before"
            f" it, came {rows} x {columns} of MATLAB type {kind}"
        )
    if rows != width:
        raise BadFile(f"{path}: expected {width} rows as in the header, came {rows} x {columns}")


def _millivolts(
    samples: Samples, line: SignalLine, scale: float, warnings: list[str]
) -> NDArray[np.float64]:
    """Return samples in mV, NaN where invalid, after a look whether the header agrees with them."""
    name = line.name or line.file
    if line.checksum is not None and (int(samples.sum(dtype=np.int64)) - line.checksum) % 65536:
        warnings.append(f"signal {name!r} has another checksum than the header says")
    if line.first is not None and samples.size and line.format != 8 and samples[0] != line.first:
        warnings.append(f"signal {name!r} has another first sample than the header says")
    values = samples.astype(np.float64)
    values -= line.baseline  # in place: a day of one lead is a quarter of a gigabyte
    values /= line.gain
    if line.format in INVALID:
        values[samples == INVALID[line.format]] = np.nan
    if scale != 1:
        values *= scale
    shift = line.skew * line.frame
    if shift:
        values = np.append(values[shift:], np.full(min(shift, values.size), np.nan))
    return values


def _at(
    fastest: int, values: NDArray[np.float64], line: SignalLine, warnings: list[str]
) -> NDArray[np.float64]:
    """Return a signal of `line.frame` samples per frame at `fastest` samples per frame."""
    if line.frame == fastest:
        return values
    warnings.append(f"signal {line.name or line.file!r} is slower than others: interpolated")
    old = np.arange(values.size) / line.frame
    new = np.arange(values.size // line.frame * fastest) / fastest
    return np.interp(new, old, values).astype(np.float64)
