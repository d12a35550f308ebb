"""`fascicle score` and `fascicle analyze --format challenge` as a user meets them."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from fascicle.bundle import default_bundle
from fascicle.cli import main
from fascicle.io.marks import Mark, encode_marks
from fascicle.labels import challenge_classes
from fascicle.synth import synthesize

GOLDEN = Path(__file__).parent / "metrics" / "golden" / "official_cases.npz"
BXB = json.loads(GOLDEN.with_name("bxb_cases.json").read_text())
CASES = (
    "random",
    "ties",
    "emptyclass",
    "no_labels",
    "no_outputs",
    "nothing",
    "everything",
    "all_labels",
    "only_sinus",
    "sinus_or_nothing",
    "whole_classes",
    "constant_scores",
    "huge_scores",
    "one_record",
)
WHOLE = ("auroc", "auprc", "accuracy", "f_measure")
AF, SR, CLBBB, LBBB = "164889003", "426783006", "733534002", "164909002"


class Answer(NamedTuple):
    """What a command gave back."""

    code: int
    out: str
    err: str


Run = Callable[..., Answer]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def _run(*words: str | Path) -> Answer:
        monkeypatch.setattr(sys, "argv", ["fascicle", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        return Answer(int(end.value.code or 0), shown.out, shown.err)

    return _run


def assert_one_line(answer: Answer, *parts: str) -> None:
    assert (answer.code, answer.out) == (2, "")
    assert len(answer.err.splitlines()) == 1, answer.err
    for part in ("fascicle: ", *parts):
        assert part in answer.err


def write_files(
    folder: Path, labels: NDArray[Any], outputs: NDArray[Any], scores: NDArray[Any]
) -> tuple[Path, Path]:
    """Write label and output files, spelling flags and splitting classes now this way, now that."""
    rng = np.random.default_rng(0)
    ours, theirs = folder / "labels", folder / "outputs"
    ours.mkdir()
    theirs.mkdir()
    codes = [term.code for term in challenge_classes().terms]
    others = {code: merged for (_, merged), code in challenge_classes().merged.items()}
    for row, (wanted, found, values) in enumerate(zip(labels, outputs, scores, strict=True)):
        held = [c if rng.random() < 0.5 else others.get(c, c) for c in np.array(codes)[wanted]]
        (ours / f"r{row}.hea").write_text(f"r{row} 1 500 10\n#Dx: {','.join(held)}\n")
        columns = [("713422000", "1", "0.9")]  # no scored class
        for code, flag, value in zip(codes, found, values, strict=True):
            yes = str(rng.choice(["1", "True", "true", "T", "t", "1.0"]))
            no = str(rng.choice(["0", "False", "F", "", "nan"]))
            if value == 0 and not flag and rng.random() < 0.5:
                continue  # an absent class
            text = repr(float(value)) if value else str(rng.choice(["0", "nan", "inf", "-inf"]))
            columns.append((code, yes if flag else no, text))
            if code in others and rng.random() < 0.5:
                columns.append((others[code], no, text))
        order = rng.permutation(len(columns))
        lines = [",".join(cells) for cells in zip(*(columns[n] for n in order), strict=True)]
        (theirs / f"r{row}.csv").write_text("\n".join([f"#r{row}", *lines]) + "\n")
    return ours, theirs


@pytest.mark.parametrize("case", CASES)
def test_equals_the_official_program(case: str, run: Run, tmp_path: Path) -> None:
    with np.load(GOLDEN) as golden:
        labels, outputs, scores = (golden[f"{case}/{k}"] for k in ("labels", "outputs", "scores"))
        expected = {key: golden[f"{case}/{key}"] for key in (*WHOLE, "challenge")}
        per_class = {
            "auroc": golden[f"{case}/auroc_classes"],
            "auprc": golden[f"{case}/auprc_classes"],
            "f_measure": golden[f"{case}/f_classes"],
        }
    ours, theirs = write_files(tmp_path, labels, outputs, scores)
    answer = run("score", ours, theirs, "--out", tmp_path / "scores.json")
    assert answer.code == 0, answer.err
    found = json.loads((tmp_path / "scores.json").read_text())
    expected["challenge_metric"] = expected.pop("challenge")
    for key, value in expected.items():
        assert number(found[key]) == pytest.approx(float(value), abs=1e-9, nan_ok=True), key
    for key, values in per_class.items():
        got = [number(scores[key]) for scores in found["classes"].values()]
        np.testing.assert_allclose(got, values, rtol=0, atol=1e-9, err_msg=key)
    assert found["records"] == len(labels)


def number(value: float | None) -> float:
    return math.nan if value is None else value


def test_prints_as_the_official_program(run: Run, tmp_path: Path) -> None:
    codes = [term.code for term in challenge_classes().terms]
    labels = np.zeros((4, 26), dtype=bool)
    labels[0, codes.index(AF)] = labels[1, codes.index(SR)] = labels[2, codes.index(SR)] = True
    outputs, scores = labels.copy(), labels * 0.5
    outputs[2] = False
    ours, theirs = write_files(tmp_path, labels, outputs, scores)
    answer = run("score", ours, theirs)
    assert answer.err == ""
    lines = answer.out.splitlines()
    assert lines[0] == "AUROC,AUPRC,Accuracy,F-measure,Challenge metric"
    # right 3, always sinus 2 + 0.25 / 2 (the weight of AF called sinus, over two), found 2
    assert lines[1] == "1.000,1.000,0.750,0.833,-0.143"
    table = [line.split(",") for line in lines[2:]]
    assert [row[0] for row in table] == ["Classes", "AUROC", "AUPRC", "F-measure"]
    assert {len(row) for row in table} == {27}
    assert f"{LBBB}|{CLBBB}" in table[0]  # the codes of a class in their order
    columns = {cells[0]: cells[1:] for cells in zip(*table, strict=True)}
    assert columns[AF] == ("1.000", "1.000", "1.000")
    assert columns[SR] == ("1.000", "1.000", "0.667")
    assert columns["164890007"] == ("nan", "nan", "nan")


def test_one_record_and_headers_without_labels(run: Run, tmp_path: Path) -> None:
    none = np.zeros((1, 26), dtype=bool)
    ours, theirs = write_files(tmp_path, none, none, none * 0.0)
    (ours / "r0.hea").write_text("r0 1 500 10\n")
    answer = run("score", ours, theirs, "--out", tmp_path / "deep" / "a.json")
    assert answer.code == 0
    assert answer.out.splitlines()[1] == "nan,nan,1.000,nan,0.000"
    assert "1 of 1 label files have no #Dx line, such as r0" in answer.err
    found = json.loads((tmp_path / "deep" / "a.json").read_text())
    assert found["auroc"] is None
    assert found["accuracy"] == 1
    assert found["classes"][AF] == {"auroc": None, "auprc": None, "f_measure": None}


def test_challenge_refusals(run: Run, tmp_path: Path) -> None:
    none = np.zeros((2, 26), dtype=bool)
    ours, theirs = write_files(tmp_path, none, none, none * 0.0)
    assert_one_line(run("score", ours, tmp_path / "absent"), "absent", "expected a folder")
    assert_one_line(run("score", theirs, theirs), "outputs", "expected label files")
    assert_one_line(run("score", ours, theirs, "--start", "0"), "--beats")
    (tmp_path / "file").write_text("")
    answer = run("score", ours, theirs, "--out", tmp_path / "file" / "a.json")
    assert answer.code == 2
    assert "cannot be written" in answer.err
    (theirs / "r1.csv").write_text("#r1\n1\n1\n")
    assert_one_line(run("score", ours, theirs), "r1.csv", "four lines")
    (theirs / "r1.csv").unlink()
    assert_one_line(run("score", ours, theirs), "r1.csv", "r1.hea")


@pytest.mark.skipif(not default_bundle().exists(), reason="no bundle ships yet")
def test_what_analyze_writes_is_scored(run: Run, tmp_path: Path) -> None:
    record = synthesize("sinus", seed=1, rate_hz=250.0, duration_s=10.0)
    np.savez(tmp_path / "ecg.npz", signal=record.signal, rate_hz=250.0, leads=record.leads)
    out = tmp_path / "out"
    answer = run("analyze", tmp_path / "ecg.npz", "--out", out, "--format", "challenge,json")
    assert answer.code == 0, answer.err
    assert f"wrote {out / 'ecg.csv'}" in answer.out
    statements = json.loads((out / "ecg.json").read_text())["diagnoses"]
    snomed = [found for found in statements if found["system"] == "SNOMED-CT"]
    rows = [line.split(",") for line in (out / "ecg.csv").read_text().splitlines()]
    assert rows[0] == ["#ecg"]
    assert rows[1] == [found["code"] for found in snomed]
    assert rows[2] == [str(int(found["present"])) for found in snomed]
    assert [float(cell) for cell in rows[3]] == [found["probability"] for found in snomed]
    present = [found["code"] for found in snomed if found["present"]]
    (tmp_path / "ecg.hea").write_text(f"ecg 1 250 10\n#Dx: {','.join(present)}\n")
    scored = run("score", tmp_path, out)
    assert scored.code == 0, scored.err
    assert scored.out.splitlines()[1].split(",")[2] == "1.000"


def write_beats(path: Path, *beats: tuple[int, str]) -> Path:
    """Write an annotation file that states 100 samples a second."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encode_marks([Mark(*beat) for beat in beats], 100.0))
    return path


@pytest.fixture
def beats(tmp_path: Path) -> tuple[Path, Path]:
    """Return two records of reference and estimate, a third without estimate."""
    ref, out = tmp_path / "ref", tmp_path / "out"
    write_beats(
        ref / "100.atr", (200, "V"), (30000, "N"), (30100, "N"), (30200, "V"), (30300, "F"),
        (30400, "["), (30450, "!"), (30500, "]"), (30600, "A"),
    )  # fmt: skip
    write_beats(
        out / "100.qrs", (30005, "N"), (30100, "V"), (30200, "V"), (30310, "V"),
        (30450, "V"), (30560, "N"), (30600, "S"),
    )  # fmt: skip
    write_beats(ref / "101.atr", (30000, "N"), (30100, "e"))
    write_beats(out / "101.qrs", (30000, "N"), (30100, "N"))
    write_beats(ref / "102.atr", (30000, "N"))
    return ref, out


def test_beats_of_folders(run: Run, beats: tuple[Path, Path], tmp_path: Path) -> None:
    answer = run("score", "--beats", *beats, "--out", tmp_path / "beats.json")
    assert answer.code == 0, answer.err
    assert answer.err == "not scored, as there is no estimate: 102\n"
    lines = [line.split() for line in answer.out.splitlines()]
    rows = {line[0]: line[1:] for line in lines[1:5]}
    assert " ".join(rows["100"]) == "5 100.00 83.33 100.00 50.00 25.000 100.00 100.00 0.000"
    assert " ".join(rows["101"]) == "2 100.00 100.00 - - 0.000 - - 0.000"
    assert " ".join(rows["Gross"]) == "7 100.00 87.50 100.00 50.00 16.667 100.00 100.00 0.000"
    assert " ".join(rows["Average"]) == "100.00 91.67 100.00 50.00 12.500 100.00 100.00 0.000"
    table = {line[0]: line[1:] for line in lines[7:13]}
    assert table["N"] == ["3", "0", "1", "0", "0", "0"]
    assert table["F"] == ["0", "0", "1", "0", "0", "0"]
    assert table["extra"] == ["1", "0", "0", "0", "0"]
    found = json.loads((tmp_path / "beats.json").read_text())
    assert found["gross"]["V.ppv"] == 0.5
    assert found["records"]["101"]["V.ppv"] is None
    assert found["records"]["100"]["confusion"][3] == [0, 0, 1, 0, 0, 0]
    assert found["average"]["QRS.ppv"] == pytest.approx((5 / 6 + 1) / 2)
    assert found["not_scored"] == ["102"]
    assert found["start_s"] == 300


def test_beats_of_two_files_and_their_options(
    run: Run, beats: tuple[Path, Path], tmp_path: Path
) -> None:
    ref, out = beats
    pair = (ref / "101.atr", out / "101.qrs")
    answer = run("score", "--beats", *pair, "--escape", "S", "--out", tmp_path / "a.json")
    assert answer.code == 0, answer.err
    assert "Gross" not in answer.out
    assert json.loads((tmp_path / "a.json").read_text())["gross"]["S.sensitivity"] == 0
    pair = (ref / "100.atr", out / "100.qrs")
    run("score", "--beats", *pair, "--start", "0", "--out", tmp_path / "b.json")
    found = json.loads((tmp_path / "b.json").read_text())
    assert found["gross"]["V.sensitivity"] == 0.5  # the beat of the learning period is missed


def test_beats_equal_bxb_through_files(run: Run, tmp_path: Path) -> None:
    cases = [case for case in BXB if case["rate_hz"] == 100 and case["start_s"] == 300]
    assert cases
    for case in cases:
        for name, part in (("r.atr", "reference"), ("r.qrs", "estimate")):
            write_beats(tmp_path / name, *map(tuple, case[part]))
        length = "" if case["samples"] is None else f" {case['samples']}"
        (tmp_path / "r.hea").write_text(f"r 1 100{length}\nr.dat 16 200 16 0 0 0 0 I\n")
        answer = run(
            "score", "--beats", tmp_path, tmp_path, "--escape", "S", "--out", tmp_path / "a.json"
        )
        assert answer.code == 0, answer.err
        found = json.loads((tmp_path / "a.json").read_text())
        assert found["gross"]["confusion"] == case["table"]


def test_beats_refusals(run: Run, beats: tuple[Path, Path], tmp_path: Path) -> None:
    ref, out = beats
    short = write_beats(tmp_path / "short.atr", (100, "N"))
    assert_one_line(run("score", "--beats", short, short), "learning period of 300 s", "--start 0")
    assert run("score", "--beats", short, short, "--start", "0").code == 0
    assert_one_line(run("score", "--beats", short, short, "--start", "inf"), "--start", "inf")
    assert_one_line(run("score", "--beats", short, short, "--start", "-1"), "--start", "-1")
    assert_one_line(run("score", "--beats", ref, short), "two files or two folders")
    (out / "100.wqrs").write_bytes(b"")
    assert_one_line(run("score", "--beats", ref, out), ".qrs, .wqrs", "--suffix")
    assert_one_line(run("score", "--beats", ref, out, "--suffix", "wqrs"), "100.wqrs")
    assert run("score", "--beats", ref, out, "--suffix", "qrs").code == 0
    assert_one_line(run("score", "--beats", ref / "100.atr", ref / "999.atr"), "999.atr")
