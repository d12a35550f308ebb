"""Several processes equal one, and devices are chosen or refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from fascicle.bundle import Bundle
from fascicle.errors import BadRequest
from fascicle.predict import load, predict
from fascicle.recipe import Recipe, read_recipe
from fascicle.synth import synthesize
from fascicle.tasks import aim_of
from fascicle.train.groups import find_vocabularies, open_groups
from fascicle.train.loop import Plan, _batches
from fascicle.train.parallel import Place, choose_device, joined
from fascicle.train.run import train_recipe

NO_DROPOUT = """
import torch
torch.nn.Dropout.forward = torch.nn.Dropout1d.forward = lambda self, x: x
from fascicle.cli import main
main()
"""
# 5 rows for two processes; the one of the diagnoses and that of the beats fall to one each
TOML = """
name = "tiny"
seed = 3
window_s = 2.0
preprocessing = {rate_hz = 125.0, baseline = "none"}
backbone = {filters = [8, 8, 16], decoder = [8, 8], skip = 8, kernel = 3}
tasks = {waves = {}, beats = {}, diagnosis = {systems = ["SNOMED-CT"], min_positives = 2}}
groups = [
  {source = "synth", tasks = ["waves"], folds = [1, 2], rows = 3},
  {source = "synth", tasks = ["beats"], folds = [2, 3], rows = 1},
  {source = "synth", tasks = ["diagnosis"], folds = [3, 4], validate_folds = [0], rows = 1},
]
[training]
steps = 6
warmup_steps = 1
precision = "fp32"
validate_steps = 3
select = "best"
accumulate = [[3, 2]]
"""


def launch(recipe: Path, out: Path, packs: Path) -> None:
    """Train in two processes, as a user would, but without dropout."""
    script = out.with_suffix(".py")
    script.write_text(NO_DROPOUT)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    places = ["--out", str(out), "--packs", str(packs), "--data", str(packs)]
    done = subprocess.run(
        [sys.executable, *torchrun, str(script), "train", str(recipe), *places],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("wrote ") == 1


def read_log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_two_processes_equal_one(
    packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TOML)
    launch(recipe, tmp_path / "two", packs)
    with monkeypatch.context() as without:
        for kind in (torch.nn.Dropout, torch.nn.Dropout1d):
            without.setattr(kind, "forward", lambda _, x: x)
        train_recipe(read_recipe(recipe), packs, packs, tmp_path / "one", device="cpu")
    logs = [read_log(tmp_path / name) for name in ("one", "two")]
    assert [line["step"] for line in logs[0]] == [1, 2, 3, 4, 5, 6]
    for one, two in zip(*logs, strict=True):
        assert two == pytest.approx(one, rel=1e-4)
    # weights whose true gradient is zero (a bias before a norm) follow rounding: compare answers
    models = [load(tmp_path / name / "bundle.safetensors") for name in ("one", "two")]
    record = synthesize("sinus", seed=1)
    answers = [
        predict(model.network, model.tasks, model.prepare(record), model.bundle) for model in models
    ]
    for task, answer in answers[0].items():
        assert np.abs(answer - answers[1][task]).max() < 1e-4, task


def test_a_batch_smaller_than_the_processes_is_refused(
    make_recipe: Callable[..., Recipe], packs: Path, tmp_path: Path
) -> None:
    recipe = make_recipe()
    groups, _ = open_groups(recipe, packs, packs)
    plan = Plan(recipe, {}, {}, groups, tmp_path, {}, Place(0, 5))
    with pytest.raises(BadRequest, match="4 rows is too small for 5 processes"):
        next(_batches(plan, 0))


def test_processes_share_out_the_rows(
    make_recipe: Callable[..., Recipe], packs: Path, tmp_path: Path
) -> None:
    recipe = make_recipe()
    groups, _ = open_groups(recipe, packs, packs)
    tasks = Bundle(recipe, find_vocabularies(recipe, groups), {}, {}, {}).tasks()
    aims = {name: aim_of(task) for name, task in tasks.items()}
    whole, *parts = [
        next(_batches(Plan(recipe, tasks, aims, groups, tmp_path, {}, place), 7))[1][0]
        for place in (Place(), Place(0, 3), Place(1, 3), Place(2, 3))
    ]
    assert [len(part.names) for part in parts] == [2, 1, 1]
    rows = [part.signal[0] for part in parts] + [parts[0].signal[1]]
    assert torch.equal(torch.stack(rows), whole.signal)


def test_one_process_joins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined(torch.device("cpu")) as place:
        assert place == Place(0, 1, torch.device("cpu"))
        assert not torch.distributed.is_initialized()


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "meta", "mps"])
def test_devices_that_are_not_there_are_refused(name: str) -> None:
    with pytest.raises(BadRequest, match=r"device .*(known|cannot be used)"):
        choose_device(name)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(BadRequest, match="'cuda' cannot be used here"):
        choose_device("cuda")


def test_each_process_of_a_machine_has_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 1)
    assert choose_device("cuda:0") == torch.device("cuda", 0)
    with pytest.raises(BadRequest, match="no GPU 2: torch sees 2"):
        choose_device("cuda:2")


def test_every_tensor_of_a_batch_moves(
    make_recipe: Callable[..., Recipe], packs: Path, tmp_path: Path
) -> None:
    recipe = make_recipe()
    groups, _ = open_groups(recipe, packs, packs)
    tasks = Bundle(recipe, find_vocabularies(recipe, groups), {}, {}, {}).tasks()
    aims = {name: aim_of(task) for name, task in tasks.items()}
    place = Place(device=torch.device("meta"))
    _, [batch] = next(_batches(Plan(recipe, tasks, aims, groups, tmp_path, {}, place), 0))
    kinds = set()
    for field in fields(batch):
        value = getattr(batch, field.name)
        parts = list(value.values()) if isinstance(value, dict) else [value]
        kinds |= {part.device.type for part in parts if isinstance(part, torch.Tensor)}
        assert len(parts) == (3 if isinstance(value, dict) else 1)
    assert kinds == {"meta"}
