"""Train recipes in forked processes: a JSON line in, then process id and exit status out.

A job's "die" tells when the process kills itself as `kill -9` would, such as "before 3": before its
third file takes its place, "after" it, or when "half" of the file's bytes are written.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch._dynamo  # what an optimiser imports when it is made
import torch.utils.tensorboard  # noqa: F401

from fascicle.recipe import parse_recipe
from fascicle.train.run import train_recipe


def die_at(moment: str, file: int) -> None:
    replace = Path.replace
    files = itertools.count(1)

    def stopped(self: Path, target: Path) -> Path:
        chosen = Path(target).suffix == ".safetensors" and next(files) == file
        if chosen and moment == "half":
            os.truncate(self, self.stat().st_size // 2)
        if chosen and moment != "after":
            os.kill(os.getpid(), signal.SIGKILL)
        replace(self, target)
        if chosen:
            os.kill(os.getpid(), signal.SIGKILL)
        return Path(target)

    Path.replace = stopped  # type: ignore[method-assign,assignment]


def work(job: dict[str, Any]) -> None:
    if job["die"]:
        moment, _, file = job["die"].partition(" ")
        die_at(moment, int(file))
    packs = Path(job["packs"])
    recipe = parse_recipe(job["recipe"], "job")
    train_recipe(recipe, packs, packs, Path(job["out"]), resume=job["resume"], device="cpu")


def main() -> None:
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            work(json.loads(line))
            os._exit(0)
        sys.stdout.write(f"{process}\n")
        sys.stdout.flush()
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
