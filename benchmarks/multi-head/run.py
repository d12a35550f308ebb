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
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import measuring  # noqa: E402

measuring.limit_threads()

import nets  # noqa: E402
import scores  # noqa: E402
import tables  # noqa: E402
import tiny  # noqa: E402
import torch  # noqa: E402

from fascicle.data.packing import pack_source  # noqa: E402
from fascicle.recipe import read_recipe  # noqa: E402

LONGER = ("CRBBB", "ILMI")
"""Classes of nets of one class that train longer, beside the net of all."""


def main() -> None:
    parser = measuring.parser(__doc__.splitlines()[0], HERE)
    parser.add_argument("--packs", type=Path, help="folder of the training packs; default: out")
    parser.add_argument("--seeds", type=int, default=2)
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
    packs = asked.packs or kept / "packs"
    data = tiny.write_pack_into(packs) if asked.quick else asked.data
    pack = pack_source("ptbxl", data, packs, read_recipe(nets.RECIPE).preprocessing)
    targets = tiny.TARGETS if asked.quick else (*nets.RELATIVES, *nets.FEW)
    longer = targets if asked.quick else LONGER
    steps = tiny.STEPS if asked.quick else None
    every = tiny.CLASSES if asked.quick else nets.every_class(pack.entries)
    seeds = range(1, 2 if asked.quick else asked.seeds + 1)
    if not asked.table:
        for job in measuring.progress(nets.jobs(seeds, targets, longer), "nets"):
            begun = time.process_time()
            nets.run(job, nets.recipe_of(job, every, steps), pack, data, packs, kept)
            sys.stderr.write(f"{job.name} {time.process_time() - begun:.0f} s\n")
    rows = scores.compare(pack.entries, kept, targets, seeds)
    found = tables.results(rows, scores.longer(pack.entries, kept, every, longer), every)
    measuring.write(out, {**about, "seeds": list(seeds), **found}, tables.show(found))


def kept_folder(asked: argparse.Namespace, out: Path) -> Path:
    """Return where answers are kept: of this recipe alone, and none of an earlier quick run."""
    if asked.quick:
        shutil.rmtree(out / "nets", ignore_errors=True)
        kept = out / "nets"
    else:
        told = hashlib.sha256(nets.RECIPE.read_bytes()).hexdigest()[:8]
        kept = measuring.ROOT / "out" / "benchmarks" / HERE.name / told
    kept.mkdir(parents=True, exist_ok=True)
    return kept


if __name__ == "__main__":
    main()
