"""A training that was killed and resumed equals one that was not, bit for bit."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from fascicle.errors import BadData
from fascicle.recipe import Recipe
from fascicle.train.checkpoint import load_tensors
from fascicle.train.run import train_recipe

Fork = Callable[..., tuple[int, Callable[[], int]]]
KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def recipe(make_recipe: Callable[..., Recipe]) -> Recipe:
    return make_recipe(select="best")


@pytest.fixture(scope="module")
def unbroken(fork: Fork, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "unbroken"
    _, status = fork(recipe, folder)
    assert status() == 0
    return folder


def assert_same(folder: Path, unbroken: Path) -> None:
    names = ("bundle.safetensors", "best.safetensors", "checkpoint.safetensors", "log.jsonl")
    for name in names:
        assert (folder / name).read_bytes() == (unbroken / name).read_bytes(), name
    assert {path.name for path in folder.iterdir()} >= {path.name for path in unbroken.iterdir()}


def test_the_log_has_each_step_once(unbroken: Path) -> None:
    lines = [json.loads(line) for line in (unbroken / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert [line["step"] for line in lines if "monitor" in line] == [6, 12]


@pytest.mark.parametrize(
    "moment", ["half 1", "after 1", "before 2", "after 2", "half 4", "before 5"]
)
def test_killed_at_a_file(
    moment: str, fork: Fork, recipe: Recipe, unbroken: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"  # files: checkpoint 4, best 6, checkpoint 8, best 12, ...
    assert fork(recipe, folder, die=moment)[1]() == KILLED
    assert fork(recipe, folder, resume=True)[1]() == 0
    assert_same(folder, unbroken)


def test_killed_at_random_moments(
    fork: Fork, recipe: Recipe, unbroken: Path, tmp_path: Path
) -> None:
    folder, chance, kills = tmp_path / "killed", random.Random(5), 0
    for attempt in range(40):
        process, status = fork(recipe, folder, resume=True)
        if attempt < 6:
            time.sleep(chance.uniform(0.05, 0.5))
            with suppress(ProcessLookupError):  # it was quicker
                os.kill(process, signal.SIGKILL)
        code = status()
        if code == 0:
            break
        assert code == KILLED
        kills += 1
    assert kills
    assert_same(folder, unbroken)


@pytest.mark.parametrize("optimiser", ["ranger", "madgrad"])
def test_other_optimisers_and_several_batches_to_a_step(
    optimiser: str, fork: Fork, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    recipe = make_recipe(
        optimiser=optimiser, accumulate=[[3, 2]], schedule="cyclic", cycle_steps=5, steps=7,
        validate_steps=7, select="best",
    )  # fmt: skip
    assert fork(recipe, tmp_path / "unbroken")[1]() == 0
    assert fork(recipe, tmp_path / "killed", die="after 1")[1]() == KILLED
    assert fork(recipe, tmp_path / "killed", resume=True)[1]() == 0
    assert_same(tmp_path / "killed", tmp_path / "unbroken")


def test_a_log_without_its_last_newline(
    fork: Fork, recipe: Recipe, unbroken: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "torn"
    assert fork(recipe, folder, die="after 1")[1]() == KILLED
    with (folder / "log.jsonl").open("a") as log:
        log.write('{"step": 5, "wav')
    assert fork(recipe, folder, resume=True)[1]() == 0
    assert_same(folder, unbroken)


def test_a_damaged_checkpoint_is_refused(
    make_recipe: Callable[..., Recipe], packs: Path, tmp_path: Path, unbroken: Path
) -> None:
    content = (unbroken / "checkpoint.safetensors").read_bytes()
    (tmp_path / "checkpoint.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(BadData, match=r"checkpoint\.safetensors"):
        train_recipe(make_recipe(select="best"), packs, packs, tmp_path, resume=True)


def test_the_best_monitor_is_strict_json(unbroken: Path) -> None:
    _, header = load_tensors(unbroken / "checkpoint.safetensors")
    json.dumps(header, allow_nan=False)
    assert header["step"] == 12
