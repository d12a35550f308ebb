"""The parameter-sharing benchmark: its cells, what is compared, and a run on made records."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fascicle.data.pack import Entry
from fascicle.record import Beat, Rhythm

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "parameter-sharing"
NAMES = ("measuring", "cells", "tables", "made", "run")


@pytest.fixture(scope="module")
def parts() -> Iterator[dict[str, ModuleType]]:
    """Return the benchmark's modules, which stand in no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER.parent))
        patch.syspath_prepend(str(FOLDER))
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            patch.setenv(name, "1")  # the benchmark sets them for its process
        found = {name: importlib.import_module(name) for name in NAMES}
        yield found
        for name in NAMES:
            sys.modules.pop(name)


def part(**recalls: tuple[int, float | None]) -> dict[str, tuple[int, float | None]]:
    return recalls


@pytest.mark.parametrize("scenario", ["consistent", "inconsistent"])
@pytest.mark.parametrize("problem", ["detection", "classification"])
def test_rows_of_a_cell_share_budget_and_split(
    parts: dict[str, ModuleType], problem: str, scenario: str
) -> None:
    cells = parts["cells"]
    for net in cells.NETS:
        single, shared = (cells.Cell(problem, scenario, net).recipe(r) for r in ("stl", "mtl"))
        assert single.training == shared.training
        assert single.training.steps == cells.STEPS[net]
        assert sum(g.rows for g in single.groups) == sum(g.rows for g in shared.groups) == 40
        spans = {json.dumps(g.windows.spans) for g in (*single.groups, *shared.groups)}
        assert len(spans) == 1
        assert shared.backbone.extractors == len(shared.tasks) > 1
        assert single.backbone.extractors == len(single.tasks) == 1
        records = {r for g in shared.groups for r in g.records}
        assert records == set(single.groups[0].records)
        assert (cells.TARGET in records) == (scenario == "consistent")


def test_the_matched_net_has_as_many_parameters(parts: dict[str, ModuleType]) -> None:
    cells = parts["cells"]
    for net in cells.NETS:
        cell = cells.Cell("detection", "inconsistent", net)
        single, shared = cell.recipe("stl"), cell.recipe("mtl")
        wanted = cells.parameters(shared)
        width = cells.matched_width(single, shared)
        found = [cells.parameters(cells.widened(single, w)) for w in (width - 1, width, width + 1)]
        assert abs(found[1] - wanted) == min(abs(f - wanted) for f in found)
        assert abs(found[1] - wanted) < 0.03 * wanted


def test_grids_have_eight_settings(parts: dict[str, ModuleType]) -> None:
    grid = parts["cells"].GRID
    assert len(grid) == len({json.dumps(setting) for setting in grid}) == 8
    recipe = (
        parts["cells"]
        .Cell("detection", "consistent", "rnn")
        .recipe("mtl", parts["cells"].changes_of(grid[7], 4))
    )
    assert (recipe.seed, recipe.training.learning_rate, recipe.backbone.width) == (4, 1e-2, 32)


def entry(name: str, patient: str, *kinds: str) -> Entry:
    spans = [Rhythm(10.0 * k, 10.0 * k + 10, kind) for k, kind in enumerate(kinds)]
    beats = tuple(Beat(t + 0.5, "N", symbol="N") for t in np.arange(10.0 * len(kinds)))
    return Entry(
        f"mitdb/{name}", name, patient, 1, "mitdb", ("II", "V1"), 360.0, 9999, "0", 0,
        np.ones(2, dtype=np.float32), None, None, {}, frozenset(), (), beats, tuple(spans),
    )  # fmt: skip


def test_folds_keep_patients_whole_and_spread_the_rare(parts: dict[str, ModuleType]) -> None:
    every = [
        entry("201", "p1", "AFIB", "VT"),
        entry("202", "p1", "AFL"),
        entry("203", "p2", "AFL", "VT", "AFIB"),
        entry("222", "p3", "AFL", "SVTA"),
        entry("209", "p4", "SVTA", "VT"),
        entry("220", "p5", "SVTA", "VT"),
        entry("234", "p6", "SVTA"),
        entry("100", "p7", "N"),
    ]
    folds = parts["cells"].patient_folds(every)
    named = ["201", "202", "203", "209", "220", "222", "234"]
    assert sorted(name for fold in folds for name in fold) == named
    where = {name: k for k, fold in enumerate(folds) for name in fold}
    assert where["201"] == where["202"]
    assert {where["202"], where["203"], where["222"]} == {0, 1, 2}
    assert {where["209"], where["220"], where["222"], where["234"]} == {0, 1, 2}


def test_accuracy_is_that_of_a_balanced_test(parts: dict[str, ModuleType]) -> None:
    accuracy = parts["tables"].accuracy
    test = part(normal=(1000, 0.9), abnormal=(85, 0.7))
    assert accuracy(test) == pytest.approx(0.8)
    rare = part(NSVT=(60, 0.5), SVTA=(3, 0.0), AFL=(200, 1.0))
    assert accuracy(rare) == pytest.approx(0.75)  # three beats are shown, not averaged
    assert accuracy(part(NSVT=(10, 0.5), SVTA=(0, None)), least=1) == pytest.approx(0.5)
    assert np.isnan(accuracy(part(SVTA=(3, 1.0))))


def test_differences_are_seed_by_seed(parts: dict[str, ModuleType]) -> None:
    found = parts["tables"].interval([0.01, 0.02, 0.03])
    assert found["mean"] == pytest.approx(0.02)
    assert found["high"] - found["mean"] == pytest.approx(4.3027 * 0.01 / np.sqrt(3), rel=1e-4)
    rows = {row: {"setting": 0} for row in ("stl", "matched", "mtl")}
    per_seed = {"stl": [0.8, 0.9], "matched": [0.85, 0.95], "mtl": [0.82, 0.92]}
    gaps = parts["tables"].summary(rows, per_seed)["differences"]
    assert list(gaps) == ["mtl - stl", "mtl - matched"]
    assert gaps["mtl - stl"]["low"] == pytest.approx(0.02)  # the same for each seed
    assert gaps["mtl - matched"]["mean"] == pytest.approx(-0.03)


def test_folds_are_pooled_by_beats(parts: dict[str, ModuleType]) -> None:
    folds = [part(AFL=(10, 1.0), VT=(0, None)), part(AFL=(30, 0.0), VT=(0, None))]
    assert parts["tables"].pooled(folds) == {"AFL": (40, 0.25), "VT": (0, None)}


def test_finished_runs_are_not_trained_again(
    parts: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, cell = parts["run"], parts["cells"].Cell("detection", "consistent", "cnn1d")
    trained: list[str] = []

    def fit(recipe: Any, data: Any, cell: Any, row: str) -> dict[str, float]:
        trained.append(row)
        return {"parameters": recipe.backbone.width}

    monkeypatch.setattr(run, "fit", fit)
    data = parts["cells"].Data(tmp_path, tmp_path)
    runs = run.Runs(tmp_path / "runs.jsonl", data)
    first = runs.get(cell, "matched", 0, 1)
    assert first["parameters"] > 16  # widened
    assert runs.get(cell, "matched", 0, 1) is first
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write('{"key": ["killed')
    again = run.Runs(tmp_path / "runs.jsonl", data)
    assert again.get(cell, "matched", 0, 1)["parameters"] == first["parameters"]
    assert trained == ["matched"]
    again.get(cell, "matched", 0, 2)
    again.get(cell, "stl", 0, 1)
    assert trained == ["matched", "matched", "stl"]
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 3


@pytest.mark.slow
def test_a_quick_run_writes_every_table(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(
        "<!-- results: written by run.py -->old<!-- end of results -->"
    )
    command = [sys.executable, str(FOLDER / "run.py"), "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    nets = ("cnn1d", "lstm")
    assert set(results["cells"]) == {
        f"{problem}-{scenario}-{net}"
        for problem in ("detection", "classification")
        for scenario in ("consistent", "inconsistent")
        for net in nets
    }
    assert set(results["patient_wise"]) == set(nets)
    for cell in results["cells"].values():
        assert set(cell["rows"]) == {"stl", "matched", "mtl"}
        assert all(len(row["accuracy"]) == 2 for row in cell["rows"].values())
    page = (tmp_path / "README.md").read_text()
    assert "old" not in page
    assert "| 1D-CNN |" in page
    assert str(tmp_path) not in json.dumps(results)


def test_no_data_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, str(FOLDER / "run.py")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--data is needed, or --quick" in done.stderr
