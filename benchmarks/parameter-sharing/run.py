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
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import measuring  # noqa: E402

measuring.limit_threads()

import cells  # noqa: E402
import made  # noqa: E402
import numpy as np  # noqa: E402
import tables  # noqa: E402
import torch  # noqa: E402
from cells import (  # noqa: E402
    CONSISTENT,
    FOLD_SEEDS,
    FOLDS,
    GRID,
    NETS,
    PAPER,
    ROWS,
    VARIANTS,
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
        text = path.read_text() if path.exists() else ""
        whole, end, begun = text.rpartition("\n")
        if begun:  # killed while it wrote a line
            path.write_text(whole + end)
        self.done = {tuple(run["key"]): run for run in map(json.loads, whole.splitlines())}

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
    like = {"matched": "stl", "shared": "mtl", "long": "stl", "long_mtl": "mtl"}.get(row, row)
    seed = recipe.seed if row.startswith("few") else 0  # only few windows are drawn by the seed
    opened = data.open(cell.problem, cell.scenario, cell.fold, like, seed)
    tasks = blank_tasks(recipe)
    aims = {name: aim_of(task) for name, task in tasks.items()}
    torch.manual_seed(recipe.seed)
    network = new_network(recipe, tasks)
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(recipe, tasks, aims, opened.groups, Path(folder), {}, Place())
        trained = train(network, plan, lambda _: {})
    result: dict[str, object] = {"parameters": parameters(recipe), "steps": recipe.training.steps}
    for part, batches in opened.batches.items():
        answering = {"beat": tasks["beat"]} if row == "few_others" else tasks
        classes, found = answer_windows(trained, answering, batches)
        assert classes == opened.classes
        labels = opened.labels[part]
        recall = recalls(labels, found)
        result[part] = {
            name: [
                int((labels == k).sum()),
                None if np.isnan(recall[k]) else round(float(recall[k]), 6),
            ]
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


def compare(
    cell: Cell, runs: Runs, settings: range, seeds: range, tick: Callable[[str], None]
) -> dict:  # type: ignore[type-arg]
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


def variants(
    cell: Cell, found: dict, runs: Runs, seeds: range, tick: Callable[[str], None]
) -> dict:  # type: ignore[type-arg]
    """Return the runs of other ways of sharing: the setting of STL, MTL's for long MTL."""
    result = {row: found[row] for row in ("stl", "mtl")}
    for row in VARIANTS + (CONSISTENT if cell.scenario == "consistent" else ()):
        best = found["mtl" if row == "long_mtl" else "stl"]["setting"]
        made = []
        for seed in seeds:
            tick(f"{cell.name} {row}, seed {seed}")
            made.append(runs.get(cell, row, best, seed))
        result[row] = {"setting": best, "runs": made}
    return result


def patient_wise(
    net: str, settings: dict[str, int], runs: Runs, seeds: range, tick: Callable[[str], None]
) -> dict:  # type: ignore[type-arg]
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


def jobs(nets: Sequence[str]) -> list[Cell]:
    """Return the cells of the paper's two tables, detection first."""
    kinds = sorted(PAPER, key=lambda kind: kind[0] != "detection")
    return [Cell(problem, scenario, net) for problem, scenario in kinds for net in nets]


def run_all(runs: Runs, nets: Sequence[str], settings: range, seeds: range) -> dict:  # type: ignore[type-arg]
    """Return the figures of everything; what was trained before is not trained again."""
    found, others, wise = {}, {}, {}
    each = len(ROWS) * (len(settings) + len(seeds))
    more = 2 * len(VARIANTS) + len(CONSISTENT)
    total = len(nets) * (4 * each + more * len(seeds) + len(ROWS) * len(seeds[:FOLD_SEEDS]))
    tick = counter(total)
    for cell in jobs(nets):
        found[cell.name] = compare(cell, runs, settings, seeds, tick)
        if cell.problem == "detection":
            others[cell.name] = variants(cell, found[cell.name], runs, seeds, tick)
    for net in nets:
        six = found[f"classification-consistent-{net}"]
        best = {row: part["setting"] for row, part in six.items()}
        wise[net] = patient_wise(net, best, runs, seeds[:FOLD_SEEDS], tick)
    return tables.results(found, others, wise)


def main() -> None:
    parser = measuring.parser(__doc__.splitlines()[0], HERE)
    parser.add_argument("--runs", type=Path, default=Path("runs/parameter-sharing"))
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    about = measuring.describe(("torch", "numpy"), measuring.pin(asked.core), asked.note)
    out = measuring.out_folder(asked, HERE)
    if asked.quick:
        with tempfile.TemporaryDirectory() as folder:
            made.write_records(Path(folder) / "mitdb")
            cells.STEPS.update(dict.fromkeys(NETS, 2))
            cells.OTHERS[:] = made.OTHERS
            runs = Runs(Path(folder) / "runs.jsonl", Data(Path(folder), Path(folder) / "packs"))
            found = run_all(runs, ("cnn1d", "lstm"), range(1), range(1, 3))
    elif asked.data is None:
        parser.error("--data is needed, or --quick")
    else:
        runs = Runs(asked.runs / "runs.jsonl", Data(asked.data, asked.runs / "packs"))
        found = run_all(runs, NETS, range(len(GRID)), range(1, asked.seeds + 1))
    caption = tables.caption(about, 2 if asked.quick else asked.seeds)
    measuring.write(out, {**about, **found}, tables.markdown(found, caption))


if __name__ == "__main__":
    main()
