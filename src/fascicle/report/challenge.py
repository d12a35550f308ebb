"""Diagnoses as an output file of the PhysioNet/CinC Challenge 2021, which its program scores.

Four lines: `#ID`, the SNOMED CT codes, 1 or 0 for each, and its probability.
"""

from __future__ import annotations

import math
from pathlib import Path

from fascicle.errors import BadFile, BadRequest
from fascicle.labels import SNOMED
from fascicle.record import Findings, Record

SUMMARY = "summary"
"""The stem of the table that `fascicle analyze` writes beside the findings."""


def challenge_text(name: str, findings: Findings) -> str:
    """Return the four lines; `name` is the record's, as it stands in the file name.

    Raises
    ------
    BadRequest
        The findings hold no SNOMED CT statement: the bundle has none.
    ValueError
        A probability is not finite.
    """
    found = [diagnosis for diagnosis in findings.diagnoses if diagnosis.system == SNOMED]
    if not found:
        systems = sorted({diagnosis.system for diagnosis in findings.diagnoses})
        raise BadRequest(
            f"the Challenge's files hold {SNOMED} codes; bundle {findings.bundle.name!r} "
            f"has {', '.join(systems) or 'no diagnoses'}"
        )
    if not all(math.isfinite(diagnosis.probability) for diagnosis in found):
        raise ValueError("probabilities must be finite")
    rows = (
        [diagnosis.code for diagnosis in found],
        [str(int(diagnosis.present)) for diagnosis in found],
        [repr(float(diagnosis.probability)) for diagnosis in found],
    )
    return "\n".join([f"#{name}", *map(",".join, rows)]) + "\n"


def check_challenge_target(path: Path, record: Record) -> None:
    """Refuse to replace anything but an older such file.

    Raises
    ------
    BadRequest
        NAME.csv is another table, such as the ECG itself, or would be the table of all records.
    BadFile
        What is there cannot be read.
    """
    if path.stem == SUMMARY:
        raise BadRequest(f"{path} is the table of all records: rename the record {SUMMARY!r}")
    if not path.exists():
        return
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            first = file.readline(1000).rstrip("\n")
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror or error}") from error
    if first != f"#{path.stem}" or path.resolve() == Path(record.source).resolve():
        raise BadRequest(f"{path} is no Challenge output and is kept; choose another output folder")
