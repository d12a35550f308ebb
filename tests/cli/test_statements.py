"""`fascicle data statements`: tables in, tables out, refusals in one line."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fascicle.cli import app
from fascicle.errors import BadFile, BadRequest

REPORTS = 'id,report\n7,"No AF, but LBBB. LVH cannot be excluded."\n8,"Osborn wave"\n9,\n'


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["data", "statements", *map(str, arguments)])


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    path = tmp_path / "reports.csv"
    path.write_text(REPORTS)
    return path


def test_a_row_per_report_and_the_unmatched_words(reports: Path, tmp_path: Path) -> None:
    out, left = tmp_path / "new" / "codes.csv", tmp_path / "words.csv"
    result = run(reports, "--out", out, "--unmatched", left)
    assert result.exit_code == 0, result.output
    assert "3 reports: 1 with a code, 2 without; 1 with unmatched words" in result.output
    rows = table(out)
    assert rows[0] == {
        "id": "7",
        "present": "CLBBB",
        "possible": "LVH",
        "absent": "AFIB",
        "words": "AFIB: AF; CLBBB: LBBB; LVH: LVH",
        "unmatched": "",
    }
    assert [row["id"] for row in rows] == ["7", "8", "9"]
    assert rows[1]["unmatched"] == "Osborn"
    assert table(left) == [{"words": "osborn", "reports": "1", "first id": "8"}]


def test_other_names_separators_and_encodings(tmp_path: Path) -> None:
    path = tmp_path / "befunde.csv"
    path.write_bytes("befund;nr\nkein Vorhofflimmern;a\nQT-Verlängerung;b\n".encode("latin-1"))
    out = tmp_path / "codes.csv"
    assert run(path, "--column", "befund", "--id", "nr", "--out", out).exit_code == 0
    rows = table(out)
    assert [(row["nr"], row["present"], row["absent"]) for row in rows] == [
        ("a", "", "AFIB"),
        ("b", "LNGQT", ""),
    ]


def test_own_tables_are_used(reports: Path, tmp_path: Path) -> None:
    phrases = tmp_path / "phrases.csv"
    phrases.write_text("code,language,pattern,note\nTAB_,en,osborn wave,\n")
    out = tmp_path / "codes.csv"
    assert run(reports, "--out", out, "--phrases", phrases).exit_code == 0
    assert [row["present"] for row in table(out)] == ["", "TAB_", ""]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"id,text\n1,x\n", "no column 'report'; there are: id, text"),
        (b"id,report\n", "expected a report per row"),
        (b"", "expected a table as text"),
        (b"\x00\x01\x02", "expected a table as text"),
        (b"id,report\n1,no AF, but LBBB\n", "line 2: expected 2 cells; a report with ','"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "reports.csv"
    path.write_bytes(content)
    result = run(path, "--out", tmp_path / "codes.csv")
    assert isinstance(result.exception, BadFile)
    assert reason in str(result.exception)
    assert not (tmp_path / "codes.csv").exists()


def test_files_that_are_read_are_not_written_over(reports: Path, tmp_path: Path) -> None:
    for arguments in (
        (reports, "--out", reports),
        (reports, "--out", tmp_path / "a.csv", "--unmatched", tmp_path / "a.csv"),
    ):
        assert isinstance(run(*arguments).exception, BadRequest)
    assert reports.read_text() == REPORTS
    assert isinstance(run(tmp_path / "gone.csv", "--out", tmp_path / "a.csv").exception, BadFile)
