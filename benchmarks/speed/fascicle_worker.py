"""fascicle on request: see `timing.answer`. Arguments: device, "full" or "quick".

A training step is one of `train.loop.train` itself: batches from a pack that its thread makes
ahead, forward, loss, backward, clipping, optimiser, running average, journal. Packs are synthetic.
"""

from __future__ import annotations

import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path
from typing import Any

import timing
import torch

from fascicle.bundle import Bundle, new_network
from fascicle.data.batch import Batch, Group, draw_rows, make_batch
from fascicle.data.pack import Pack, open_pack, write_pack
from fascicle.labels import challenge_classes
from fascicle.models.network import Network
from fascicle.recipe import Recipe, read_recipe
from fascicle.record import LEADS, Record
from fascicle.signal.chain import Preprocessing
from fascicle.synth import CONDITIONS, synthesize
from fascicle.tasks import TASKS, aim_of
from fascicle.train import loop
from fascicle.train.parallel import Place

DEVICE = timing.start(sys.argv[1])
QUICK = sys.argv[2] == "quick"
RECORDS = 8 if QUICK else 256
RECIPES = Path(__file__).resolve().parents[2] / "recipes"
NARROW_UNET = ["backbone.filters=[8, 8]", "backbone.decoder=[8]"] * QUICK
WINDOW_4096 = ["preprocessing.rate_hz=500.0", "window_s=8.192"]
NETS = {
    "resnet18_se": (
        "challenge-loss.toml",
        [
            *[f"leads={list(LEADS)}", "groups.0.validate_folds=[]", "training.snapshots=0"],
            *["backbone.width=16"] * QUICK,
        ],
    ),
    "unet": ("default.toml", [*WINDOW_4096, *NARROW_UNET]),
    "unet_2500": ("default.toml", NARROW_UNET),
}
"""Net -> its recipe, and what is changed in it."""
SCRATCH = tempfile.TemporaryDirectory()
WAITS: list[float] = []
"""Seconds of each wait for a batch in the training that runs or ran last."""


@cache
def bundle(name: str) -> Bundle:
    """Return the recipe with the 26 scored classes for its diagnoses."""
    file, changes = NETS[name]
    recipe = read_recipe(RECIPES / file, changes)
    vocabularies = {task: TASKS[task].vocabulary or challenge_classes() for task in recipe.tasks}
    return Bundle(recipe, vocabularies, {}, {}, {})


@cache
def network(name: str) -> Network:
    torch.manual_seed(1)
    return new_network(bundle(name).recipe, bundle(name).tasks()).to(DEVICE)


@cache
def pack(preprocessing: Preprocessing) -> Pack:
    """Return a pack of synthetic ten-second records of all conditions."""
    names = list(CONDITIONS)
    items = [(f"synth/{place}", f"synth/{place}", "synth", 0) for place in range(RECORDS)]
    folder = Path(SCRATCH.name) / f"{preprocessing.rate_hz:g}"

    def load(place: int) -> Record:
        return synthesize(names[place % len(names)], seed=place, rate_hz=preprocessing.rate_hz)

    write_pack(folder, items, load, preprocessing)
    return open_pack(folder)


@cache
def groups(name: str, batch: int) -> tuple[Group, ...]:
    """Return the recipe's groups, all on synthetic records, with their shares of such a batch."""
    recipe = bundle(name).recipe
    drawn = pack(recipe.preprocessing)
    rows = shares([group.rows for group in recipe.groups], batch)
    return tuple(
        Group(drawn, drawn.entries, asked.tasks, count, asked.rare_beats, leads=recipe.leads)
        for asked, count in zip(recipe.groups, rows, strict=True)
        if count
    )


def shares(rows: list[int], batch: int) -> list[int]:
    """Return whole numbers in these proportions that sum to the batch."""
    ends = [round(end * batch / sum(rows)) for end in accumulate(rows)]
    return [end - begin for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def plan(name: str, precision: str, batch: int, steps: int) -> loop.Plan:
    recipe, tasks = bundle(name).recipe, bundle(name).tasks()
    changes = {"steps": steps, "precision": precision}
    training = recipe.training.model_copy(update=changes)
    return loop.Plan(
        recipe.model_copy(update={"training": training}),
        tasks,
        {task: aim_of(value) for task, value in tasks.items()},
        groups(name, batch),
        Path(tempfile.mkdtemp(dir=SCRATCH.name)),
        {},
        Place(device=DEVICE),
    )


def train(name: str, precision: str, batch: int, steps: int) -> dict[str, list[float]]:
    """Return the seconds of each step and of its wait, without the first step and the last.

    The last one writes a checkpoint, which a real training does every few hundred steps.
    """
    stamps: list[timing.Clock] = []
    WAITS.clear()
    loop.train(
        network(name),
        plan(name, precision, batch, steps + 2),
        lambda _: {},
        progress=lambda *_: stamps.append(timing.clock(DEVICE)),
    )
    return {**timing.between(stamps[:-1]), "wait_s": WAITS[1 : steps + 1]}


def watched(
    batches: Callable[[loop.Plan, int], Iterator[tuple[int, Batch]]],
) -> Callable[[loop.Plan, int], Iterator[tuple[int, Batch]]]:
    """Return the same batches; how long each was waited for is written down."""

    def wrapped(asked: loop.Plan, done: int) -> Iterator[tuple[int, Batch]]:
        made = batches(asked, done)
        while True:
            begin = time.perf_counter()
            following = next(made, None)
            WAITS.append(time.perf_counter() - begin)
            if following is None:
                return
            yield following

    return wrapped


def draw(name: str, batch: int, step: int = 0) -> Batch:
    recipe: Recipe = bundle(name).recipe
    aims = {task: aim_of(value) for task, value in bundle(name).tasks().items()}
    rows = draw_rows(groups(name, batch), recipe.window, (recipe.seed, step))
    return make_batch(rows, recipe.window, aims, recipe.augmentation)


def make(name: str, batch: int, runs: int) -> dict[str, list[float]]:
    """Return the seconds that making each of some batches takes, with nothing beside it."""
    draw(name, batch)
    stamps = [timing.clock(DEVICE)]
    for step in range(runs):
        draw(name, batch, step)
        stamps.append(timing.clock(DEVICE))
    return timing.between(stamps)


def infer(name: str, precision: str, batch: int, runs: int) -> dict[str, list[float]]:
    drawn = draw(name, batch)
    inputs = (drawn.signal, drawn.present, drawn.valid, drawn.covariates)
    moved = [tensor.to(DEVICE) for tensor in inputs]
    net = network(name).eval()
    return timing.infer(lambda: net(*moved), DEVICE, precision, runs)


def count(name: str, batch: int) -> dict[str, Any]:
    """Return the net's size, its input, and the operations of a training step for each record."""
    asked = plan(name, "fp32", batch, 1)
    work = timing.operations(lambda: loop.train(network(name), asked, lambda _: {}))
    weights = network(name).parameters()
    return {
        "parameters": sum(weight.numel() for weight in weights),
        "input": [len(LEADS), asked.recipe.window],
        "operations": work / batch,
    }


def peak(precision: str, size: int, runs: int) -> dict[str, float]:
    return timing.multiply(DEVICE, precision, size, runs)


def main() -> None:
    loop._batches = watched(loop._batches)
    cuda = torch.cuda.is_available()
    packages = ("fascicle", "torch", "numpy", "scipy")
    hello = {
        "versions": {"python": platform.python_version(), **{p: version(p) for p in packages}},
        "gpu": torch.cuda.get_device_name() if cuda else None,
    }
    ways = {"train": train, "make": make, "infer": infer, "count": count, "peak": peak}
    with SCRATCH:
        timing.answer(hello, ways)


if __name__ == "__main__":
    main()
