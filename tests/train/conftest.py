"""A tiny recipe over a tiny synthetic pack, and trainings in processes that can be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fascicle.data import packing
from fascicle.recipe import Recipe, parse_recipe
from fascicle.signal.chain import Preprocessing

RECORDS = 30
TINY: dict[str, Any] = {
    "name": "tiny",
    "seed": 3,
    "window_s": 2.0,
    "preprocessing": {"rate_hz": 125.0, "baseline": "none"},
    "backbone": {"filters": [8, 8, 16], "decoder": [8, 8], "skip": 8, "kernel": 3},
    "tasks": {
        "waves": {},
        "beats": {},
        "diagnosis": {"systems": ["SNOMED-CT"], "min_positives": 2},
    },
    "groups": [
        {
            "source": "synth",
            "tasks": ["waves", "beats", "diagnosis"],
            "folds": [1, 2, 3, 4],
            "validate_folds": [0],
            "rows": 4,
        }
    ],
    "training": {
        "steps": 12,
        "warmup_steps": 2,
        "checkpoint_steps": 4,
        "validate_steps": 6,
        "precision": "fp32",
    },
}

MakeRecipe = Callable[..., Recipe]
Train = Callable[..., tuple[int, str]]


@pytest.fixture(scope="session")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds the pack of a few synthetic records."""
    folder = tmp_path_factory.mktemp("packs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "SYNTHETIC", RECORDS)
        packing.pack_source("synth", folder, folder, Preprocessing(**TINY["preprocessing"]))
    return folder


@pytest.fixture(scope="session")
def make_recipe() -> MakeRecipe:
    """Return what makes the tiny recipe, with changes of its training and of other keys."""

    def make(groups: list[dict[str, Any]] | None = None, **training: Any) -> Recipe:
        tree = TINY | {"training": TINY["training"] | training}
        return parse_recipe(tree | ({"groups": groups} if groups else {}), "tiny")

    return make


@pytest.fixture(scope="session")
def fork(packs: Path) -> Iterator[Callable[..., tuple[int, Callable[[], int]]]]:
    """Return what starts a training in a process of its own: its id, and what waits for its end.

    The process is forked from one that has imported everything, so that it starts at once.
    """
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("fork_server.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert server.stdin is not None
    assert server.stdout is not None
    write, read = server.stdin, server.stdout

    def start(
        recipe: Recipe, out: Path, *, resume: bool = False, die: str = ""
    ) -> tuple[int, Callable[[], int]]:
        job = {
            "recipe": recipe.model_dump(mode="json"),
            "packs": str(packs),
            "out": str(out),
            "resume": resume,
            "die": die,
        }
        write.write(json.dumps(job) + "\n")
        write.flush()
        process = int(read.readline())
        return process, lambda: int(read.readline())

    yield start
    write.close()
    read.close()
    server.wait(timeout=30)
