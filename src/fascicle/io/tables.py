"""Text tables: CSV, TSV and the like; one row per sample, one column per lead.

The first row may name the leads, with units in brackets ("II (uV)"); a second row may hold units.
A column named time (with its unit, else seconds, or as 0:01.250) gives the rate; one named index or
nothing is left out. The separator is a tab, semicolon, comma or blanks; a comma may be the decimal
sign where it does not separate. Empty cells, "NaN" and a spreadsheet's "#N/A" are missing samples.
Lines that begin with "#" are comments. The text is UTF-8, Latin-1, or marked as UTF-16 or UTF-32.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fascicle.errors import BadFile
from fascicle.io.raw import Raw, orient, read_bytes, stack
from fascicle.io.units import assume_millivolts, millivolts_per

SHEET_ERRORS = {"#n/a", "#value!", "#num!", "#div/0!", "#ref!", "#null!", "#name?"}
"""What a spreadsheet writes where it has no value."""
MISSING = {"", "na", "nan", "null", "none", "n/a", "-", "?"} | SHEET_ERRORS
INDEX_NAMES = {"", "index", "sample", "n", "unnamed: 0", "sample #", "samples"}
TIMES = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "milliseconds": 1e-3, "us": 1e-6}
TIMES |= {"hh:mm:ss": 1.0, "hh:mm:ss.mmm": 1.0, "mm:ss.mmm": 1.0}
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # begins with the mark of UTF-16, so it is looked for first
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_TIME = re.compile(r"(?:elapsed )?(?:time|t)")
_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2}(?:[.,]\d{1,9})?)", re.ASCII)
_UNIT = re.compile(r"(.*?)\s*(?:[(\[]\s*([^)\]]+?)\s*[)\]]|_(ms|s|us|[mun]?v))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Column:
    """A column's name and unit, as far as the file gives them."""

    name: str | None
    unit: str | None


def read_table(path: Path, unit: str | None) -> Raw:
    """Return the signals of a text table."""
    where = str(path)
    lines = _lines(read_bytes(path), where)
    separator = separator_of([text for _, text in lines[:2]])
    columns, start = _columns([split(text, separator) for _, text in lines[:2]])
    if len(lines) == start:
        raise BadFile(f"{where}: expected samples below the names, came none")
    timed = [column.name is not None and _is_time(column.name) for column in columns]
    table = _numbers(lines[start:], separator, timed, where)
    warnings: list[str] = []
    if start == 0 and table.shape[1] > table.shape[0]:
        table = orient(table, where, warnings).T
        columns = [Column(None, None)] * table.shape[1]
        warnings.append(f"the table has a row per lead: {table.shape[1]} leads")
    rate_hz = None
    rows = []
    for values, column in zip(table.T, columns, strict=True):
        if column.name is not None and _is_time(column.name):
            rate_hz = _rate(values, TIMES.get((column.unit or "s").lower()), warnings)
        elif column.name is None or column.name.lower() not in INDEX_NAMES:
            rows.append((values, column))
    if not rows:
        raise BadFile(f"{where}: expected a column of samples, came none")
    kept = _scaled(rows, unit, where, warnings)
    signal = stack((values for values, _ in kept), (len(kept), len(table)), warnings)
    return Raw(signal, tuple(c.name for _, c in kept), rate_hz, warnings=tuple(warnings))


def separator_of(lines: Sequence[str]) -> str | None:
    """Return what separates the cells of a table by its first lines; None for blanks."""
    if not any(mark in lines[0] for mark in "\t;,") and len(lines[-1].split()) == 1:
        return ","  # one column; a blank may stand in its name
    return next((mark for mark in "\t;," if mark in lines[0]), None)


def split(line: str, separator: str | None) -> list[str]:
    """Return the cells of a line, without blanks and quotes around them."""
    return [cell.strip().strip("\"'").strip() for cell in line.split(separator)]


def number(cell: str) -> float | None:
    """Return the number in a cell, NaN where it says missing, None where it is no number."""
    if cell.lower() in MISSING:
        return float("nan")
    try:
        return None if "_" in cell else float(cell.replace(",", "."))
    except ValueError:
        return None


def clock(cell: str) -> float | None:
    """Return the seconds in a cell such as "0:01.250" or "12:30:05", None where it is no time."""
    found = _CLOCK.fullmatch(cell)
    if found is None:
        return None
    seconds = float(found[3].replace(",", "."))
    return 3600 * int(found[1] or 0) + 60 * int(found[2]) + seconds


def text_of(data: bytes) -> str | None:
    """Return the text in the bytes of a table, None where they are binary."""
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            text = data.decode(encoding, "replace")
            return None if "\0" in text or "\ufffd" in text[:-1] else text
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def is_comment(line: str) -> bool:
    """Return whether a line says nothing of the table; one that begins with "#N/A" does."""
    return line.startswith("#") and not line.lower().startswith(tuple(SHEET_ERRORS))


def _lines(data: bytes, where: str) -> list[tuple[int, str]]:
    text = text_of(data)
    if text is None:
        raise BadFile(f"{where}: expected a text table, came binary data")
    numbered = enumerate(re.split(r"\r\n|\r|\n", text), 1)
    lines = [(n, line.strip(" ")) for n, line in numbered if line.strip()]
    lines = [(n, line) for n, line in lines if not is_comment(line)]
    if not lines:
        raise BadFile(f"{where}: expected a table, came an empty file")
    return lines


def _columns(first: list[list[str]]) -> tuple[list[Column], int]:
    """Return the columns that the first rows describe, and how many rows do."""
    if all(number(cell) is not None for cell in first[0]):
        return [Column(None, None)] * len(first[0]), 0
    columns = []
    for cell in first[0]:
        unit = _UNIT.fullmatch(cell)
        columns.append(Column(unit[1], unit[2] or unit[3]) if unit else Column(cell, None))
    second = first[1] if len(first) > 1 else []
    if len(second) == len(columns) and all(_is_unit(cell) for cell in second):
        return [Column(c.name, cell) for c, cell in zip(columns, second, strict=True)], 2
    return columns, 1


def _is_time(name: str) -> bool:
    return _TIME.fullmatch(name.lower()) is not None


def _is_unit(cell: str) -> bool:
    return cell.lower() in TIMES or millivolts_per(cell) is not None


def _numbers(
    lines: Sequence[tuple[int, str]], separator: str | None, timed: Sequence[bool], where: str
) -> NDArray[np.float64]:
    """Return the cells as numbers (sample, column): fast where all are plain, else one by one.

    `timed` says of each column whether it holds times.
    """
    width = len(timed)
    try:
        table = np.loadtxt([line for _, line in lines], delimiter=separator, comments=None, ndmin=2)
        if table.shape == (len(lines), width):
            return table
    except ValueError:
        pass  # missing, quoted or bad cells: the slow way finds which
    table = np.empty((len(lines), width))
    for row, (n, line) in enumerate(lines):
        cells = split(line, separator)
        if len(cells) != width:
            raise BadFile(f"{where}: line {n}: expected {width} cells, came {len(cells)}")
        for column, cell in enumerate(cells):
            value = number(cell)
            if value is None and timed[column]:
                value = clock(cell)
            if value is None:
                raise BadFile(
                    f"{where}: line {n}, column {column + 1}: expected a number, came {cell[:30]!r}"
                )
            table[row, column] = value
    return table


def _rate(times: NDArray[np.float64], scale: float | None, warnings: list[str]) -> float | None:
    """Return the rate of evenly spaced times, None where they are not.

    It is whole where it is within 0.1 % of a whole number.
    """
    steps = times.size - 1
    span = float(times[-1] - times[0]) * (scale or 1.0)
    if scale is None or steps < 1 or not 0 < span < np.inf:
        warnings.append("the time column is not used: it is not in s or ms, or does not rise")
        return None
    each = np.diff(times)
    if not np.all(np.abs(each - np.median(each)) < 0.9 * np.median(each)):
        warnings.append("the time column is not used: its steps are not even")
        return None
    rate_hz = steps / span
    return float(round(rate_hz)) if abs(rate_hz - round(rate_hz)) < 1e-3 * rate_hz else rate_hz


def _scaled(
    rows: list[tuple[NDArray[np.float64], Column]],
    unit: str | None,
    where: str,
    warnings: list[str],
) -> list[tuple[NDArray[np.float64], Column]]:
    """Return the columns that are voltages, in mV."""
    if unit is None and any(column.unit is None for _, column in rows):
        assume_millivolts([v for v, column in rows if column.unit is None], where, warnings)
    kept = []
    for values, column in rows:
        scale = millivolts_per(unit or column.unit or "mV")
        if scale is None:
            warnings.append(f"column {column.name!r} in {column.unit!r} is left out")
        else:
            kept.append((values * scale, column))
    if not kept:
        raise BadFile(f"{where}: expected a voltage, came {'; '.join(warnings)[:200]}")
    return kept
