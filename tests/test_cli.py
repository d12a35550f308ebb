"""The command line as a user meets it, with an untrained net of a few thousand weights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch

from fascicle.bundle import Bundle, new_network, read_bundle, save_bundle
from fascicle.cli import main
from fascicle.labels import superclasses
from fascicle.recipe import read_recipe
from fascicle.report import findings_schema
from fascicle.synth import synthesize
from fascicle.tasks import make_task

RECIPE = """
name = "tiny"
window_s = 4.0

[preprocessing]
baseline = "highpass"

[backbone]
filters = [8, 8, 8]
decoder = [8, 8]
deep_blocks = 0

[tasks.waves]
[tasks.beats]
[tasks.diagnosis]
systems = ["SNOMED-CT"]
min_positives = 1

[[groups]]
source = "synth"
tasks = ["waves", "beats", "diagnosis"]
folds = [1, 2, 3]
rows = 2

[training]
steps = 4
precision = "fp32"
warmup_steps = 1
checkpoint_steps = 2
"""


@dataclass(frozen=True)
class Answer:
    """What a command gave back."""

    code: int
    out: str
    err: str


Run = Callable[..., Answer]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Return a function that runs one command in this process, without the user's own cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")

    def _run(*words: str | Path) -> Answer:
        monkeypatch.setattr(sys, "argv", ["fascicle", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        return Answer(int(end.value.code or 0), shown.out, shown.err)

    return _run


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def bundle(recipe: Path) -> Path:
    """Return a bundle whose net was never trained."""
    torch.manual_seed(1)
    known = read_recipe(recipe)
    vocabularies = {
        "waves": make_task("waves").vocabulary,
        "beats": make_task("beats").vocabulary,
        "diagnosis": superclasses(),
    }
    tasks = {name: make_task(name, vocabularies[name]) for name in known.tasks}
    weights = new_network(known, tasks).state_dict()
    card = {"note": "Never trained.", "trained_on": [], "scores": []}
    path = recipe.with_name("tiny.safetensors")
    save_bundle(Bundle(known, vocabularies, {}, {}, weights, card), path)
    return path


def write_csv(path: Path, seed: int = 1, duration_s: float = 10.0, header: bool = True) -> Path:
    """Write a two-lead table in microvolts, 250 rows a second."""
    record = synthesize("sinus", seed=seed, rate_hz=250.0, duration_s=duration_s, leads=("I", "II"))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(
        path,
        np.round(record.signal.T * 1000),
        fmt="%d",
        delimiter=",",
        header="I,II" if header else "",
        comments="",
    )
    return path


def assert_one_line(answer: Answer, *parts: str) -> None:
    """A refusal is one line on the error stream, exit code 2, and nothing else."""
    assert answer.code == 2
    assert answer.out == ""
    assert len(answer.err.splitlines()) == 1, answer.err
    assert answer.err.startswith("fascicle: ")
    for part in parts:
        assert part in answer.err


def findings_in(path: Path) -> dict[str, object]:
    found = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(found, findings_schema())
    assert isinstance(found, dict)
    return found


class TestAnalyzeOneFile:
    def test_writes_what_was_asked_for(self, run: Run, bundle: Path, tmp_path: Path) -> None:
        table, out = write_csv(tmp_path / "ecg.csv"), tmp_path / "out"
        answer = run(
            "analyze", table, "--out", out, "--bundle", bundle,
            "--rate", "250", "--unit", "uV", "--format", "json, png,svg,pdf,atr",
        )  # fmt: skip
        assert answer.code == 0
        assert sorted(path.name for path in out.iterdir()) == [
            f"ecg.{kind}" for kind in ("atr", "json", "pdf", "png", "svg")
        ]
        assert all(path.stat().st_size for path in out.iterdir())
        for path in out.iterdir():
            assert f"wrote {path}" in answer.out
        record = findings_in(out / "ecg.json")["record"]
        assert isinstance(record, dict)
        assert record["leads"] == ["I", "II", "III", "aVR", "aVL", "aVF"]
        assert (record["rate_hz"], record["duration_s"]) == (250.0, 10.0)

    def test_lead_set_chooses_before_deriving(self, run: Run, bundle: Path, tmp_path: Path) -> None:
        table = write_csv(tmp_path / "ecg.csv")
        options = ("--bundle", bundle, "--rate", "250", "--unit", "uV", "--format", "json")
        run("analyze", table, "--out", tmp_path, *options, "--lead-set", "1")
        record = findings_in(tmp_path / "ecg.json")["record"]
        assert isinstance(record, dict)
        assert record["leads"] == ["I"]

    def test_lead_names_are_taken(self, run: Run, bundle: Path, tmp_path: Path) -> None:
        table = write_csv(tmp_path / "ecg.csv", header=False)
        options = ("--bundle", bundle, "--rate", "250", "--unit", "uV", "--format", "json")
        run("analyze", table, "--out", tmp_path, *options, "--lead-names", "V1, V5")
        record = findings_in(tmp_path / "ecg.json")["record"]
        assert isinstance(record, dict)
        assert record["leads"] == ["V1", "V5"]

    def test_unit_scales_the_signal(self, run: Run, bundle: Path, tmp_path: Path) -> None:
        table = write_csv(tmp_path / "ecg.csv")
        run(
            "analyze", table, "--out", tmp_path / "a", "--bundle", bundle, "--rate", "250",
            "--unit", "uV", "--format", "json",
        )  # fmt: skip
        text = table.read_text().replace("I,II", "I (mV),II (mV)")
        rows = [text.splitlines()[0]]
        rows += [
            ",".join(f"{int(v) / 1000:.3f}" for v in r.split(",")) for r in text.splitlines()[1:]
        ]
        (tmp_path / "ecg.csv").write_text("\n".join(rows))
        options = ("--bundle", bundle, "--rate", "250", "--format", "json")
        run("analyze", table, "--out", tmp_path / "b", *options)
        first = findings_in(tmp_path / "a" / "ecg.json")
        second = findings_in(tmp_path / "b" / "ecg.json")
        assert first["diagnoses"] == second["diagnoses"]
        assert first["beats"] == second["beats"]

    @pytest.mark.parametrize(
        ("name", "content", "parts"),
        [
            ("absent.csv", None, ("absent.csv",)),
            ("empty.csv", b"", ("empty.csv",)),
            ("empty.hea", b"", ("empty.hea",)),
            ("words.npy", b"these are no numbers", ("words.npy",)),
            ("page.docx", b"PK", ("page.docx",)),
            ("short.hea", b"short 1 500 5000\nshort.dat 16 200 16 0 0 0 0 I\n", ("short.dat",)),
        ],
    )
    def test_bad_file_is_one_line(
        self,
        run: Run,
        bundle: Path,
        tmp_path: Path,
        name: str,
        content: bytes | None,
        parts: tuple[str, ...],
    ) -> None:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        answer = run("analyze", tmp_path / name, "--out", tmp_path / "out", "--bundle", bundle)
        assert_one_line(answer, *parts)
        assert not (tmp_path / "out").exists()

    def test_absent_unit_and_rate_are_asked_for(
        self, run: Run, bundle: Path, tmp_path: Path
    ) -> None:
        table = write_csv(tmp_path / "ecg.csv")
        options = ("--out", tmp_path / "out", "--bundle", bundle)
        assert_one_line(run("analyze", table, *options), "ecg.csv", "unit")
        assert_one_line(run("analyze", table, *options, "--unit", "uV"), "ecg.csv", "--rate")

    @pytest.mark.parametrize(
        ("option", "value", "parts"),
        [
            ("--format", "json,gif", ("gif", "png")),
            ("--format", "", ("png",)),
            ("--rate", "0", ("rate",)),
            ("--unit", "furlong", ("furlong",)),
            ("--lead-names", "I", ("2",)),
            ("--lead-set", "12", ()),
        ],
    )
    def test_impossible_option(
        self,
        run: Run,
        bundle: Path,
        tmp_path: Path,
        option: str,
        value: str,
        parts: tuple[str, ...],
    ) -> None:
        table = write_csv(tmp_path / "ecg.csv")
        asked = {"--bundle": str(bundle), "--rate": "250", "--unit": "uV", option: value}
        words = [word for pair in asked.items() for word in pair]
        answer = run("analyze", table, "--out", tmp_path / "out", *words)
        if option == "--lead-set":
            assert answer.code == 0  # the leads that are there are enough
        else:
            assert_one_line(answer, *parts)
            assert not (tmp_path / "out").exists()

    def test_unknown_lead_set_names_the_known(self, run: Run, bundle: Path, tmp_path: Path) -> None:
        answer = run("analyze", tmp_path, "--out", tmp_path, "--lead-set", "5")
        assert answer.code == 2
        assert "'5'" in answer.err
        assert "'12'" in answer.err
        assert "Traceback" not in answer.err

    @pytest.mark.parametrize("content", [None, b"", b"no weights at all", b"\xff" * 64])
    def test_bad_bundle_is_one_line(self, run: Run, tmp_path: Path, content: bytes | None) -> None:
        table, path = write_csv(tmp_path / "ecg.csv"), tmp_path / "bad.safetensors"
        if content is not None:
            path.write_bytes(content)
        answer = run("analyze", table, "--out", tmp_path / "out", "--bundle", path)
        assert_one_line(answer, "bad.safetensors")
        assert not (tmp_path / "out").exists()

    def test_a_name_in_no_encoding_is_shown(self, run: Run, bundle: Path, tmp_path: Path) -> None:
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.csv"))
        try:
            write_csv(path)
        except OSError:
            pytest.skip("names are all UTF-8 on this system")
        options = ("--bundle", bundle, "--rate", "250", "--unit", "uV", "--format", "json")
        answer = run("analyze", path, "--out", tmp_path / "out", *options)
        assert answer.code == 0
        assert "\\udcff" in answer.out

    def test_a_name_that_is_too_long_is_one_line(
        self, run: Run, bundle: Path, tmp_path: Path
    ) -> None:
        answer = run("analyze", "n" * 300, "--out", tmp_path / "out", "--bundle", bundle)
        assert_one_line(answer, "File name too long")


class TestAnalyzeFolder:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Return a folder with records on three levels."""
        write_csv(tmp_path / "in" / "one.csv", seed=1)
        write_csv(tmp_path / "in" / "ward" / "two.csv", seed=2)
        write_csv(tmp_path / "in" / "ward" / "room" / "three.csv", seed=3)
        return tmp_path / "in"

    OPTIONS = ("--rate", "250", "--unit", "uV", "--format", "json", "--jobs", "1")

    def test_levels_stay_and_a_bad_file_stops_no_other(
        self, run: Run, folder: Path, bundle: Path, tmp_path: Path
    ) -> None:
        (folder / "ward" / "bad.npy").write_bytes(b"no numbers")
        out = tmp_path / "out"
        answer = run("analyze", folder, "--out", out, "--bundle", bundle, *self.OPTIONS)
        assert answer.code == 1, answer.err
        written = {path.relative_to(out).as_posix() for path in out.rglob("*.*")}
        assert written == {"one.json", "ward/two.json", "ward/room/three.json", "summary.csv"}
        rows = (out / "summary.csv").read_text(encoding="utf-8").splitlines()[1:]
        assert [row.split(",")[1] for row in rows] == ["ok", "failed", "ok", "ok"]
        assert "bad.npy" in rows[1]
        assert "3 analysed, 1 failed" in answer.out
        assert "Traceback" not in answer.err

    def test_none_analysed_is_two(self, run: Run, bundle: Path, tmp_path: Path) -> None:
        files = [tmp_path / "a.npy", tmp_path / "b.npy"]
        for path in files:
            path.write_bytes(b"no numbers")
        answer = run(
            "analyze", *files, "--out", tmp_path / "out", "--bundle", bundle, "--jobs", "1"
        )
        assert answer.code == 2
        assert "0 analysed, 2 failed" in answer.out
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["summary.csv"]

    def test_all_analysed_is_zero_and_output_is_not_input(
        self, run: Run, folder: Path, bundle: Path
    ) -> None:
        (folder / "found").mkdir()
        write_csv(folder / "found" / "old.csv")
        answer = run(
            "analyze", folder, "--out", folder / "found", "--bundle", bundle, *self.OPTIONS
        )
        assert answer.code == 0, answer.err
        assert "3 analysed, 0 failed" in answer.out

    def test_output_above_the_input_hides_no_record(
        self, run: Run, folder: Path, bundle: Path, tmp_path: Path
    ) -> None:
        answer = run("analyze", folder, "--out", tmp_path, "--bundle", bundle, *self.OPTIONS)
        assert answer.code == 0, answer.err
        assert "3 analysed, 0 failed" in answer.out

    def test_records_of_one_name_do_not_replace_each_other(
        self, run: Run, bundle: Path, tmp_path: Path
    ) -> None:
        first, second = tmp_path / "first", tmp_path / "second"
        table = write_csv(first / "a.csv")
        shutil.copy(table, first / "a.tsv")
        write_csv(second / "a.csv", seed=2)
        out = tmp_path / "out"
        folders = (first, second, first / "a.csv")  # the last is known already
        answer = run("analyze", *folders, "--out", out, "--bundle", bundle, *self.OPTIONS)
        assert answer.code == 0, answer.err
        names = {"a", "a.tsv", "second_a"}
        assert {path.name for path in out.glob("*.json")} == {f"{name}.json" for name in names}
        for name in names:
            record = findings_in(out / f"{name}.json")["record"]
            assert isinstance(record, dict)
            assert record["name"] == name

    def test_odd_names_and_links_are_no_obstacle(
        self, run: Run, folder: Path, bundle: Path, tmp_path: Path
    ) -> None:
        write_csv(folder / "[red]" / "x[/red].csv")
        (folder / "ring.csv").symlink_to("ring.csv")
        (folder / "up").symlink_to("..")
        (folder / "none.csv").symlink_to("nowhere")
        os.mkfifo(folder / "pipe.csv")
        try:
            write_csv(Path(os.fsdecode(os.fsencode(folder) + b"/\xff.csv")))
        except OSError:  # a system whose names are all UTF-8
            write_csv(folder / "y.csv")
        answer = run(
            "analyze", folder, "--out", tmp_path / "out", "--bundle", bundle, *self.OPTIONS
        )
        assert answer.code == 1, answer.err
        assert "5 analysed, 3 failed" in answer.out
        assert "[red]/x[/red].csv" in answer.out

    def test_output_into_the_input_is_refused(self, run: Run, folder: Path, bundle: Path) -> None:
        answer = run("analyze", folder, "--out", folder, "--bundle", bundle)
        assert_one_line(answer, str(folder))

    def test_empty_folder_is_refused(self, run: Run, bundle: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        answer = run("analyze", tmp_path / "empty", "--out", tmp_path / "out", "--bundle", bundle)
        assert_one_line(answer, "no ECG", "empty")


class TestDemo:
    def test_shows_findings_and_paths(self, run: Run, bundle: Path, tmp_path: Path) -> None:
        answer = run("demo", "--out", tmp_path, "--bundle", bundle)
        assert answer.code == 0
        assert {path.suffix for path in tmp_path.glob("synthetic_pvc.*")} == {
            ".json", ".png", ".pdf", ".atr",
        }  # fmt: skip
        assert str(tmp_path / "synthetic_pvc.png") in answer.out
        assert "not a medical device" in answer.out
        findings_in(tmp_path / "synthetic_pvc.json")

    def test_the_shipped_bundle_is_the_default(self, run: Run, tmp_path: Path) -> None:
        assert run("demo", "--out", tmp_path).code == 0
        found = findings_in(tmp_path / "synthetic_pvc.json")["bundle"]
        card = json.loads(run("info", "--json").out)
        assert found == {key: card[key] for key in ("name", "version", "sha256")}


class TestInfo:
    def test_tells_the_card(self, run: Run, bundle: Path) -> None:
        answer = run("info", bundle)
        assert answer.code == 0
        for part in ("tiny", "Never trained.", read_bundle(bundle).sha256, "NORM MI STTC CD HYP"):
            assert part in answer.out

    def test_tells_the_second_stages_of_the_shipped_bundle(self, run: Run) -> None:
        told = run("info").out.replace("\n", " ")
        assert "kinds of beats from the beats around, taught on" in told
        assert "diagnoses from the typical beat as well, taught on" in told

    def test_json_is_json(self, run: Run, bundle: Path) -> None:
        shown = json.loads(run("info", bundle, "--json").out)
        assert shown["name"] == "tiny"
        assert shown["classes"]["diagnosis"][0]["code"] == "NORM"
        assert shown["recipe"]["backbone"]["filters"] == [8, 8, 8]

    def test_absent_bundle_is_one_line(self, run: Run, tmp_path: Path) -> None:
        assert_one_line(run("info", tmp_path / "none.safetensors"), "none.safetensors")


class TestData:
    def test_list_names_every_set(self, run: Run) -> None:
        answer = run("data", "list")
        assert answer.code == 0
        for name in ("mitdb", "ludb", "ptbxl", "ptbxl100", "cinc2021", "ODC-BY", "physionet.org"):
            assert name in answer.out

    def test_check_of_a_stranger_is_refused(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "holiday").mkdir()
        assert_one_line(run("data", "check", tmp_path / "holiday"), "holiday", "data list")

    def test_check_of_no_folder_is_refused(self, run: Run, tmp_path: Path) -> None:
        assert_one_line(run("data", "check", tmp_path / "gone"), "gone: no such folder")

    def test_check_of_an_unknown_name_is_refused(self, run: Run, tmp_path: Path) -> None:
        answer = run("data", "check", tmp_path, "--name", "heartland")
        assert_one_line(answer, "heartland", "mitdb")

    def test_check_tells_faults(self, run: Run, tmp_path: Path) -> None:
        folder = tmp_path / "mitdb"
        folder.mkdir()
        (folder / "RECORDS").write_text("100\n")
        (folder / "100.hea").write_text("100 1 360 650000\n100.dat 212 200 11 1024 0 0 0 MLII\n")
        answer = run("data", "check", folder)
        assert answer.code == 1
        assert "mitdb: partial" in answer.out
        assert "100.dat" in answer.out

    @pytest.mark.parametrize("command", ["fetch", "pack"])
    def test_unknown_set_is_refused(self, run: Run, command: str) -> None:
        assert_one_line(run("data", command, "heartland"), "heartland", "mitdb")

    def test_pack_of_an_absent_set_says_how_to_get_it(self, run: Run, tmp_path: Path) -> None:
        answer = run("data", "pack", "ludb", "--data", tmp_path)
        assert answer.code == 2
        assert answer.err.splitlines()[-1].startswith("fascicle: ")
        assert "fascicle data fetch ludb" in answer.err


class TestTrain:
    def test_packs_trains_goes_on_and_refuses_to_write_over(
        self, run: Run, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fascicle.data.packing.SYNTHETIC", 40)
        packs = tmp_path / "packs"
        packed = run("data", "pack", "synth", "--out", packs, "--recipe", recipe)
        assert packed.code == 0, packed.err
        assert "40 records" in packed.out

        options = ("--out", tmp_path / "run", "--packs", packs)
        answer = run("train", recipe, *options, "--set", "training.steps=3")
        assert answer.code == 0, answer.err
        path = tmp_path / "run" / "bundle.safetensors"
        assert f"wrote {path}" in answer.out
        first = read_bundle(path)
        assert first.recipe.training.steps == 3
        assert len(list(packs.glob("synth-*"))) == 1  # the pack was used as it was

        again = run("train", recipe, *options, "--set", "training.steps=3")
        assert again.code == 2
        assert "--resume" in again.err

        resumed = run("train", recipe, *options, "--set", "training.steps=3", "--resume")
        assert resumed.code == 0, resumed.err
        assert read_bundle(path).weights_sha256 == first.weights_sha256

        shown = run("analyze", write_csv(tmp_path / "ecg.csv"), "--out", tmp_path / "found",
                    "--bundle", path, "--rate", "250", "--unit", "uV")  # fmt: skip
        assert shown.code == 0, shown.err

    def test_pretrains_what_a_training_starts_from(
        self, run: Run, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fascicle.data.packing.SYNTHETIC", 70)
        everything = f"groups.0.folds={list(range(10))}"
        options = ("--packs", tmp_path / "packs", "--set", "window_s=1.0", "--set", everything)
        lacking = run("pretrain", recipe, "--out", tmp_path / "pre", *options)
        assert_one_line(lacking, "[pretraining]")
        assert not (tmp_path / "pre").exists()
        made = run("pretrain", recipe, "--out", tmp_path / "pre", *options,
                   "--set", "pretraining.steps=2")  # fmt: skip
        assert made.code == 0, made.err
        path = tmp_path / "pre" / "bundle.safetensors"
        assert f"wrote {path}" in made.out
        assert "answers to diagnosis mean nothing" in run("info", path).out.replace("\n", " ")
        done = run("train", recipe, "--out", tmp_path / "run", *options, "--from", path,
                   "--set", "training.steps=1")  # fmt: skip
        assert done.code == 0, done.err

    @pytest.mark.parametrize(
        ("change", "parts"),
        [
            ("training.step=3", ("training.step", "steps")),
            ("training.steps=-1", ("training.steps",)),
            ("training.steps", ("key=value",)),
            ("groups.7.rows=1", ("groups.7.rows",)),
            ("backbone.kernel=4", ("backbone.kernel", "odd")),
        ],
    )
    def test_wrong_key_or_value_is_one_line(
        self, run: Run, recipe: Path, tmp_path: Path, change: str, parts: tuple[str, ...]
    ) -> None:
        answer = run("train", recipe, "--out", tmp_path / "run", "--set", change)
        assert_one_line(answer, *parts)
        assert not (tmp_path / "run").exists()

    def test_absent_data_or_device_is_one_line(
        self, run: Run, recipe: Path, tmp_path: Path
    ) -> None:
        options = ("--out", tmp_path / "run", "--packs", tmp_path / "packs")
        answer = run("train", recipe, *options, "--set", 'groups.0.source="ludb"',
                     "--set", 'groups.0.tasks=["waves"]', "--data", tmp_path)  # fmt: skip
        assert_one_line(answer)
        assert_one_line(run("train", recipe, *options, "--device", "abacus"), "abacus")

    def test_wrong_recipe_file_is_one_line(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "wrong.toml"
        assert_one_line(run("train", path, "--out", tmp_path / "run"), "wrong.toml")
        path.write_text("name = = 1")
        assert_one_line(run("train", path, "--out", tmp_path / "run"), "wrong.toml", "TOML")

    def test_evaluate_of_an_absent_set_is_refused(
        self, run: Run, bundle: Path, tmp_path: Path
    ) -> None:
        answer = run("evaluate", bundle, "--source", "ludb", "--data", tmp_path)
        assert_one_line(answer, "ludb")
        assert_one_line(run("evaluate", bundle, "--source", "heartland"), "heartland", "ludb")


def test_installed_command_is_the_module(tmp_path: Path) -> None:
    command = shutil.which("fascicle", path=str(Path(sys.executable).parent))
    assert command, "fascicle is not installed beside this Python"
    installed, module = [command], [sys.executable, "-m", "fascicle"]
    shown = [
        subprocess.run(
            [*words, "data", "list"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        for words in (installed, module)
    ]
    assert "mitdb" in shown[0].stdout
    assert shown[0].stdout == shown[1].stdout


def test_unknown_command_is_a_usage_error(run: Run) -> None:
    answer = run("diagnose")
    assert answer.code == 2
    assert "diagnose" in answer.err
    assert "Traceback" not in answer.err
