"""Train the challenge-loss paper's submissions and lead sets, and set their scores beside its own.

    python benchmarks/challenge-loss/run.py --data DIR       # the small size
    python benchmarks/challenge-loss/run.py --data DIR --size long --nets masked plain-12 ...
    python benchmarks/challenge-loss/run.py --data DIR --size paper --device cuda
    python benchmarks/challenge-loss/run.py --commands       # the same nets by `fascicle train`

A finished net's scores are at once a line of runs-SIZE.jsonl; what stands there is not trained
again, and a training that was broken off goes on from its checkpoint.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import measuring  # noqa: E402

measuring.limit_threads()

import nets  # noqa: E402
import scoring  # noqa: E402
import tables  # noqa: E402
import tiny  # noqa: E402
import torch  # noqa: E402

from fascicle.bundle import read_bundle  # noqa: E402
from fascicle.files import write_whole  # noqa: E402
from fascicle.recipe import Recipe, read_recipe  # noqa: E402
from fascicle.train.groups import open_groups  # noqa: E402
from fascicle.train.run import train_recipe  # noqa: E402

RECIPE = measuring.ROOT / "recipes" / "challenge-loss.toml"
QUICK = ("plain-2", nets.HALF, "handed-2", "masked", "all-data-2")
SHOWN = ("paper", "small", "long", "quick")
LEFT_OVER = ("checkpoint.safetensors", "best.safetensors", "snapshot-*.safetensors")


def main() -> None:
    parser = measuring.parser(__doc__.splitlines()[0], HERE)
    parser.add_argument("--size", choices=list(SHOWN[:-1]), default="small")
    parser.add_argument("--packs", type=Path, help="training packs; default: in --runs")
    parser.add_argument("--runs", type=Path, default=measuring.ROOT / "out" / "challenge-loss")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--seeds", type=int, help="the first so many seeds only")
    parser.add_argument("--nets", nargs="+", choices=list(nets.NETS), help="these nets only")
    parser.add_argument("--commands", action="store_true", help="print how to train each net")
    asked = parser.parse_args()
    size = "quick" if asked.quick else asked.size
    if asked.commands:
        sys.stdout.writelines(f"{line}\n" for line in commands(size))
        return
    if asked.data is None and not asked.quick:
        parser.error("--data is needed")
    out = measuring.out_folder(asked, HERE)
    about = measuring.describe(["torch", "numpy"], measuring.pin(asked.core), asked.note)
    torch.set_num_threads(1)
    recipe = recipe_of("plain-2", size, 1)
    if asked.quick:
        tiny.write_tiny_pack(asked.data or Path(), packs(asked), recipe.preprocessing)
    tests = scoring.open_tests(recipe, asked.data or Path(), packs(asked), asked.quick)
    train_and_score(asked, size, out / f"runs-{size}.jsonl", tests)
    found = {s: read_lines(out / f"runs-{s}.jsonl") for s in SHOWN}
    sizes = {s: tables.summary(lines, tests) for s, lines in found.items() if lines}
    measuring.write(out, {**about, "sizes": sizes}, tables.show(sizes, about))


def packs(asked: argparse.Namespace) -> Path:
    return Path(asked.packs or asked.runs / "packs")


def train_and_score(
    asked: argparse.Namespace, size: str, lines: Path, tests: Sequence[scoring.Test]
) -> None:
    """Train and score each net that the file does not have yet, seed after seed."""
    _, (held,) = open_groups(recipe_of("plain-2", size, 1), asked.data or Path(), packs(asked))
    seeds = range(1, 1 + (asked.seeds or nets.SIZES[size].seeds))
    names = asked.nets or (QUICK if asked.quick else list(nets.NETS))
    jobs = [(name, seed) for seed in seeds for name in names]
    jobs.sort(key=lambda job: job[0] in nets.SLOW)
    done = {(line["net"], line["seed"]) for line in read_lines(lines)}
    for name, seed in measuring.progress([job for job in jobs if job not in done], "net"):
        recipe = recipe_of(name, size, seed)
        folder = asked.runs / size / f"{name}-{seed}"
        start = nets.NETS[name].start
        first = None if start is None else asked.runs / size / f"{start}-{seed}"
        wall, processor = time.monotonic(), time.process_time()
        train_recipe(
            recipe,
            asked.data or Path(),
            packs(asked),
            folder,
            resume=True,
            start=None if first is None else read_bundle(first / "bundle.safetensors"),
            device=asked.device,
        )
        line = {
            "net": name,
            "seed": seed,
            "steps": recipe.training.steps,
            "rows": recipe.groups[0].rows,
            "commit": measuring.commit(),
            "train_s": round(time.monotonic() - wall),
            "train_cpu_s": round(time.process_time() - processor),
            "scores": scoring.answer(folder, nets.NETS[name], tests, held),
        }
        lines.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(
            json.dumps(one, separators=(",", ":")) + "\n" for one in [*read_lines(lines), line]
        )
        write_whole(lines, text.encode())
        for pattern in LEFT_OVER:
            for path in folder.glob(pattern):
                path.unlink()


def recipe_of(name: str, size: str, seed: int) -> Recipe:
    """Return the recipe of a net; a quick run takes synthetic ECGs."""
    changes = nets.changes(name, nets.SIZES[size], seed)
    recipe = read_recipe(RECIPE, changes)
    if size != "quick":
        return recipe
    return recipe.model_copy(
        update={"groups": tuple(g.model_copy(update={"source": "synth"}) for g in recipe.groups)}
    )


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the runs of a file that is there; a line that was broken off does not count."""
    if not path.exists():
        return []
    whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("}\n")]
    return [json.loads(line) for line in whole]


def commands(size: str) -> Iterable[str]:
    """Yield the command line of each net, the first seed."""
    for name, net in nets.NETS.items():
        settings = " ".join(f"--set '{c}'" for c in nets.changes(name, nets.SIZES[size], 1))
        start = f" --from runs/{net.start}/bundle.safetensors" if net.start else ""
        yield (
            f"fascicle train recipes/{RECIPE.name} {settings}{start} --data DIR --out runs/{name}"
        )


if __name__ == "__main__":
    main()
