"""LUDB by five folds over records: a net per fold, its own fold pooled over the five.

    python benchmarks/delineation/run.py --data DIR [--recipe recipes/waves.toml] [--quick]

Every fold's training is resumed where it stopped; results.json has all figures with their 95 %
intervals over records.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from fascicle.evaluate import Case, collect, score
from fascicle.predict import load
from fascicle.recipe import read_recipe
from fascicle.train.run import train_recipe

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import measuring  # noqa: E402

FOLDS = range(5)
SHOWN = ("P", "QRS", "T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds ludb/")
    parser.add_argument("--recipe", type=Path, default=HERE.parents[1] / "recipes" / "waves.toml")
    parser.add_argument("--runs", type=Path, default=Path("runs/delineation"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a few steps: proves that it runs")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cases: list[Case] = []
    for fold in FOLDS:
        bundle = train_fold(fold, arguments)
        model = load(bundle)
        cases += collect(model, "ludb", arguments.data, folds=[fold])
        print(f"fold {fold}: {len(cases)} records so far", flush=True)
    scores, groups = score(cases, [model.tasks["waves"]])
    result = {
        "records": len(cases),
        "recipe": arguments.recipe.name,
        "command": "python benchmarks/delineation/run.py --data DIR",
        "quick": arguments.quick,
        "commit": measuring.commit(),
        "scores": scores,
        "groups": groups,
    }
    if arguments.quick:
        print(table(result))
        return
    measuring.write(HERE, result, table(result))


def train_fold(fold: int, arguments: argparse.Namespace) -> Path:
    """Return the bundle of the net that has not seen this fold."""
    others = [other for other in FOLDS if other != fold]
    recipe = read_recipe(arguments.recipe)
    group = next(i for i, g in enumerate(recipe.groups) if g.source == "ludb")
    changes = [f"groups.{group}.folds={others}"]
    if arguments.quick:
        changes += ["training.steps=4", "training.warmup_steps=1"]
    folder: Path = arguments.runs / f"{arguments.recipe.stem}-{fold}"
    bundle = folder / "bundle.safetensors"
    if bundle.exists():
        return bundle
    packs = arguments.runs / "packs"
    recipe = read_recipe(arguments.recipe, changes)
    return train_recipe(recipe, arguments.data, packs, folder, resume=True, progress=show)


def show(step: int, steps: int, values: object) -> None:
    if step % 100 == 0 or step == steps:
        print(f"  step {step} of {steps}: {values}", flush=True)


def table(result: dict) -> str:  # type: ignore[type-arg]
    scores = result["scores"]
    lines = [
        "| boundary | F1 at 150 ms | F1 at 40 ms | error at 150 ms, mean ± SD (ms) |",
        "|---|---|---|---|",
    ]
    for kind in SHOWN:
        for side in ("onset", "offset"):
            key = f"waves.{kind}.{side}"
            error, spread = scores[f"{key}.error_mean_ms_150"], scores[f"{key}.error_sd_ms_150"]
            errors = "none" if spread is None else f"{error:+.1f} ± {spread:.1f}"
            lines.append(
                f"| {kind} {side} | {limits(scores, key + '.f1_150')} | "
                f"{limits(scores, key + '.f1_40')} | {errors} |"
            )
    lines += [
        f"| **{kind}, both** | {limits(scores, f'waves.{kind}.f1_150')} | "
        f"{limits(scores, f'waves.{kind}.f1_40')} | "
        f"Dice {limits(scores, f'waves.{kind}.dice')} |"
        for kind in SHOWN
    ]
    return "\n".join(lines)


def limits(scores: dict, key: str) -> str:  # type: ignore[type-arg]
    """Return value and interval; a net that finds nothing has no errors to show."""
    value, low, high = (scores[key + end] for end in ("", ".low", ".high"))
    return "none" if None in (value, low, high) else f"{value:.4f} ({low:.4f} to {high:.4f})"


if __name__ == "__main__":
    main()
