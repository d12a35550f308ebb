"""`fascicle data statements`: a table of free-text reports becomes a table of SCP-ECG codes."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from fascicle.errors import BadFile, BadRequest
from fascicle.files import write_whole
from fascicle.io.tables import separator_of, text_of
from fascicle.labels.phrases import read_rules
from fascicle.labels.text import Reading, Status, count_unmatched, read_report

STATUSES: tuple[Status, ...] = ("present", "possible", "absent")
HEAD = (*STATUSES, "words", "unmatched")
LONGEST_CELL = 10_000_000


def statements_command(
    reports: Path,
    column: str,
    out: Path,
    name_column: str | None,
    unmatched: Path | None,
    tables: tuple[Path | None, Path | None],
) -> None:
    """Write a row of codes per report, and the unmatched words of all with their counts."""
    written = [path for path in (out, unmatched) if path is not None]
    inputs = [path.resolve() for path in (reports, *tables) if path is not None]
    targets = [path.resolve() for path in written]
    if len(set(targets)) < len(targets) or set(targets) & set(inputs):
        raise BadRequest("--out and --unmatched must be two files, and none of those that are read")
    rules = read_rules(*tables)
    name_column, rows = _read(reports, column, name_column)
    console = Console(stderr=True)
    texts = [text for _, text in rows]
    readings = [
        read_report(text, rules) for text in track(texts, "read", console=console, transient=True)
    ]
    lines = ((name, *_cells(found)) for (name, _), found in zip(rows, readings, strict=True))
    _write(out, (name_column, *HEAD), lines)
    left = count_unmatched(readings)
    if unmatched is not None:
        body = ((entry.words, entry.reports, rows[entry.first][0]) for entry in left)
        _write(unmatched, ("words", "reports", f"first {name_column}"), body)
    silent = sum(not reading.mentions for reading in readings)
    sys.stdout.write(
        f"{len(rows)} reports: {len(rows) - silent} with a code, {silent} without; "
        f"{sum(bool(reading.unmatched) for reading in readings)} with unmatched words, "
        f"{len(left)} different ones\n"
    )
    sys.stdout.writelines(f"wrote {path}\n" for path in written)


def _read(path: Path, column: str, name_column: str | None) -> tuple[str, list[tuple[str, str]]]:
    """Return the column of names and, for each row, its name and its report."""
    try:
        text = text_of(path.read_bytes())
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror or error}") from error
    if text is None or not text.strip():
        raise BadFile(f"{path}: expected a table as text, CSV or TSV, with names in its first row")
    separator = separator_of([text.lstrip().splitlines()[0]] * 2) or ","
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        columns = reader.fieldnames or []
        name_column = columns[0] if name_column is None and columns else name_column
        for wanted in (column, name_column):
            if wanted not in columns:
                raise BadFile(f"{path}: no column {wanted!r}; there are: {', '.join(columns)}")
        rows = []
        for row in reader:
            if None in row or None in row.values():
                raise BadFile(
                    f"{path} line {reader.line_num}: expected {len(columns)} cells; "
                    f"a report with {separator!r} in it must be quoted"
                )
            rows.append((row[str(name_column)], row[column]))
    except csv.Error as error:
        raise BadFile(f"{path} line {reader.line_num}: {error}") from error
    if not rows:
        raise BadFile(f"{path}: expected a report per row below the names, came none")
    return str(name_column), rows


def _cells(reading: Reading) -> tuple[str, ...]:
    codes = ("|".join(sorted(reading.codes(status))) for status in STATUSES)
    words = "; ".join(
        f"{mention.code}: {' '.join(reading.text[mention.start : mention.end].split())}"
        for mention in reading.mentions
    )
    return (*codes, words, "; ".join(reading.unmatched_words))


def _write(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    lines = io.StringIO(newline="")
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, lines.getvalue().encode())
    except OSError as error:
        raise BadFile(f"{path}: cannot be written: {error.strerror or error}") from error
