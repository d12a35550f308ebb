"""The reading of PTB-XL's reports against its own codes: floors under what was measured."""

from __future__ import annotations

import ast
import csv
from collections import Counter
from pathlib import Path

import pytest

from fascicle.labels.text import Reading, read_report

Cases = list[tuple[set[str], Reading]]

# Labels that the reports do name, with a floor of F1 a little under that of folds 1 to 7.
FLOORS = {"SR": 0.96, "NORM": 0.82, "AFIB": 0.97, "CLBBB": 0.84, "SARRH": 0.94, "ABQRS": 0.99}


@pytest.fixture(scope="module")
def cases(data_dir: Path) -> Cases:
    """Codes and reading of the records on which the rules were written."""
    path = data_dir / "ptbxl" / "ptbxl_database.csv"
    with path.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if int(row["strat_fold"]) <= 7]
    return [
        (set(ast.literal_eval(row["scp_codes"])), read_report(row["report"].split("Edit:")[0]))
        for row in rows
    ]


def _f1(cases: Cases, code: str | None = None) -> float:
    counts: Counter[str] = Counter()
    for stated, reading in cases:
        found = reading.codes("present")
        wanted = {code} if code else stated | found
        counts["tp"] += len(stated & found & wanted)
        counts["wrong"] += len((stated ^ found) & wanted)
    return 2 * counts["tp"] / (2 * counts["tp"] + counts["wrong"])


@pytest.mark.parametrize(("code", "floor"), FLOORS.items())
def test_labels_that_reports_name_are_found(cases: Cases, code: str, floor: float) -> None:
    assert _f1(cases, code) >= floor


def test_all_codes_together(cases: Cases) -> None:
    assert _f1(cases) >= 0.76


def test_few_words_are_left_over(cases: Cases) -> None:
    letters = sum(len(reading.text) for _, reading in cases)
    left = sum(end - start for _, reading in cases for start, end in reading.unmatched)
    assert left / letters <= 0.045


def test_what_is_denied_is_hardly_ever_stated(cases: Cases) -> None:
    denied = [(code in stated) for stated, reading in cases for code in reading.codes("absent")]
    assert denied
    assert sum(denied) <= 1
