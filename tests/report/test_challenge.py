from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fascicle.errors import BadFile, BadRequest
from fascicle.io.challenge import read_challenge
from fascicle.labels import challenge_classes
from fascicle.record import Diagnosis, Findings, Record
from fascicle.report import write_findings

STATEMENTS = (
    Diagnosis("SR", "SCP-ECG", "sinus rhythm", 0.9, 0.5),
    Diagnosis("426783006", "SNOMED-CT", "sinus rhythm", 0.5, 0.5),
    Diagnosis("733534002", "SNOMED-CT", "complete left bundle branch block", 0.1, 0.2),
    Diagnosis("164889003", "SNOMED-CT", "atrial fibrillation", float(np.float32(0.1)), 0.05),
)


@pytest.fixture
def stated(findings: Findings) -> Findings:
    return replace(findings, diagnoses=STATEMENTS)


def test_four_lines(record: Record, stated: Findings, tmp_path: Path) -> None:
    (path,) = write_findings(record, stated, tmp_path, ["challenge"])
    assert path == tmp_path / "rec-1.csv"
    assert path.read_text() == (
        "#rec-1\n426783006,733534002,164889003\n1,0,1\n0.5,0.1,0.10000000149011612\n"
    )
    assert [found.name for found in tmp_path.iterdir()] == ["rec-1.csv"]


def test_numpy_numbers_are_plain(record: Record, stated: Findings, tmp_path: Path) -> None:
    odd = Diagnosis("164889003", "SNOMED-CT", "AF", np.float32(0.25), 0.5)  # type: ignore[arg-type]
    (path,) = write_findings(record, replace(stated, diagnoses=(odd,)), tmp_path, ["challenge"])
    assert path.read_text().splitlines()[2:] == ["0", "0.25"]


def test_what_is_written_is_read(record: Record, stated: Findings, tmp_path: Path) -> None:
    write_findings(record, stated, tmp_path / "out", ["challenge", "json"])
    (tmp_path / "rec-1.hea").write_text("rec-1 1 250 10\n#Dx: 164909002\n")
    classes = challenge_classes()
    files = read_challenge(tmp_path, tmp_path / "out", classes)
    for diagnosis in STATEMENTS[1:]:
        place = classes.index("SNOMED-CT", diagnosis.code)
        assert files.outputs[0, place] == diagnosis.present
        assert files.scores[0, place] == diagnosis.probability
    assert files.labels[0, classes.index("SNOMED-CT", "733534002")]


def test_replaces_its_own_older_file(record: Record, stated: Findings, tmp_path: Path) -> None:
    write_findings(record, replace(stated, diagnoses=STATEMENTS[:2]), tmp_path, ["challenge"])
    (path,) = write_findings(record, stated, tmp_path, ["challenge"])
    assert path.read_text().splitlines()[1].count(",") == 2


@pytest.mark.parametrize("content", ["I,II\n1,2\n", "", "# rec-1\nI\n1\n", "#rec-10\n1\n1\n1\n"])
def test_keeps_any_other_table(
    record: Record, stated: Findings, tmp_path: Path, content: str
) -> None:
    table = tmp_path / "rec-1.csv"
    table.write_text(content)
    with pytest.raises(BadRequest, match=r"rec-1\.csv is no Challenge output and is kept"):
        write_findings(record, stated, tmp_path, ["json", "challenge"])
    assert table.read_text() == content
    assert [path.name for path in tmp_path.iterdir()] == ["rec-1.csv"]


def test_keeps_the_ecg_itself(record: Record, stated: Findings, tmp_path: Path) -> None:
    table = tmp_path / "rec-1.csv"
    table.write_text("#rec-1\nI,II\n1,2\n")
    with pytest.raises(BadRequest, match="is kept"):
        write_findings(replace(record, source=str(table)), stated, tmp_path, ["challenge"])


def test_keeps_the_table_of_all(record: Record, stated: Findings, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="table of all records"):
        write_findings(record, replace(stated, name="summary"), tmp_path, ["challenge"])


def test_a_folder_in_its_place(record: Record, stated: Findings, tmp_path: Path) -> None:
    (tmp_path / "rec-1.csv").mkdir()
    with pytest.raises(BadFile, match=r"rec-1\.csv: cannot be read"):
        write_findings(record, stated, tmp_path, ["challenge"])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda found: replace(found, diagnoses=STATEMENTS[:1]), "'default' has SCP-ECG"),
        (lambda found: replace(found, diagnoses=()), "has no diagnoses"),
    ],
)
def test_a_bundle_without_its_codes(
    record: Record,
    stated: Findings,
    tmp_path: Path,
    change: Callable[[Findings], Findings],
    text: str,
) -> None:
    with pytest.raises(BadRequest, match=text):
        write_findings(record, change(stated), tmp_path, ["challenge", "json"])
    assert list(tmp_path.iterdir()) == []


def test_a_probability_that_is_none(record: Record, stated: Findings, tmp_path: Path) -> None:
    odd = Diagnosis("164889003", "SNOMED-CT", "AF", float("nan"), 0.5)
    with pytest.raises(ValueError, match="finite"):
        write_findings(record, replace(stated, diagnoses=(odd,)), tmp_path, ["challenge"])
    assert list(tmp_path.iterdir()) == []


def test_a_name_is_one_line(record: Record, stated: Findings, tmp_path: Path) -> None:
    (path,) = write_findings(record, replace(stated, name="a\nb"), tmp_path, ["challenge"])
    lines = path.read_text().splitlines()
    assert len(lines) == 4
    assert lines[0] == f"#{path.stem}"
