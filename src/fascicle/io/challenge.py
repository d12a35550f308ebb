"""Label headers and output files of the PhysioNet/CinC Challenge 2021, as arrays to be scored.

A label file is a WFDB header with a line `#Dx: code,code`. Its output is `ID.csv` of four lines:
`#ID`, class names, binary outputs, scalar outputs. What is read as what follows the organisers'
program (github.com/physionetchallenges/evaluation-2021, BSD 2-Clause; none of it is here).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fascicle.errors import BadFile
from fascicle.labels import SNOMED, Vocabulary

_DX = re.compile(r"#[ \t]*Dx[^:]*:(.*)")
_TRUE = frozenset({"True", "true", "T", "t"})
_LINES = 4


@dataclass(frozen=True, slots=True, eq=False)
class ChallengeFiles:
    """What the files of some records say, (record, class) each.

    `names` are the records', without suffix. `unlabelled` have no `#Dx` line: none of their labels
    holds, which may be meant, or a header of another data set.
    """

    names: tuple[str, ...]
    labels: NDArray[np.bool_]
    outputs: NDArray[np.bool_]
    scores: NDArray[np.float64]
    unlabelled: tuple[str, ...]


def read_challenge(
    labels_dir: Path | str, outputs_dir: Path | str, classes: Vocabulary
) -> ChallengeFiles:
    """Return the labels and outputs of every header in a folder, sorted by name.

    A class is positive if any of its columns is (merged codes are columns of their class, and so
    is a column that names several codes with "|"), and has the mean of their scalars; a class
    without a column is negative with 0. Columns of no class and files of no record are left out.

    Parameters
    ----------
    labels_dir, outputs_dir
        Folders; their subfolders are not searched.
    classes
        The scored classes, SNOMED CT.

    Raises
    ------
    BadFile
        No header, a header without its output, or an output that is not of the four-line form.
    """
    pairs = list(_pairs(Path(labels_dir), Path(outputs_dir)))
    shape = (len(pairs), len(classes))
    labels, outputs = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
    scores = np.zeros(shape)
    unlabelled: list[str] = []
    places = code_places(classes)
    layouts: dict[tuple[str, ...], list[tuple[int, list[int]]]] = {}
    for row, (label_path, output_path) in enumerate(pairs):
        codes = read_codes(label_path)
        if codes is None:
            unlabelled.append(label_path.stem)
        labels[row, [places[code] for code in codes or () if code in places]] = True
        names, binaries, scalars = read_output(output_path)
        if names not in layouts:
            layouts[names] = _layout(names, places)
        for place, columns in layouts[names]:
            if columns[-1] >= min(len(binaries), len(scalars)):
                raise BadFile(
                    f"{output_path}: expected {len(names)} binary and scalar outputs, one for each "
                    f"class, came {len(binaries)} and {len(scalars)}"
                )
            outputs[row, place] = any(binaries[column] for column in columns)
            scores[row, place] = sum(scalars[column] for column in columns) / len(columns)
    stems = tuple(label_path.stem for label_path, _ in pairs)
    return ChallengeFiles(stems, labels, outputs, scores, tuple(unlabelled))


def _pairs(labels_dir: Path, outputs_dir: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each header with its output file, sorted."""
    for folder in (labels_dir, outputs_dir):
        if not folder.is_dir():
            raise BadFile(f"{folder}: expected a folder, found {_kind(folder)}")
    headers = [
        path
        for path in labels_dir.iterdir()
        if path.suffix.lower() == ".hea" and not path.name.startswith(".") and path.is_file()
    ]
    if not headers:
        raise BadFile(f"{labels_dir}: expected label files (.hea), found none")
    for header in sorted(headers):
        output = outputs_dir / f"{header.stem}.csv"
        if not output.is_file():
            raise BadFile(f"{output}: expected the output for {header.name}, found {_kind(output)}")
        yield header, output


def _kind(path: Path) -> str:
    return "a folder" if path.is_dir() else "a file" if path.exists() else "none"


def code_places(classes: Vocabulary) -> dict[str, int]:
    """Return the class of each SNOMED CT code, merged ones included."""
    places = {term.code: place for place, term in enumerate(classes.terms)}
    merged = {c: places[code] for (system, c), code in classes.merged.items() if system == SNOMED}
    return places | merged


def read_codes(path: Path) -> frozenset[str] | None:
    """Return the codes of a header's `#Dx` lines, None if it has none. Raises BadFile."""
    found = [_DX.match(line) for line in _lines(path)]
    texts = [match[1] for match in found if match]
    if not texts:
        return None
    return frozenset(code.strip() for text in texts for code in text.split(","))


def read_output(path: Path) -> tuple[tuple[str, ...], list[bool], list[float]]:
    """Return the class names, binary and scalar outputs of an output file. Raises BadFile.

    1, True, true, T and t are positive, all else is not; a scalar that is not finite is 0.
    """
    lines = list(islice(_lines(path), _LINES))
    if len(lines) < _LINES:
        raise BadFile(
            f"{path}: expected four lines (#ID, classes, binary and scalar outputs), "
            f"came {len(lines)}"
        )
    _, names, binaries, scalars = lines
    return (
        tuple(name.strip() for name in names.split(",")),
        [cell in _TRUE or finite(cell) == 1 for cell in map(str.strip, binaries.split(","))],
        [finite(cell) for cell in scalars.split(",")],
    )


def finite(text: str) -> float:
    """Return the number that a text is, 0 where it is none or not finite."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror or error}") from error


def _layout(names: Iterable[str], places: dict[str, int]) -> list[tuple[int, list[int]]]:
    """Return the columns of each class that has any."""
    columns: dict[int, list[int]] = {}
    for column, name in enumerate(names):
        for place in {places[code] for code in name.split("|") if code in places}:
            columns.setdefault(place, []).append(column)
    return sorted(columns.items())
