from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fascicle.errors import BadFile
from fascicle.io.challenge import (
    ChallengeFiles,
    code_places,
    finite,
    read_challenge,
    read_codes,
    read_output,
)
from fascicle.labels import challenge_classes

CLASSES = challenge_classes()
PLACES = code_places(CLASSES)
AF, AFL, SR, CLBBB, LBBB = "164889003", "164890007", "426783006", "733534002", "164909002"


def write(folder: Path, name: str, dx: str | None, *lines: str) -> None:
    """Write a label file, and an output of the lines unless there are none."""
    for part in ("labels", "outputs"):
        (folder / part).mkdir(exist_ok=True)
    header = [f"{name} 1 500 10", f"{name}.mat 16 1000/mV 16 0 0 0 0 I", "#Age: 50"]
    header += [] if dx is None else [dx]
    (folder / "labels" / f"{name}.hea").write_text("\n".join(header) + "\n")
    if lines:
        (folder / "outputs" / f"{name}.csv").write_text("\n".join(lines) + "\n")


def read(folder: Path) -> ChallengeFiles:
    return read_challenge(folder / "labels", folder / "outputs", CLASSES)


def test_reads_labels_and_outputs_sorted(tmp_path: Path) -> None:
    write(tmp_path, "b", f"#Dx: {SR}", "#b", f"{AF},{SR}", "0,1", "0.25,0.75")
    write(tmp_path, "a", f"#Dx: {AF},{AFL},999", "#a", f"{SR},12345,{AF}", "0,1,1", "0.5,1,0.125")
    (tmp_path / "outputs" / "other.csv").write_text("of no record")
    (tmp_path / "labels" / ".hidden.hea").write_text("#Dx: 1")
    files = read(tmp_path)
    assert files.names == ("a", "b")
    assert files.unlabelled == ()
    for row, wanted in enumerate(({AF, AFL}, {SR})):
        assert set(np.flatnonzero(files.labels[row])) == {PLACES[code] for code in wanted}
    assert set(np.flatnonzero(files.outputs[0])) == {PLACES[AF]}
    assert set(np.flatnonzero(files.outputs[1])) == {PLACES[SR]}
    assert files.scores[0, PLACES[SR]] == 0.5
    assert files.scores[0, PLACES[AF]] == 0.125
    assert np.count_nonzero(files.scores) == 4  # absent classes are 0


@pytest.mark.parametrize("code", [CLBBB, LBBB, f"{CLBBB}|{LBBB}", f"12|{LBBB}"])
def test_equivalent_codes_are_one_class(code: str, tmp_path: Path) -> None:
    write(tmp_path, "a", f"#Dx: {LBBB}", "#a", code, "1", "0.5")
    files = read(tmp_path)
    place = PLACES[CLBBB]
    assert np.flatnonzero(files.labels[0]).tolist() == [place]
    assert np.flatnonzero(files.outputs[0]).tolist() == [place]
    assert files.scores[0, place] == 0.5


def test_any_of_the_binaries_and_the_mean_of_the_scalars(tmp_path: Path) -> None:
    names = f"{LBBB},{AF},{CLBBB},{CLBBB}|{LBBB}"
    write(tmp_path, "a", "#Dx: 1", "#a", names, "0,0,1,0", "0.25,0.9,nan,0.5")
    files = read(tmp_path)
    assert np.flatnonzero(files.outputs[0]).tolist() == [PLACES[CLBBB]]
    assert files.scores[0, PLACES[CLBBB]] == 0.25


def test_a_column_of_two_classes_counts_for_both(tmp_path: Path) -> None:
    write(tmp_path, "a", "#Dx: 1", "#a", f"{AF}|{SR}", "1", "0.5")
    assert set(np.flatnonzero(read(tmp_path).outputs[0])) == {PLACES[AF], PLACES[SR]}


def test_what_is_positive(tmp_path: Path) -> None:
    positive = ["1", "True", "true", "T", "t", "1.0", "1e0", " 1 ", "+1"]
    negative = ["0", "TRUE", "False", "yes", "", "nan", "inf", "2", "0.5", "-1"]
    path = tmp_path / "a.csv"
    cells = positive + negative
    path.write_text(f"#a\n{','.join('abcdefghijklmnopqrs')}\n{','.join(cells)}\n{',' * 18}\n")
    _, binaries, _ = read_output(path)
    assert binaries == [True] * len(positive) + [False] * len(negative)


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-inf", "Infinity", "", "  ", "word", "1,", "1e999"]
)
def test_what_is_not_finite_is_zero(text: str) -> None:
    assert finite(text) == 0


def test_numbers_are_read_in_full() -> None:
    assert finite(" 0.1234567890123456 \n") == 0.1234567890123456
    assert finite("-3e-2") == -0.03


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_in_any_way(end: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(end.join(["#a", "1, 2", "1,0", "0.5,0.25", "a fifth line"]).encode())
    assert read_output(path) == (("1", "2"), [True, False], [0.5, 0.25])


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (f"#Dx: {AF},{SR}\n", {AF, SR}),
        (f"# Dx: {AF}, {SR}\r\n", {AF, SR}),  # so spelled in a part of PhysioNet's copy
        (f"#Dx: {AF}\n#Dx: {SR}", {AF, SR}),
        ("#Dx: \n", {""}),
        (f"#Age: 5\n#dx: {AF}\n", None),
        ("", None),
    ],
)
def test_label_lines(text: str, codes: set[str] | None, tmp_path: Path) -> None:
    path = tmp_path / "a.hea"
    path.write_bytes(b"a 1 500 10\na.mat 16 200 16 0 0 0 0 I\n" + text.encode())
    assert read_codes(path) == codes


def test_headers_without_labels_are_told(tmp_path: Path) -> None:
    write(tmp_path, "a", None, "#a", AF, "1", "0.5")
    write(tmp_path, "b", "#Dx: ", "#b", AF, "1", "0.5")
    files = read(tmp_path)
    assert files.unlabelled == ("a",)
    assert not files.labels.any()


def test_longer_rows_and_short_unscored_ones_pass(tmp_path: Path) -> None:
    write(tmp_path, "a", "#Dx: 1", "#a", f"{AF},,", "1,,,", "0.5,,,,")
    write(tmp_path, "b", "#Dx: 1", "#b", f"{AF},12345", "1", "0.5")  # the official program's way
    assert read(tmp_path).outputs[:, PLACES[AF]].tolist() == [True, True]


def test_refuses_a_missing_output(tmp_path: Path) -> None:
    write(tmp_path, "a", "#Dx: 1", "#a", AF, "1", "0.5")
    write(tmp_path, "b", "#Dx: 1")
    with pytest.raises(BadFile, match=r"b\.csv: expected the output for b\.hea, found none"):
        read(tmp_path)


def test_refuses_empty_and_absent_folders(tmp_path: Path) -> None:
    write(tmp_path, "a", "#Dx: 1", "#a", AF, "1", "0.5")
    with pytest.raises(BadFile, match=r"outputs: expected label files \(\.hea\), found none"):
        read_challenge(tmp_path / "outputs", tmp_path / "outputs", CLASSES)
    with pytest.raises(BadFile, match="absent: expected a folder, found none"):
        read_challenge(tmp_path / "labels", tmp_path / "absent", CLASSES)
    with pytest.raises(BadFile, match="found a file"):
        read_challenge(tmp_path / "labels" / "a.hea", tmp_path / "outputs", CLASSES)


def test_refuses_an_output_of_fewer_lines_or_columns(tmp_path: Path) -> None:
    write(tmp_path, "a", "#Dx: 1", "#a", AF, "1")
    with pytest.raises(BadFile, match=r"a\.csv: expected four lines .* came 3"):
        read(tmp_path)
    write(tmp_path, "a", "#Dx: 1", "#a", f"{SR},{AF}", "1", "0.5,0.5")
    with pytest.raises(BadFile, match=r"expected 2 binary and scalar .* came 1 and 2"):
        read(tmp_path)


def test_bytes_that_are_no_text_are_no_crash(tmp_path: Path) -> None:
    write(tmp_path, "a", "#Dx: 1", "#a", AF, "1", "0.5")
    (tmp_path / "outputs" / "a.csv").write_bytes(bytes(range(256)) * 4)
    files = read(tmp_path)
    assert not files.outputs.any()
    assert not files.scores.any()
