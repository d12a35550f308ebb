"""Train the net and its ablations, and say what each choice gains.

    python benchmarks/ablations/run.py --data DIR                         # all, one core
    python benchmarks/ablations/run.py --data DIR --seeds 2 --core 1      # beside another process
    python benchmarks/ablations/run.py --data DIR --table                 # of what is there
    python benchmarks/ablations/run.py --data DIR --score                 # what is there, once more

A finished net's scores are at once a line of runs.jsonl; what stands there is not trained again,
and a training that was broken off goes on from its checkpoint. --score answers for the nets of
runs.jsonl that are still in --runs with the program as it is now: its rules of decoding change.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import measuring  # noqa: E402

measuring.limit_threads()

import made  # noqa: E402
import nets  # noqa: E402
import numpy as np  # noqa: E402
import scoring  # noqa: E402
import tables  # noqa: E402
import torch  # noqa: E402
from lines import add_line, read_lines, write_lines  # noqa: E402

from fascicle.bundle import read_bundle  # noqa: E402
from fascicle.data.pack import Entry  # noqa: E402
from fascicle.recipe import Recipe  # noqa: E402
from fascicle.train.pretrain import pretrain_recipe, pretraining_of  # noqa: E402
from fascicle.train.run import train_recipe  # noqa: E402

SEEDS = (1, 2, 3)
QUICK = (nets.FULL, "waves", "diagnoses", "pooled", nets.PRETRAINED, "pretrained-10", "scratch-10")
LEFT_OVER = ("checkpoint.safetensors", "best.safetensors")
SHOWN_EVERY = 10


def main() -> None:
    parser = measuring.parser(__doc__.splitlines()[0], HERE)
    parser.add_argument("--packs", type=Path, help="training packs; default: in --runs")
    parser.add_argument("--runs", type=Path, default=measuring.ROOT / "out" / "ablations")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--nets", nargs="+", choices=list(nets.NETS), help="these nets only")
    parser.add_argument("--table", action="store_true", help="train nothing, tables of all lines")
    parser.add_argument("--score", action="store_true", help="train nothing, score nets once more")
    asked = parser.parse_args()
    if asked.data is None and not asked.quick:
        parser.error("--data is needed")
    out = measuring.out_folder(asked, HERE)
    about = measuring.describe(["torch", "numpy"], measuring.pin(asked.core), asked.note)
    torch.set_num_threads(1)
    asked.size = "quick" if asked.quick else "small"
    asked.data, asked.packs = asked.data or Path(), asked.packs or asked.runs / "packs"
    recipe = nets.recipe_of(nets.FULL, asked.size, 1)
    if asked.quick:
        made.write_packs(asked.data, asked.packs, recipe.preprocessing)
    tests = scoring.open_tests(
        asked.data,
        asked.packs,
        recipe.preprocessing,
        nets.TRAIN,
        recipe.tasks["diagnosis"].min_positives,
    )
    lines = out / "runs.jsonl"
    if asked.score:
        score_again(asked, lines, tests)
    elif not asked.table:
        train_and_score(asked, lines, tests)
    found = tables.summary(read_lines(lines), tests)
    measuring.write(out, {**about, **found}, tables.show(found, about))


def train_and_score(
    asked: argparse.Namespace, lines: Path, tests: Mapping[str, scoring.Test]
) -> None:
    """Train and score each net that the file does not have yet, seed after seed."""
    names = asked.nets or (QUICK if asked.quick else list(nets.NETS))
    jobs = [(name, seed) for seed in asked.seeds for name in names]
    done = {(line["net"], line["seed"]) for line in read_lines(lines)}
    entries = tests["diagnosis"].group.pack.entries
    for name, seed in measuring.progress([job for job in jobs if job not in done], "net"):
        begun = time.process_time(), time.monotonic()
        path, recipe = trained(asked, name, seed, entries)
        spent = time.process_time() - begun[0], time.monotonic() - begun[1]
        kept, bundle = {}, read_bundle(path)
        if name != nets.PRETRAINED:
            kept = scoring.answer(bundle, tests)
        add_line(
            lines,
            {
                "net": name,
                "seed": seed,
                **about_training(recipe, name, bundle.card),
                "commit": measuring.commit(),
                "train_cpu_s": round(spent[0]),
                "train_s": round(spent[1]),
                "score_s": round(time.process_time() - begun[0] - spent[0]),
                "scores": scores_of(kept, tests),
                "kept": kept,
            },
        )
        for pattern in LEFT_OVER:
            for left in path.parent.glob(pattern):
                left.unlink()


def score_again(asked: argparse.Namespace, lines: Path, tests: Mapping[str, scoring.Test]) -> None:
    """Replace the scores of each net that is still there by those that this program gives it."""
    kept = read_lines(lines)
    for line in measuring.progress(kept, "net"):
        path = folder_of(asked, line["net"], line["seed"]) / "bundle.safetensors"
        if line["kept"] and path.exists():
            begun = time.process_time()
            line["kept"] = scoring.answer(read_bundle(path), tests)
            line["scores"] = scores_of(line["kept"], tests)
            line["score_s"] = round(time.process_time() - begun)
            line["scored"] = measuring.commit()
    write_lines(lines, kept)


def folder_of(asked: argparse.Namespace, name: str, seed: int) -> Path:
    """Return where a net is kept."""
    place: Path = asked.runs / asked.size / f"{name}-{seed}"
    return place


def trained(
    asked: argparse.Namespace, name: str, seed: int, entries: Sequence[Entry]
) -> tuple[Path, Recipe]:
    """Return the bundle of a net and its recipe, trained as far as it is not yet."""
    net = nets.NETS[name]
    records = None
    if net.share is not None and net.share != "100":
        records = nets.taught(entries, nets.SHARES[net.share], seed)
    recipe = nets.recipe_of(name, asked.size, seed, records)
    folder = folder_of(asked, name, seed)
    path = folder / "bundle.safetensors"
    if path.exists():
        wanted = pretraining_of(recipe) if name == nets.PRETRAINED else recipe
        if read_bundle(path).recipe != wanted:
            raise SystemExit(f"{folder}: holds a net of another recipe; choose other --runs")
        return path, recipe
    options: dict[str, Any] = {"resume": True, "device": asked.device, "progress": progress(name)}
    if name == nets.PRETRAINED:
        return pretrain_recipe(recipe, asked.data, asked.packs, folder, **options), recipe
    if net.start is not None:
        first, _ = trained(asked, net.start, seed, entries)
        options["start"] = read_bundle(first)
    return train_recipe(recipe, asked.data, asked.packs, folder, **options), recipe


def progress(name: str) -> Callable[[int, int, Mapping[str, float]], None]:
    """Return what writes the steps that are done on the error stream."""

    def show(step: int, steps: int, _: Mapping[str, float]) -> None:
        if step % SHOWN_EVERY == 0 or step == steps:
            sys.stderr.write(f"\r{name} {step}/{steps}    ")
            sys.stderr.flush()

    return show


def about_training(recipe: Recipe, name: str, card: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the training of a net cost: updates, windows seen, records of each source."""
    twice = None
    if name == nets.PRETRAINED:
        recipe, twice = pretraining_of(recipe), "diagnosis"
    steps = recipe.training.steps
    own = card["trained_on"][: len(recipe.groups)]  # what pre-training was shown stands behind
    return {
        "training": nets.described(recipe),
        "records": {group["source"]: group["records"] for group in own},
        "steps": steps,
        "windows": steps * nets.windows_per_step(recipe, twice),
    }


def scores_of(
    kept: Mapping[str, Mapping[str, str]], tests: Mapping[str, scoring.Test]
) -> dict[str, float]:
    """Return the scores of a net from what is kept of it."""
    found: dict[str, float] = {}
    for name, texts in kept.items():
        arrays = {key: scoring.from_text(text) for key, text in texts.items()}
        once = np.ones((1, len(tests[name].patients)))
        made = scoring.scores(tests[name], arrays, once)
        found |= {score: round(float(values[0]), 5) for score, values in made.items()}
    return found


if __name__ == "__main__":
    main()
