"""The running average, the seeds, and several batches that count as one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fascicle.recipe import Recipe
from fascicle.train.checkpoint import load_tensors
from fascicle.train.loop import _dropout_seed, move_average
from fascicle.train.run import train_recipe

MakeRecipe = Callable[..., Recipe]
GROUPS = (
    {"source": "synth", "tasks": ["waves", "diagnosis"], "folds": [1, 2], "rows": 2},
    {"source": "synth", "tasks": ["beats", "diagnosis"], "folds": [3, 4], "rows": 1},
)


def test_the_averagemove_averages() -> None:
    average, network = nn.Linear(2, 1), nn.Linear(2, 1)
    before = average.weight.detach().clone()
    move_average(average.requires_grad_(False), network, 0.75)
    expected = 0.75 * before + 0.25 * network.weight
    assert torch.allclose(average.weight, expected)


def test_processes_drop_out_differently_and_steps_repeat() -> None:
    seeds = {_dropout_seed(1, step, rank) for step in range(100) for rank in range(3)}
    assert len(seeds) == 300
    assert _dropout_seed(1, 5, 0) == _dropout_seed(1, 5, 0)
    assert math.log2(max(seeds)) < 63


@pytest.fixture
def without_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (nn.Dropout, nn.Dropout1d):
        monkeypatch.setattr(kind, "forward", lambda _, x: x)


@pytest.mark.usefixtures("without_dropout")
def test_four_batches_teach_what_one_of_four_times_the_rows_does(
    make_recipe: MakeRecipe, packs: Path, tmp_path: Path
) -> None:
    def run(name: str, times: int, **training: Any) -> tuple[list[Any], dict[str, torch.Tensor]]:
        groups = [group | {"rows": times * int(str(group["rows"]))} for group in GROUPS]
        recipe = make_recipe(groups, steps=3, warmup_steps=1, average=0.0, **training)
        train_recipe(recipe, packs, packs, tmp_path / name, device="cpu")
        lines = (tmp_path / name / "log.jsonl").read_text().splitlines()
        tensors, _ = load_tensors(tmp_path / name / "checkpoint.safetensors")
        return [json.loads(line) for line in lines], tensors

    one, whole = run("one", 4)
    several, parts = run("several", 1, accumulate=[[0, 4]])
    for line, other in zip(several, one, strict=True):
        assert line == pytest.approx(other, rel=1e-4)
    moments = [key for key in parts if key.startswith("optimiser.exp_avg_sq.heads.")]
    assert len(moments) > 10
    for key in moments:
        assert torch.allclose(parts[key], whole[key], rtol=1e-2, atol=1e-9), key
    later, _ = run("later", 1, accumulate=[[1, 4]])
    assert later[0] != pytest.approx(one[0], rel=1e-3)  # one batch alone at first


def test_without_kernels_for_bf16_nets_are_trained_in_fp32(
    make_recipe: MakeRecipe, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(name: str, precision: str) -> str:
        recipe = make_recipe(GROUPS, steps=2, warmup_steps=1, precision=precision)
        train_recipe(recipe, packs, packs, tmp_path / name, device="cpu")
        return (tmp_path / name / "log.jsonl").read_text()

    expected = run("fp32", "fp32")
    monkeypatch.setattr("fascicle.train.loop.has_bf16", lambda _: True)
    assert run("bf16", "bf16") != expected
    monkeypatch.setattr("fascicle.train.loop.has_bf16", lambda _: False)
    assert run("fallback", "bf16") == expected
