"""The challenge-loss benchmark: equal budgets, recipes that read, scores that add up."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from fascicle.bundle import Bundle
from fascicle.labels import SINUS_RHYTHM, SNOMED, challenge_classes, challenge_weights
from fascicle.metrics.challenge import challenge_score
from fascicle.recipe import read_recipe
from fascicle.record import LEAD_SETS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "challenge-loss"
RECIPE = ROOT / "recipes" / "challenge-loss.toml"
MODULES = ("measuring", "nets", "questions", "scoring", "tables", "tiny", "run")


@pytest.fixture(scope="module")
def bench() -> Iterator[SimpleNamespace]:
    """Return the benchmark's modules but run.py, which limits the threads of its process."""
    before = list(sys.path)
    sys.path[:0] = [str(FOLDER.parent), str(FOLDER)]
    found: dict[str, ModuleType] = {name: importlib.import_module(name) for name in MODULES[:-1]}
    yield SimpleNamespace(**found)
    sys.path[:] = before
    for name in MODULES:
        sys.modules.pop(name, None)


def start(*options: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / "run.py"), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("size", ["paper", "small", "long", "quick"])
def test_every_net_is_a_recipe_with_the_same_number_of_updates(
    size: str, bench: SimpleNamespace
) -> None:
    settings = bench.nets.SIZES[size]
    for name, net in bench.nets.NETS.items():
        recipe = read_recipe(RECIPE, bench.nets.changes(name, settings, 2))
        assert recipe.seed == 2
        before = bench.nets.NETS[net.start].share if net.start else 0.0
        updates = recipe.training.steps + round(before * settings.steps)
        assert updates == (settings.steps / 2 if name == bench.nets.HALF else settings.steps)
        assert recipe.groups[0].rows == (8 if size == "quick" else 32)
        if len(net.tested) == 1 and net.ways:
            assert recipe.leads == LEAD_SETS[net.tested[0]]
        ensembles = {"mean", "majority"} & set(net.ways)
        assert bool(recipe.training.snapshots) == bool(ensembles)
        seen = {*(recipe.groups[0].folds or ()), *recipe.groups[0].validate_folds}
        assert seen == {1, 2, 3, 4, 5, 6, 7, 8}


def test_the_recipe_is_of_the_papers_size() -> None:
    recipe = read_recipe(RECIPE)
    assert (recipe.window, recipe.leads) == (4096, ("I", "II"))
    assert recipe.backbone.model_dump()["width"] == 64
    assert recipe.tasks["diagnosis"].loss == "challenge"


def test_all_that_is_asked_is_trained_and_tested(bench: SimpleNamespace) -> None:
    asked = [one for _, _, one, _ in bench.questions.TABLE_1]
    asked += [one for found in bench.questions.DIFFERENCES for pair in found.pairs for one in pair]
    asked += [
        bench.questions.shown(*net, s)
        for _, net, _ in bench.questions.TABLE_2
        for s in bench.nets.SETS
    ]
    for one in asked:
        net = bench.nets.NETS[one.net]
        assert one.lead_set in net.tested
        assert one.way in net.ways or (one.way == "bundle" and len(net.tested) > 1)
    trained = {one.net for one in asked} | {bench.nets.HALF}
    assert trained == set(bench.nets.NETS)


def test_a_command_for_each_net() -> None:
    run = start("--commands")
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert all(line.startswith("fascicle train recipes/challenge-loss.toml ") for line in lines)
    assert any("--from runs/half-12/bundle.safetensors --data DIR" in line for line in lines)
    assert len({line.rpartition(" ")[2] for line in lines}) == len(lines) == 22


def test_data_are_asked_for() -> None:
    run = start()
    assert run.returncode == 2
    assert "--data is needed" in run.stderr


@pytest.fixture
def records(bench: SimpleNamespace) -> Any:
    """Return a test of 40 records of 20 patients, without signals."""
    made = np.random.default_rng(3)
    labels = made.random((40, 26)) < 0.1
    patients = tuple(str(place // 2) for place in range(40))
    return bench.scoring.Test("fold9", None, labels, patients, labels.any(axis=0))


def test_what_records_earn_adds_up_to_the_official_score(
    bench: SimpleNamespace, records: Any
) -> None:
    outputs = np.random.default_rng(4).random((40, 26)) < 0.2
    normal = challenge_classes().index(SNOMED, SINUS_RHYTHM)
    idle = np.zeros_like(outputs)
    idle[:, normal] = True
    mine, none, right = (
        bench.scoring.earned(records.labels, x).sum() for x in (outputs, idle, records.labels)
    )
    official = challenge_score(records.labels, outputs, challenge_weights(), normal)
    assert (mine - none) / (right - none) == pytest.approx(official, abs=1e-12)
    low, high = bench.scoring.score_interval(records, bench.scoring.earned(records.labels, outputs))
    assert low < official < high


def test_the_other_head_decides_when_heads_are_exchanged(bench: SimpleNamespace) -> None:
    names = ("backbone.norm.weight", *(f"heads.diagnosis.out.{i}.bias" for i in (0, 1)))
    weights = {name: torch.full((2,), float(place)) for place, name in enumerate(names)}
    bundle = Bundle(read_recipe(RECIPE), {}, {}, {}, weights)
    found = bench.scoring.swapped(bundle).weights
    assert {name: int(found[name][0]) for name in names} == dict(zip(names, (0, 2, 1), strict=True))


def test_equal_answers_differ_by_nothing(bench: SimpleNamespace, records: Any) -> None:
    right = bench.scoring.earned(records.labels, records.labels)
    assert bench.scoring.score_interval(records, right, right) == [0.0, 0.0]
    assert bench.scoring.score_interval(records, right) == pytest.approx([1.0, 1.0])


def line(bench: SimpleNamespace, records: Any, net: str, seed: int, right: int) -> dict[str, Any]:
    """Return the line of a net that answers so many records right, the others not at all."""
    outputs = records.labels.copy()
    outputs[right:] = False
    normal = challenge_classes().index(SNOMED, SINUS_RHYTHM)
    scores = {
        "challenge": challenge_score(records.labels, outputs, challenge_weights(), normal),
        "auroc": 0.5,
        "f1": 0.5,
        "earned": bench.scoring.earned(records.labels, outputs).tolist(),
    }
    about = {"net": net, "seed": seed, "steps": 4, "rows": 8, "commit": "c", "train_cpu_s": 1}
    ways = ("class 2 fold9", "global 2 fold9")
    return {**about, "scores": dict.fromkeys(ways, scores)}


def test_differences_are_of_the_seeds_that_both_nets_have(
    bench: SimpleNamespace, records: Any
) -> None:
    lines = [line(bench, records, "plain-2", seed, 30) for seed in (1, 2, 3)]
    lines += [line(bench, records, "bce-2", seed, 20) for seed in (2, 3)]
    found = bench.tables.summary(lines, [records])
    by_what = {one["what"]: one for one in found["differences"]}
    assert set(by_what) == {"a threshold per class - one for all", "challenge loss - BCE alone"}
    assert by_what["a threshold per class - one for all"]["mean"] == 0
    loss = by_what["challenge loss - BCE alone"]
    scores = {one["net"]: one["scores"]["class 2 fold9"]["challenge"] for one in lines}
    assert loss["seeds"] == [2, 3]
    assert loss["mean"] == pytest.approx(scores["plain-2"] - scores["bce-2"])
    low, high = loss["by_patients"]
    assert 0 < low < loss["mean"] < high
    assert [row["submission"] for row in found["table_1"]] == ["1", "2", "-"]
    assert found["table_2"] == []  # the spread of some lead sets alone would say nothing
    assert found["nets"]["bce-2"]["seeds"] == [2, 3]


def test_a_broken_line_is_trained_again(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import run, pathlib;"
        "print(run.read_lines(pathlib.Path(sys.argv[2])))"
    )
    path = tmp_path / "runs.jsonl"
    path.write_text('{"net": "plain-2"}\n{"net": "mask')
    found = subprocess.run(
        [sys.executable, "-c", code, FOLDER, path], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[{'net': 'plain-2'}]\n"


@pytest.mark.slow
def test_quick(tmp_path: Path) -> None:
    options = ("--quick", "--out", tmp_path, "--runs", tmp_path / "runs", "--seeds", "1")
    run = start(*options)
    assert run.returncode == 0, run.stderr
    assert "Warning" not in run.stderr
    first = json.loads((tmp_path / "results.json").read_text())
    assert set(first["sizes"]) == {"quick"}
    found = first["sizes"]["quick"]
    assert {row["submission"] for row in found["table_1"]} == {"1", "2", "7", "8", "9", "-"}
    masked = next(row for row in found["table_2"] if "per set" in row["version"])
    assert set(masked["sets"]) == {"12", "6", "4", "3", "2"}
    lines = (tmp_path / "runs-quick.jsonl").read_text().splitlines()
    assert len(lines) == 5
    (tmp_path / "runs-quick.jsonl").write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:99])
    again = start(*options)
    assert again.returncode == 0, again.stderr
    assert len((tmp_path / "runs-quick.jsonl").read_text().splitlines()) == 5
    second = json.loads((tmp_path / "results.json").read_text())["sizes"]["quick"]
    assert {**second, "nets": 0} == {**found, "nets": 0}
