"""LUDB by five folds over records: a net per fold, its own fold pooled over the five.

    python benchmarks/delineation/run.py --data DIR [--recipe recipes/waves.toml] [--quick]
    python benchmarks/delineation/run.py --data DIR --train 0 2 4 --core 1   # these nets, no more

Every fold's training is resumed where it stopped; results.json has all figures with their 95 %
intervals over records. Fold 0 chose recipe and rules, so the other four stand beside all. A quick
run trains for a few steps and writes under out/.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path

import parts
from folds import FOLDS, WAVES_RECIPE, fold_net, on_clock

from fascicle.evaluate import Case, collect, score
from fascicle.predict import load

SHOWN = ("P", "QRS", "T")


def main() -> None:
    options = parts.options(__doc__ or "")
    options.add_argument("--recipe", type=Path, default=WAVES_RECIPE)
    options.add_argument(
        "--train", type=int, nargs="+", choices=FOLDS, help="train these nets only"
    )
    asked = options.parse_args()
    about = parts.start(asked)
    if asked.train:
        for fold in asked.train:
            fold_net(asked.recipe, fold, asked)
        return
    folds: list[list[Case]] = []
    for fold in FOLDS:
        model = load(fold_net(asked.recipe, fold, asked))
        folds.append(list(map(on_samples, collect(model, "ludb", asked.data, folds=[fold]))))
        print(f"fold {fold}: {len(folds[-1])} records", flush=True)
    cases = list(chain(*folds))
    scores, groups = score(cases, [model.tasks["waves"]])
    untouched, _ = score(list(chain(*folds[1:])), [model.tasks["waves"]])
    result = about | {
        "records": len(cases),
        "recipe": asked.recipe.name,
        "scores": scores,
        "untouched": untouched,
        "groups": groups,
    }
    parts.write(asked, "run", result, table(result))


def on_samples(case: Case) -> Case:
    """Return the case with what was found on whole samples, as the marks are."""
    waves = on_clock(case.found.waves, case.reference.rate_hz)
    return replace(case, found=replace(case.found, waves=waves))


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
    for title, some in (("both", scores), ("both, folds 1 to 4", result["untouched"])):
        lines += [
            f"| **{kind}, {title}** | {limits(some, f'waves.{kind}.f1_150')} | "
            f"{limits(some, f'waves.{kind}.f1_40')} | "
            f"Dice {limits(some, f'waves.{kind}.dice')} |"
            for kind in SHOWN
        ]
    return "\n".join(lines)


def limits(scores: dict, key: str) -> str:  # type: ignore[type-arg]
    """Return value and interval; a net that finds nothing has no errors to show."""
    value, low, high = (scores[key + end] for end in ("", ".low", ".high"))
    return "none" if None in (value, low, high) else f"{value:.4f} ({low:.4f} to {high:.4f})"


if __name__ == "__main__":
    main()
