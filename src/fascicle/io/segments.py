"""WFDB records of several segments in turn, NaN where a lead or a segment is absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fascicle.errors import BadFile
from fascicle.io.header import Header, read_header
from fascicle.io.raw import Raw
from fascicle.io.signals import beside, read_signals

MOST_EMPTY = 2**24
"""Samples that may be absent in any record; beyond, at most `EMPTY_RATIO` times those present."""
EMPTY_RATIO = 16

Key = tuple[str, int]
"""A lead's name in the file, and which of that name in its segment it is."""


def read_segments(header_path: Path, header: Header, unit: str | None) -> Raw:
    """Return a record with fixed or variable layout.

    The leads are those of the layout segment, the first, of length 0, where there is one;
    otherwise they come in the order in which they first appear.
    """
    named = [name for name, _ in header.segments if name != "~"]
    if len(set(named)) != len(named):
        raise BadFile(f"{header_path}: expected each segment once, came one twice")
    warnings = list(header.warnings)
    parts: list[tuple[int, int, Raw]] = []
    keys: dict[Key, None] = {}
    start = 0
    for index, (name, samples) in enumerate(header.segments):
        if samples == 0 and index == 0 and name != "~":
            layout = read_header(_segment_header(header_path, name))
            keys.update(dict.fromkeys(_keys([line.name for line in layout.signals])))
        elif name != "~" and samples:
            raw = _read_segment(header_path, name, samples, header.rate_hz, unit)
            keys.update(dict.fromkeys(_keys(raw.leads)))
            warnings += raw.warnings
            parts.append((start, samples, raw))
        start += samples
    if header.samples is not None and header.samples != start:
        warnings.append(f"segments are {start} samples long, the header says {header.samples}")
    return _join(header_path, header, parts, keys, start, warnings)


def _join(
    header_path: Path,
    header: Header,
    parts: list[tuple[int, int, Raw]],
    keys: dict[Key, None],
    samples: int,
    warnings: list[str],
) -> Raw:
    frames = {raw.samples_per_frame for _, _, raw in parts if raw.leads}
    if len(frames) != 1:
        raise BadFile(
            f"{header_path}: expected segments with signals of one rate, came {len(frames)}"
        )
    frame = frames.pop()
    present = {key for _, _, raw in parts for key in _keys(raw.leads)}
    leads = [key for key in keys if key in present]
    held = sum(raw.signal.size for _, _, raw in parts)
    if len(leads) * samples * frame > MOST_EMPTY + EMPTY_RATIO * held:
        raise BadFile(
            f"{header_path}: expected a record that its segments fill in part,"
            f" came {len(leads)} leads x {samples} samples for {held} in the files"
        )
    signal = np.full((len(leads), samples * frame), np.nan, dtype=np.float32)
    for start, length, raw in parts:
        for row, key in zip(raw.signal, _keys(raw.leads), strict=True):
            signal[leads.index(key), start * frame : (start + length) * frame] = row
    return Raw(
        signal=signal,
        leads=tuple(name or None for name, _ in leads),
        rate_hz=header.rate_hz * frame,
        samples_per_frame=frame,
        comments=header.comments,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _keys(names: list[str | None] | tuple[str | None, ...]) -> list[Key]:
    texts = [name or "" for name in names]
    return [(text, texts[:index].count(text)) for index, text in enumerate(texts)]


def _segment_header(header_path: Path, name: str) -> Path:
    return beside(header_path, f"{name}.hea")


def _read_segment(
    header_path: Path, name: str, samples: int, rate_hz: float, unit: str | None
) -> Raw:
    path = _segment_header(header_path, name)
    header = read_header(path)
    if header.segments:
        raise BadFile(f"{path}: expected a segment, came a record that has segments itself")
    if header.rate_hz != rate_hz:
        raise BadFile(f"{path}: expected {rate_hz:g} Hz as in the record, came {header.rate_hz:g}")
    raw = read_signals(path, header, unit)
    length = raw.signal.shape[1] // raw.samples_per_frame
    if raw.leads and length != samples:
        raise BadFile(f"{path}: expected {samples} samples as in the record, came {length}")
    return raw
