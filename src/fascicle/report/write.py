"""Findings become files, each complete or not there at all.

Everything is made in a hidden folder inside the target folder and moved into place at the end,
so a reader never meets half a file and a failure leaves the earlier files as they were.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

import numpy as np

from fascicle.errors import BadFile, BadRequest
from fascicle.io import write_annotations
from fascicle.record import Findings, Record, Wave
from fascicle.report.challenge import challenge_text, check_challenge_target
from fascicle.report.text import group_present

Format = Literal["json", "png", "svg", "pdf", "atr", "challenge"]
FORMATS: tuple[Format, ...] = get_args(Format)
"""What `write_findings` can write: the findings, their page (three ways), WFDB annotations, and an
output file of the PhysioNet/CinC Challenge 2021, NAME.csv."""

SUMMARY_INTERVALS = ("heart_rate_bpm", "pr_ms", "qrs_ms", "qt_ms", "qtc_fridericia_ms")
SUMMARY_COLUMNS = ("name", "status", *SUMMARY_INTERVALS, "diagnoses", "warnings", "error")
"""Columns of summary.csv; `warnings` is their number."""

_LONGEST_STEM = 120


def write_findings(
    record: Record,
    findings: Findings,
    folder: str | Path,
    formats: Sequence[str] = ("json", "png"),
) -> list[Path]:
    """Return the paths of the files written, NAME.FORMAT in the order of `formats`.

    Only "challenge" has another suffix: NAME.csv.

    Parameters
    ----------
    record
        The ECG as it was read, or a cleaned one, to be drawn.
    findings
        What was found in it. The consensus waves and the beats go into NAME.atr.
    folder
        Made when it is not there. Older findings of the same name are replaced.
    formats
        Some of `FORMATS`.

    Raises
    ------
    BadRequest
        An unknown format; or "atr" into a folder that holds the record NAME.hea itself, whose
        NAME.atr is, or would be read as, the reference of an annotator; or "challenge" where
        NAME.csv is another kind of table, or where the bundle has no SNOMED CT statements.
    BadFile
        The folder cannot be made or written, or the disk is full.
    """
    folder = Path(folder)
    stem = file_stem(findings.name)
    _check_request(folder, stem, formats)
    if "challenge" in formats:
        check_challenge_target(folder / f"{stem}.csv", record)
    written = []
    with _new_files(folder) as hidden:
        for kind in dict.fromkeys(formats):
            _render(kind, record, findings, hidden / f"findings.{kind}", stem)
        for kind in dict.fromkeys(formats):
            target = folder / f"{stem}.{'csv' if kind == 'challenge' else kind}"
            (hidden / f"findings.{kind}").replace(target)
            written.append(target)
    return written


def write_summary(rows: Iterable[Mapping[str, str]], path: str | Path) -> Path:
    """Return the path of the CSV table written, one line per record.

    Parameters
    ----------
    rows
        Made by `summary_row`.
    path
        Such as "out/summary.csv"; replaced when it is there.

    Raises
    ------
    BadFile
        The file cannot be written.
    """
    path = Path(path)
    with _new_files(path.parent) as hidden:
        with (hidden / "summary.csv").open(
            "w", encoding="utf-8", errors="backslashreplace", newline=""
        ) as file:
            table = csv.DictWriter(file, SUMMARY_COLUMNS)
            table.writeheader()
            table.writerows(rows)
        (hidden / "summary.csv").replace(path)
    return path


def summary_row(name: str, findings: Findings | None, error: str = "") -> dict[str, str]:
    """Return one line of the summary; `findings` None says that the record failed by `error`."""
    row = dict.fromkeys(SUMMARY_COLUMNS, "")
    row.update(name=name, status="failed" if findings is None else "ok", error=error)
    if findings is not None:
        for key in SUMMARY_INTERVALS:
            measure = findings.intervals.get(key)
            row[key] = "" if measure is None else f"{measure.value:.0f}"
        groups = group_present(findings.diagnoses)
        names = dict.fromkeys(item.name for _, group in groups for item in group)
        row.update(diagnoses="; ".join(names), warnings=str(len(findings.warnings)))
    return row


def file_stem(name: str) -> str:
    """Return `name` when it is safe as a file name, else a safe one that no other name gets.

    Letters, digits, dot, hyphen and underscore stay; a changed name ends in a part of its hash.
    """
    stem = re.sub(r"[^\w.-]", "_", name).lstrip(".")
    if stem == name and stem and len(stem.encode()) <= _LONGEST_STEM:
        return stem
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    short = stem.encode("utf-8", "replace")[:_LONGEST_STEM].decode("utf-8", "ignore")
    return f"{short or 'record'}-{mark}"


def _check_request(folder: Path, stem: str, formats: Sequence[str]) -> None:
    for kind in formats:
        if kind not in FORMATS:
            raise BadRequest(f"unknown format {kind!r}; known: {', '.join(FORMATS)}")
    if "atr" in formats and (folder / f"{stem}.hea").exists():
        raise BadRequest(
            f"{folder} holds the record {stem} itself: {stem}.atr there is kept for its reference "
            "annotations; choose another output folder"
        )


@contextmanager
def _new_files(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder beside the target, on the same disk, gone at the end."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".fascicle-") as hidden:
            yield Path(hidden)
    except OSError as error:
        raise BadFile(f"cannot write into {folder}: {error.strerror or error}") from error


def _render(kind: str, record: Record, findings: Findings, path: Path, stem: str) -> None:
    if kind == "json":
        # A lone surrogate, from a file name that is not UTF-8, becomes the escape JSON knows.
        with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(_json_parts(findings))
    elif kind == "atr":
        consensus = tuple(wave for wave in findings.waves if wave.lead is None)
        write_annotations(
            path,
            findings.rate_hz,
            consensus,
            findings.beats,
            findings.rhythm,
            findings.duration_s,
        )
    elif kind == "challenge":
        path.write_text(challenge_text(stem, findings), encoding="utf-8")
    else:
        from fascicle.report.page import save_page  # matplotlib is slow to import

        save_page(record, findings, path)


def findings_json(findings: Findings) -> str:
    """Return the findings as JSON text: one line per wave, beat and diagnosis.

    Raises
    ------
    ValueError
        A number is not finite, which JSON cannot say.
    """
    return "".join(_json_parts(findings))


def _json_parts(findings: Findings) -> Iterator[str]:
    """Yield the text piece by piece: the waves of a day are a hundred megabytes."""
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_plain).encode
    many = {
        "waves": _wave_lines(findings.waves, encode),
        "beats": (encode(beat.to_dict()) for beat in findings.beats),
    }
    before = "{\n"
    for key, value in replace(findings, waves=(), beats=()).to_dict().items():
        yield f"{before}  {encode(key)}: "
        before = ",\n"
        lines = many.get(key, map(encode, value if isinstance(value, list) else ()))
        first = next(lines, None)
        if first is None:
            yield encode(value)
            continue
        yield f"[\n    {first}"
        for line in lines:
            yield f",\n    {line}"
        yield "\n  ]"
    yield "\n}\n"


def _wave_lines(waves: Iterable[Wave], encode: Callable[[Any], str]) -> Iterator[str]:
    """Yield what `encode` makes of each wave, in less than half of its time."""
    heads: dict[tuple[str | None, str], str] = {}
    number = float.__repr__  # as JSON writes it
    for wave in waves:
        onset, peak, offset, share = wave.onset_s, wave.peak_s, wave.offset_s, wave.probability
        if not (
            isinstance(onset, float)
            and isinstance(peak, float)
            and isinstance(offset, float)
            and isinstance(share, float)
            and isfinite(onset + peak + offset + share)
        ):  # left out, of another type, or to be refused
            yield encode(wave.to_dict())
            continue
        key = (wave.lead, wave.kind)
        if key not in heads:
            heads[key] = encode({"lead": wave.lead, "kind": wave.kind})[:-1]
        yield (
            f'{heads[key]}, "onset_s": {number(onset)}, "peak_s": {number(peak)}, '
            f'"offset_s": {number(offset)}, "probability": {number(share)}}}'
        )


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")
