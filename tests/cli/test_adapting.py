"""`fascicle adapt` as a user meets it: synthetic files, a tiny net, one new class."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fascicle.bundle import Bundle, new_network, read_bundle, save_bundle
from fascicle.cli import main
from fascicle.data.sources import Item
from fascicle.io import read
from fascicle.labels import superclasses
from fascicle.predict import Model
from fascicle.recipe import parse_recipe
from fascicle.synth import synthesize

POSITIVES, NEGATIVES = 6, 14
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs one command in this process: its exit code, output and errors."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("fascicle.train.new_class.PENALTIES", (1e3, 1.0))
    monkeypatch.setattr("fascicle.train.new_class.SHRINKAGES", (1.0, 0.2))

    def _run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fascicle", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        return int(end.value.code or 0), shown.out, shown.err

    return _run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an untrained bundle, ECGs as tables, and a list of them."""
    folder = tmp_path_factory.mktemp("adapt")
    recipe = parse_recipe(
        {
            "name": "small",
            "preprocessing": {"rate_hz": 125.0},
            "backbone": {"filters": [8, 8], "decoder": [8], "skip": 8, "kernel": 3},
            "tasks": {"diagnosis": {"systems": ["PTB-XL superclass"]}},
            "groups": [{"source": "synth", "tasks": ["diagnosis"], "rows": 1}],
        },
        "small",
    )
    blank = Bundle(recipe, {"diagnosis": superclasses()}, {}, {}, {})
    torch.manual_seed(1)
    weights = new_network(recipe, blank.tasks()).state_dict()
    card = {"trained_on": [{"source": "here", "folds": [1], "records": 9, "tasks": ["diagnosis"]}]}
    bundle = Bundle(recipe, blank.vocabularies, {}, {}, weights, card)
    save_bundle(bundle, folder / "small.safetensors", half=True)
    lines = ["path,label,patient"]
    for number in range(POSITIVES + NEGATIVES):
        write_ecg(folder / f"ecg{number}.csv", number)
        lines.append(f"ecg{number}.csv,{int(number < POSITIVES)},p{number}")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return folder


def write_ecg(path: Path, number: int) -> None:
    condition = "vt" if number < POSITIVES else "sinus"
    record = synthesize(
        condition, seed=number, rate_hz=250.0, duration_s=4.0, leads=("I", "II"), noise=None
    )
    signal = np.round(record.signal.T * 1000)
    np.savetxt(path, signal, fmt="%d", delimiter=",", header="I,II", comments="")


def ask(folder: Path, out: Path, **changes: str | Path | None) -> list[str | Path]:
    """Return the words of a command that works, with changes."""
    options: dict[str, str | Path | None] = {
        "--new-class": "OURS:VT",
        "--name": "ventricular tachycardia",
        "--data": folder / "list.csv",
        "--out": out,
        "--method": "prototype",
        "--rate": "250",
        "--unit": "uV",
        **{f"--{key.replace('_', '-')}": value for key, value in changes.items()},
    }
    words = [part for key, value in options.items() if value is not None for part in (key, value)]
    return ["adapt", folder / "small.safetensors", *words]


def test_a_list_of_own_files_becomes_a_class(run: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "grown.safetensors"
    code, shown, progress = run(*ask(folder, out))
    assert code == 0, progress
    assert "6 of 20 records have it, 6 of 20 patients" in shown
    assert "prototype, shrinkage" in shown
    assert "Doubt: only 6 positive records of 6 patients" in shown
    assert "Doubt: it is not known whether" in shown
    assert f"wrote {out}" in shown
    assert "cross-validation" in progress
    old, new = read_bundle(folder / "small.safetensors"), read_bundle(out)
    assert all(torch.equal(new.weights[name], weight) for name, weight in old.weights.items())
    (entry,) = new.card["added"]
    assert (entry["system"], entry["code"]) == ("OURS", "VT")
    assert (entry["positives"], entry["records"]) == (POSITIVES, POSITIVES + NEGATIVES)
    assert entry["positive_patients"] == POSITIVES
    assert entry["method"] == "prototype"
    assert entry["shrinkage"] in (1.0, 0.2)
    assert entry["threshold"] == new.thresholds["added"][0]
    assert {"f1", "f1.low", "f1.high", "auroc.low", "auprc.high"} <= set(entry["expected"])
    assert len(entry["doubts"]) == 2
    assert entry["seen_in_training"] is None
    assert entry["parent_weights_sha256"] == old.weights_sha256
    assert new.card["trained_on"][:-1] == old.card["trained_on"]
    last = new.card["trained_on"][-1]
    assert (last["source"], last["records"], last["tasks"]) == ("list.csv", 20, ["added"])
    record = read(folder / "ecg0.csv", rate_hz=250, unit="uV")
    before, after = (Model(bundle).analyze(record) for bundle in (old, new))
    assert after.diagnoses[:-1] == before.diagnoses
    assert after.diagnoses[-1].name == "ventricular tachycardia"
    expected = entry["expected"]
    card = run("info", out)[1]
    assert "added OURS VT from 6 of 20 records: F1" in card
    assert f"({expected['f1.low']:.2f} .. {expected['f1.high']:.2f})" in card


def test_the_same_command_writes_the_same_bytes(run: Run, folder: Path, tmp_path: Path) -> None:
    one, two = (tmp_path / name for name in ("one", "two"))
    assert run(*ask(folder, one, method="logistic"))[0] == 0
    assert run(*ask(folder, two, method="logistic"))[0] == 0
    assert one.read_bytes() == two.read_bytes()


def test_negatives_can_be_fewer(run: Run, folder: Path, tmp_path: Path) -> None:
    code, shown, _ = run(*ask(folder, tmp_path / "grown", negatives="9", method="logistic"))
    assert code == 0
    assert "6 of 15 records have it" in shown


def test_a_source_tells_what_was_seen(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [
        Item(f"here/{number}", folder / f"ecg{number}.csv", f"p{number}", number % 2)
        for number in range(POSITIVES + NEGATIVES)
    ]
    sources = {"here": _Source(items)}
    for place in ("fascicle.evaluate.SOURCES", "fascicle.train.cases.SOURCES"):
        monkeypatch.setattr(place, sources)
    asked: dict[str, str | Path | None] = {
        "method": "logistic",
        "data": folder,
        "source": "here",
        "new_class": "SNOMED-CT:164895002",
        "name": None,
    }
    code, shown, _ = run(*ask(folder, tmp_path / "grown", **asked))
    assert code == 0
    assert "Doubt: the net was trained on some of these records" in shown
    card = read_bundle(tmp_path / "grown").card
    assert card["added"][0]["seen_in_training"] is True
    assert card["trained_on"][-1]["source"] == "here"
    assert card["trained_on"][-1]["sets"] == ["here"]
    assert run(*ask(folder, tmp_path / "even", **asked), "--fold", "0")[0] == 2  # 3 positives


class _Source:
    """What the command uses of a source: VT where the list has it."""

    def __init__(self, items: list[Item]) -> None:
        self.items = items

    def index(self, _: Path) -> list[Item]:
        return self.items

    def load(self, item: Item) -> Any:
        record = read(item.path, rate_hz=250, unit="uV")
        number = int(item.key.partition("/")[2])
        codes = frozenset({"164895002"} if number < POSITIVES else ())
        return replace(record, labels={"SNOMED-CT": codes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"new_class": "NORM"}, "of several systems"),
        ({"new_class": "PTB-XL superclass:NORM"}, "has PTB-XL superclass NORM already"),
        ({"new_class": "NOSUCH", "name": None}, "needs --name"),
        ({"method": "svm"}, "known: auto, logistic, prototype"),
        ({"data": None}, "--data expected: a list of files"),
        ({"data": "none.csv"}, "cannot be read as a list"),
        ({"source": "nowhere"}, "no source 'nowhere'"),
        ({"fold": "1"}, "--fold belongs to --source"),
        ({"rate": None}, "no sampling rate"),
        ({"new_class": "OURS:OTHER", "data": "codes.csv"}, "5 positive records of 3 patients"),
        ({"data": "one.csv"}, "found 6 of 1"),
        ({"data": "missing.csv"}, "absent.csv"),
    ],
)
def test_refusals_are_one_line_and_write_nothing(
    changes: dict[str, str | None], said: str, run: Run, folder: Path, tmp_path: Path
) -> None:
    lines = (folder / "list.csv").read_text().splitlines()
    ours = {
        "codes.csv": [*lines[:1], *(line.replace(",1,", ",OURS:VT,") for line in lines[1:])],
        "one.csv": [f"{line.rpartition(',')[0]},same" if ",1," in line else line for line in lines],
        "missing.csv": [*lines, "absent.csv,0,px"],
    }
    for name, text in ours.items():
        (folder / name).write_text("\n".join(text) + "\n")
    named = changes.get("data")
    found = {**changes, "data": folder / named} if named else changes
    out = tmp_path / "out" / "grown.safetensors"
    code, shown, refused = run(*ask(folder, out, **found))
    assert code == 2
    assert shown == ""
    last = refused.strip().splitlines()[-1]
    assert last.startswith("fascicle: ")
    assert said in last
    assert not out.parent.exists()


def test_a_file_that_is_there_is_kept(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    code, _, refused = run(*ask(folder, tmp_path / "there"))
    assert code == 2
    assert "is there already" in refused
    assert (tmp_path / "there").read_text() == "mine"
