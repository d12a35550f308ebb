"""STL against MTL on MIT-BIH (parameter-sharing paper): accuracy of all cells, over seeds.

    python benchmarks/parameter-sharing/run.py --data DIR [--quick]

A grid of eight settings per row, chosen on validation windows with the first seed, then the other
seeds. Each finished training is a line in RUNS/runs.jsonl: a killed benchmark goes on from there.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import measuring  # noqa: E402

measuring.limit_threads()

import numpy as np  # noqa: E402
import tables  # noqa: E402
import torch  # noqa: E402
from cells import (  # noqa: E402
    FOLDS,
    GRID,
    NETS,
    PAPER,
    ROWS,
    Cell,
    Data,
    blank_tasks,
    changes_of,
    digest,
    matched_width,
    parameters,
    widened,
)

from fascicle.bundle import new_network  # noqa: E402
from fascicle.data.sources import SOURCES  # noqa: E402, F401
from fascicle.recipe import Recipe  # noqa: E402
from fascicle.tasks import aim_of  # noqa: E402
from fascicle.tasks.windows import recalls  # noqa: E402
from fascicle.train.loop import Plan, train  # noqa: E402
from fascicle.train.parallel import Place  # noqa: E402
from fascicle.train.windows import answer_windows  # noqa: E402


class Runs:
    """Finished trainings, in a file that only grows."""

    def __init__(self, path: Path, data: Data) -> None:
        self.path, self.data = path, data
        lines = path.read_text().splitlines() if path.exists() else []
        self.done = {tuple(run["key"]): run for run in map(json.loads, lines)}

    def get(self, cell: Cell, row: str, setting: int, seed: int) -> dict:  # type: ignore[type-arg]
        """Return the run, trained now if it is not there."""
        changes = [*changes_of(GRID[setting], seed), *self.data.records_of(cell.fold)]
        recipe = cell.recipe(row, changes)
        if row == "matched":
            recipe = widened(recipe, matched_width(recipe, cell.recipe("mtl", changes)))
        key = (cell.name, row, setting, seed, digest(recipe))
        if key not in self.done:
            run = {"key": key, **fit(recipe, self.data, cell, row)}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(json.dumps(run) + "\n")
            self.done[key] = run
        return self.done[key]


def fit(recipe: Recipe, data: Data, cell: Cell, row: str) -> dict:  # type: ignore[type-arg]
    """Train one net with the system's loop; return its recalls in validation and test."""
    began = time.perf_counter()
    opened = data.open(cell.problem, cell.scenario, cell.fold, row == "mtl")
    tasks = blank_tasks(recipe)
    aims = {name: aim_of(task) for name, task in tasks.items()}
    torch.manual_seed(recipe.seed)
    network = new_network(recipe, tasks)
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(recipe, tasks, aims, opened.groups, Path(folder), {}, Place())
        trained = train(network, plan, lambda _: {})
    result: dict[str, object] = {"parameters": parameters(recipe), "steps": recipe.training.steps}
    for part, batches in opened.batches.items():
        classes, found = answer_windows(trained, tasks, batches)
        assert classes == opened.classes
        labels = opened.labels[part]
        recall = recalls(labels, found)
        result[part] = {
            name: [int((labels == k).sum()), None if np.isnan(recall[k]) else round(float(recall[k]), 6)]
            for k, name in enumerate(classes)
        }
    return {**result, "seconds": round(time.perf_counter() - began, 2)}


def chosen(cell: Cell, row: str, runs: Runs, settings: range, tick: Callable[[str], None]) -> int:
    """Return the setting with the best validation accuracy at the first seed."""
    scores = []
    for setting in settings:
        tick(f"{cell.name} {row}, setting {setting}")
        scores.append(tables.accuracy(runs.get(cell, row, setting, 1)["validation"], least=1))
    return int(np.argmax(scores))


def compare(cell: Cell, runs: Runs, settings: range, seeds: range, tick: Callable[[str], None]) -> dict:  # type: ignore[type-arg]
    """Return for each row of a cell its setting and the runs of all seeds."""
    result = {}
    for row in ROWS:
        best = chosen(cell, row, runs, settings, tick)
        found = []
        for seed in seeds:
            tick(f"{cell.name} {row}, seed {seed}")
            found.append(runs.get(cell, row, best, seed))
        result[row] = {"setting": best, "runs": found}
    return result


def patient_wise(net: str, settings: dict[str, int], runs: Runs, seeds: range, tick: Callable[[str], None]) -> dict:  # type: ignore[type-arg]
    """Return for each row the runs of all seeds and folds, with the settings of the six records."""
    result = {}
    for row in ROWS:
        found = []
        for seed in seeds:
            tick(f"patient-wise {net} {row}, seed {seed}")
            cells = [Cell("classification", "patient-wise", net, fold) for fold in range(FOLDS)]
            found.append([runs.get(cell, row, settings[row], seed) for cell in cells])
        result[row] = {"setting": settings[row], "runs": found}
    return result


def counter(total: int) -> Callable[[str], None]:
    """Return what counts trainings on the error stream."""
    began, numbers = time.monotonic(), iter(range(1, 10**6))

    def tick(what: str) -> None:
        number = next(numbers)
        minutes = (time.monotonic() - began) / 60
        sys.stderr.write(f"{number}/{total} {minutes:.1f} min: {what}\n")
        sys.stderr.flush()

    return tick


def jobs() -> Iterator[tuple[str, str, str]]:
    """Yield (problem, scenario, net), detection first."""
    for problem, scenario in PAPER:
        if problem == "detection":
            yield from ((problem, scenario, net) for net in NETS)
    for problem, scenario in PAPER:
        if problem == "classification":
            yield from ((problem, scenario, net) for net in NETS)


def main() -> None:
    parser = measuring.parser(__doc__.splitlines()[0], HERE)
    parser.add_argument("--runs", type=Path, default=Path("runs/parameter-sharing"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tables-only", action="store_true", help="of what has been trained")
    asked = parser.parse_args()
    if asked.data is None:
        parser.error("--data is needed")
    torch.set_num_threads(1)
    core = measuring.pin(asked.core)
    measuring_started = measuring.describe(("torch", "numpy"), core, asked.note)
    runs = Runs(asked.runs / "runs.jsonl", Data(asked.data, asked.runs / "packs"))
    settings, seeds = range(len(GRID)), range(1, asked.seeds + 1)
    tick = counter(4 * 9 * (len(settings) + len(seeds)) + 9 * len(seeds))
    cells = {}
    for problem, scenario, net in jobs():
        cells[f"{problem}-{scenario}-{net}"] = compare(Cell(problem, scenario, net), runs, settings, seeds, tick)
    wise = {}
    for net in NETS:
        best = {row: found["setting"] for row, found in cells[f"classification-consistent-{net}"].items()}
        wise[net] = patient_wise(net, best, runs, seeds, tick)
    results = tables.results(cells, wise)
    out = measuring.out_folder(asked, HERE)
    measuring.write(out, {**measuring_started, **results}, tables.markdown(results))


if __name__ == "__main__":
    main()
