"""The text of a WFDB header as values: grammar of header(5), with the liberties data sets take.

Fields are divided by any blanks, lines end in any way, comments may stand anywhere. Times and dates
on the record line are not used, so that any spelling of them passes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fascicle.errors import BadFile
from fascicle.io.raw import read_bytes
from fascicle.io.units import DEFAULT_GAIN

LARGEST_HEADER = 2**24
MOST_SIGNALS = 256
DEFAULT_RATE_HZ = 250.0

_INT = r"[-+]?\d{1,15}"
_NUMBER = r"[-+]?(?:\d{1,15}\.?\d{0,30}|\.\d{1,30})(?:[eE][-+]?\d{1,3})?"
_RECORD = re.compile(
    rf"(?P<name>\S+?)(?:/(?P<segments>\d{{1,9}}))?\s+(?P<signals>\d{{1,9}})"
    rf"(?:\s+(?P<rate>{_NUMBER})\S*(?:\s+(?P<samples>\d{{1,15}})(?=\s|$).*)?)?",
    re.ASCII,
)
_SIGNAL = re.compile(
    r"(?P<file>\S+)\s+(?P<format>\d{1,4})(?:x(?P<frame>\d{1,9}))?(?::(?P<skew>\d{1,9}))?"
    rf"(?:\+(?P<offset>\d{{1,15}}))?(?:\s+(?P<gain>{_NUMBER})(?:\((?P<baseline>{_INT})\))?"
    rf"(?:/(?P<unit>\S+))?(?:\s+(?P<bits>\d{{1,3}})(?:\s+(?P<zero>{_INT})(?:\s+(?P<first>{_INT})"
    rf"(?:\s+(?P<checksum>{_INT})(?:\s+(?P<block>{_INT}))?)?)?)?)?)?(?:\s+(?P<name>\S.*))?",
    re.ASCII,
)
_SEGMENT = re.compile(r"(?P<name>\S+)\s+(?P<samples>\d{1,15})", re.ASCII)


@dataclass(frozen=True, slots=True)
class SignalLine:
    """One signal of a record: where its samples lie and what they mean.

    A sample s is (s - baseline) / gain in `unit`. `frame` samples lie in each frame, `skew` frames
    late; `offset` bytes precede the first. `first` and `checksum` are None where not given.
    """

    file: str
    format: int
    frame: int
    skew: int
    offset: int
    gain: float
    baseline: int
    unit: str
    first: int | None
    checksum: int | None
    name: str | None


@dataclass(frozen=True, slots=True)
class Header:
    """A record's header; `segments` are (record name, samples) of a multi-segment record.

    `samples` counts frames, None where the header does not say.
    """

    name: str
    rate_hz: float
    samples: int | None
    signals: tuple[SignalLine, ...]
    segments: tuple[tuple[str, int], ...]
    comments: tuple[str, ...]
    warnings: tuple[str, ...]


def read_header(path: Path) -> Header:
    """Return the header in `path`. Raises BadFile where it does not follow the grammar."""
    return parse_header(read_bytes(path, LARGEST_HEADER).decode("utf-8", "replace"), str(path))


def split_lines(text: str) -> tuple[list[str], tuple[str, ...]]:
    """Return a header's lines without blanks around them, and its comments without their "#"."""
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff"))]
    comments = tuple(line.lstrip("#").strip() for line in lines if line.startswith("#"))
    return [line for line in lines if line and not line.startswith("#")], comments


def parse_header(text: str, where: str) -> Header:
    """Return the header in `text`; `where` names it in errors."""
    lines, comments = split_lines(text)
    if not lines:
        raise BadFile(f"{where}: expected a WFDB header, came an empty file")
    fields = _RECORD.fullmatch(lines[0])
    if fields is None:
        raise BadFile(
            f"{where}: expected a record line (name, signals, rate, samples),"
            f" came {lines[0][:60]!r}"
        )
    warnings: list[str] = []
    signals: tuple[SignalLine, ...] = ()
    segments: tuple[tuple[str, int], ...] = ()
    if fields["segments"] is not None:
        segments = _segments(lines[1:], int(fields["segments"]), where)
    else:
        signals = _signals(lines[1:], int(fields["signals"]), where, warnings)
    if fields["rate"] is None:
        warnings.append(
            f"the header gives no sampling rate: WFDB's default of {DEFAULT_RATE_HZ:g} Hz"
        )
    return Header(
        name=fields["name"],
        rate_hz=float(fields["rate"] or DEFAULT_RATE_HZ),
        samples=int(fields["samples"] or 0) or None,
        signals=signals,
        segments=segments,
        comments=comments,
        warnings=tuple(warnings),
    )


def _segments(lines: list[str], count: int, where: str) -> tuple[tuple[str, int], ...]:
    found = [_SEGMENT.fullmatch(line) for line in lines]
    if not found or len(found) != count:
        raise BadFile(f"{where}: expected {count} segments, at least one; came {len(found)} lines")
    if None in found:
        raise BadFile(f"{where}: expected a segment line, came {lines[found.index(None)][:60]!r}")
    return tuple((match["name"], int(match["samples"])) for match in found if match is not None)


def _signals(
    lines: list[str], count: int, where: str, warnings: list[str]
) -> tuple[SignalLine, ...]:
    if count == 0:
        raise BadFile(f"{where}: expected at least one signal, the header announces none")
    if count > MOST_SIGNALS:
        raise BadFile(f"{where}: expected at most {MOST_SIGNALS} signals, came {count}")
    if len(lines) < count:
        raise BadFile(f"{where}: expected {count} signal lines, came {len(lines)}")
    for line in lines[count:]:
        if _SIGNAL.fullmatch(line):
            raise BadFile(f"{where}: expected {count} signal lines, came one more: {line[:60]!r}")
        warnings.append(f"the header has a line that means nothing: {line[:60]!r}")
    return tuple(_signal(line, where, warnings) for line in lines[:count])


def _signal(line: str, where: str, warnings: list[str]) -> SignalLine:
    fields = _SIGNAL.fullmatch(line)
    if fields is None:
        raise BadFile(
            f"{where}: expected a signal line (file, format, gain ...), came {line[:60]!r}"
        )
    gain, unit = float(fields["gain"] or 0), fields["unit"] or "mV"
    if gain == 0:
        gain, unit = DEFAULT_GAIN, "mV"
        warnings.append(
            f"signal {fields['name'] or fields['file']!r} has no gain: {DEFAULT_GAIN:g}/mV assumed"
        )
    if not 1e-30 < abs(gain) < 1e30 or int(fields["frame"] or 1) == 0:
        raise BadFile(f"{where}: expected a gain and samples per frame, came {line[:60]!r}")
    return SignalLine(
        file=fields["file"],
        format=int(fields["format"]),
        frame=int(fields["frame"] or 1),
        skew=int(fields["skew"] or 0),
        offset=int(fields["offset"] or 0),
        gain=gain,
        baseline=int(fields["baseline"] or fields["zero"] or 0),
        unit=unit,
        first=None if fields["first"] is None else int(fields["first"]),
        checksum=None if fields["checksum"] is None else int(fields["checksum"]),
        name=" ".join(fields["name"].split()) if fields["name"] else None,
    )
