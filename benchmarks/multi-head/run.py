"""Compare nets of one rare class, of it and its common relative, and of all (Hughes et al.).

    python benchmarks/multi-head/run.py --data DIR

PTB-XL, positives pooled out-of-fold: folds 1-3, 4-6 and 7-9 are tested by nets that the others
taught. Each net's answers are kept under out/, so that a run that was killed loses one net.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import measuring  # noqa: E402

measuring.limit_threads()

import made  # noqa: E402
import nets  # noqa: E402
import scores  # noqa: E402
import tables  # noqa: E402
import torch  # noqa: E402

from fascicle.data.packing import pack_source  # noqa: E402
from fascicle.recipe import read_recipe  # noqa: E402

STUDIES = {study.name: study for study in (nets.REAL, nets.SYNTHETIC)}


def main() -> None:
    parser = measuring.parser(__doc__.splitlines()[0], HERE)
    parser.add_argument("--packs", type=Path, help="folder of the training packs; default: out")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--studies", nargs="+", choices=list(STUDIES), default=list(STUDIES))
    parser.add_argument("--recipe", type=Path, default=nets.RECIPE, help="default: the small net")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--table", action="store_true", help="train nothing, score what is there")
    asked = parser.parse_args()
    if not asked.quick and not asked.data:
        parser.error("--data is needed")
    out = measuring.out_folder(asked, HERE)
    about = measuring.describe(
        ["fascicle", "torch", "scikit-learn"], measuring.pin(asked.core), asked.note
    )
    torch.set_num_threads(1)
    kept = kept_folder(asked, out)
    seeds = range(1, 2 if asked.quick else asked.seeds + 1)
    studies = [nets.QUICK] if asked.quick else [STUDIES[name] for name in asked.studies]
    found = {study.name: run(study, asked, kept, seeds) for study in studies}
    measuring.write(out, {**about, "seeds": list(seeds), "studies": found}, tables.show(found))


def run(
    study: nets.Study, asked: argparse.Namespace, kept: Path, seeds: Sequence[int]
) -> dict[str, Any]:
    """Return the results of a study, its nets trained where they are not there yet."""
    packs = asked.packs or kept / "packs"
    preprocessing = read_recipe(asked.recipe).preprocessing
    real = study is nets.REAL
    data = asked.data if real else made.write_pack_into(packs, study, preprocessing)
    pack = pack_source("ptbxl", data, packs, preprocessing)
    every = nets.every_class(study, pack.entries)
    answers = kept / study.name
    answers.mkdir(exist_ok=True)
    for job in () if asked.table else measuring.progress(nets.jobs(study, seeds), study.name):
        begun = time.process_time()
        recipe = nets.recipe_of(job, study, every, asked.recipe)
        nets.run(job, recipe, pack, data, packs, answers, asked.device)
        sys.stderr.write(f"{job.name} {time.process_time() - begun:.0f} s\n")
    rows = scores.compare(study, pack.entries, answers, seeds)
    return tables.results(rows, scores.longer(study, pack.entries, answers, every), every)


def kept_folder(asked: argparse.Namespace, out: Path) -> Path:
    """Return where answers are kept: of this recipe alone, and none of an earlier quick run."""
    if asked.quick:
        shutil.rmtree(out / "nets", ignore_errors=True)
        kept = out / "nets"
    else:
        told = hashlib.sha256(asked.recipe.read_bytes()).hexdigest()[:8]
        kept = measuring.ROOT / "out" / "benchmarks" / HERE.name / told
    kept.mkdir(parents=True, exist_ok=True)
    return kept


if __name__ == "__main__":
    main()
