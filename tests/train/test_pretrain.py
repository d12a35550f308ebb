"""Pre-training: two views, one embedding; resumed and shared out as any training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fascicle.bundle import read_bundle
from fascicle.data import packing
from fascicle.errors import BadRecipe
from fascicle.predict import Model
from fascicle.recipe import Recipe, parse_recipe
from fascicle.synth import synthesize
from fascicle.train.checkpoint import load_tensors
from fascicle.train.groups import open_groups
from fascicle.train.loop import Plan, _batches
from fascicle.train.parallel import Place
from fascicle.train.pretrain import pretrain_recipe, pretraining_of
from fascicle.train.run import train_recipe

RECORDS = 100
FILES = ("bundle.safetensors", "checkpoint.safetensors", "log.jsonl")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, make_recipe: Callable[..., Recipe]) -> Path:
    """Return a folder with a pack of more records than a batch has rows."""
    folder = tmp_path_factory.mktemp("many")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "SYNTHETIC", RECORDS)
        packing.pack_source("synth", folder, folder, make_recipe().preprocessing)
    return folder


@pytest.fixture(scope="module")
def make(make_recipe: Callable[..., Recipe]) -> Callable[..., Recipe]:
    """Return what makes a tiny recipe with a pre-training, with changes of it and of its task."""

    def made(head: dict[str, Any] | None = None, **pretraining: Any) -> Recipe:
        tree = make_recipe(
            [
                {"source": "synth", "tasks": ["diagnosis"], "validate_folds": [8, 9], "rows": 3,
                 "sampler": "inverse"},
                {"source": "synth", "tasks": ["waves", "beats"], "folds": [0, 1], "rows": 2},
            ],
            average=0.9, mixup=0.2, select="best", warmup_steps=2, snapshots=1,
            accumulate=[[0, 2]], schedule="cyclic", cycle_steps=3, steps=2,
        ).model_dump(mode="json")  # fmt: skip
        tree["pretraining"] = {"steps": 24, "learning_rate": 5e-3, **pretraining}
        tree["window_s"] = 1.5
        tree["tasks"]["diagnosis"] |= head or {}
        return parse_recipe(tree, "made")

    return made


@pytest.fixture(scope="module")
def pretrained(make: Callable[..., Recipe], many: Path, tmp_path_factory: Any) -> Path:
    folder: Path = tmp_path_factory.mktemp("pretrained") / "unbroken"
    pretrain_recipe(make(), many, many, folder, device="cpu")
    return folder


def read_log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_its_own_steps_rate_and_rows_stand_in_the_recipe(make: Callable[..., Recipe]) -> None:
    recipe = pretraining_of(make(rows=70, weight=0.5))
    assert recipe.training.steps == 24
    assert recipe.training.learning_rate == 5e-3
    assert recipe.training.schedule == "cosine"
    assert not recipe.training.accumulate
    assert not recipe.training.mixup
    assert recipe.tasks["diagnosis"].weight == 0.5
    assert [group.rows for group in recipe.groups] == [70, 2]
    assert [group.sampler for group in recipe.groups] == ["uniform", "uniform"]
    assert parse_recipe(recipe.model_dump(mode="json"), "again") == recipe


def test_groups_of_the_task_share_its_rows(make: Callable[..., Recipe]) -> None:
    recipe = make()
    own, other = recipe.groups
    shares = (own.model_copy(update={"rows": 1}), other, own.model_copy(update={"rows": 2}))
    made = pretraining_of(recipe.model_copy(update={"groups": shares}))
    assert [group.rows for group in made.groups] == [21, 2, 43]


def test_windows_that_cannot_be_compared_are_refused(make: Callable[..., Recipe]) -> None:
    recipe = make()
    own, other = recipe.groups
    longer = own.model_copy(update={"window_s": 3.0})
    with pytest.raises(BadRecipe, match="its groups need windows of one length"):
        pretraining_of(recipe.model_copy(update={"groups": (own, other, longer)}))
    pretraining_of(recipe.model_copy(update={"groups": (longer, other, longer)}))


def test_each_record_comes_in_two_views_of_one_window(
    make: Callable[..., Recipe], many: Path, tmp_path: Path
) -> None:
    tree = make().model_dump(mode="json")
    tree["augmentation"] |= {"gain": 1.5, "lead_set": 0.0, "lead_drop": 0.0, "covariate_drop": 0.0}
    tree["augmentation"] |= {"noise_mv": 0.0, "baseline_mv": 0.0, "lead_shift_s": 0.0}
    recipe = pretraining_of(parse_recipe(tree, "gain"))
    groups, _ = open_groups(recipe, many, many)
    plan = Plan(recipe, {}, {}, groups, tmp_path, {}, Place(), "diagnosis")
    _, [batch] = next(_batches(plan, 0))
    assert len(batch.names) == 64 + 2 + 64
    assert batch.names[:64] == batch.names[66:]
    one, two = (batch.signal[rows].flatten(2) for rows in (slice(64), slice(66, None)))
    assert not torch.allclose(one, two)
    ratio = (one * two).sum(-1) / one.square().sum(-1)  # the same window but for each lead's gain
    assert torch.allclose(two, ratio.unsqueeze(-1) * one, atol=1e-4)


def test_the_loss_falls_and_views_become_alike(pretrained: Path) -> None:
    lines = read_log(pretrained)
    losses = [line["diagnosis"] for line in lines]
    assert np.mean(losses[-4:]) < 0.7 * np.mean(losses[:4])
    watched = [line for line in lines if "twins.alike" in line]
    assert [line["step"] for line in watched] == [6, 12, 18, 24]
    assert watched[-1]["twins.alike"] > watched[0]["twins.alike"]
    assert all(line["waves"] > 0 and line["beats"] > 0 for line in lines)
    assert np.mean([line["waves"] for line in lines[-4:]]) < lines[0]["waves"]


def test_a_training_starts_from_it(
    make: Callable[..., Recipe], pretrained: Path, many: Path, tmp_path: Path
) -> None:
    start = read_bundle(pretrained / "bundle.safetensors")
    tree = make().model_dump(mode="json")
    tree["training"] |= {"steps": 1, "learning_rate": 1e-12, "weight_decay": 0.0}
    tree["training"] |= {"schedule": "constant", "cycle_steps": None, "average": 0.0}
    path = train_recipe(parse_recipe(tree, "next"), many, many, tmp_path, device="cpu", start=start)
    weights = read_bundle(path).weights
    assert set(weights) == set(start.weights)
    assert all(torch.allclose(weights[name], start.weights[name], atol=1e-6) for name in weights)


def test_the_bundle_says_that_it_is_not_finished(pretrained: Path) -> None:
    bundle = read_bundle(pretrained / "bundle.safetensors")
    assert "answers to diagnosis mean nothing" in bundle.card["note"]
    assert bundle.card["trained_on"][0]["records"] == 80
    findings = Model(bundle).analyze(synthesize("af", seed=1, duration_s=5.0))
    assert findings.diagnoses
    assert not any(diagnosis.present for diagnosis in findings.diagnoses)


def test_a_resumed_one_equals_one_that_was_not_stopped(
    make: Callable[..., Recipe],
    pretrained: Path,
    many: Path,
    tmp_path: Path,
) -> None:
    class Stopped(Exception):
        pass

    def stop(step: int, *_: Any) -> None:
        if step == 7:
            raise Stopped

    with pytest.raises(Stopped):
        pretrain_recipe(make(), many, many, tmp_path, device="cpu", progress=stop)
    assert load_tensors(tmp_path / "checkpoint.safetensors")[1]["step"] == 4
    pretrain_recipe(make(), many, many, tmp_path, device="cpu", resume=True)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (pretrained / name).read_bytes(), name


@pytest.mark.parametrize(
    ("task", "pretraining", "said"),
    [
        ({}, {"rows": 63}, r"pretraining\.rows: .*at least 64 records"),
        ({}, {"task": "rhythm_of_life"}, "none of the recipe's tasks waves, beats, diagnosis"),
        ({}, {"redundancy": 0.0}, r"pretraining\.redundancy"),
        ({}, {"epochs": 3}, r"unknown key pretraining\.epochs; known here: task, steps, rows"),
        ({}, {"rows": 90}, r"pretraining\.rows 90: the groups of diagnosis have 80 records"),
        ({"head": "logistic"}, {}, "its head has no embedding; diagnosis, pooled, challenge"),
        ({}, {"task": "beats"}, "the groups of beats have 20 records"),
    ],
)
def test_what_cannot_be_pretrained_is_refused(
    make: Callable[..., Recipe],
    many: Path,
    tmp_path: Path,
    task: dict[str, Any],
    pretraining: dict[str, Any],
    said: str,
) -> None:
    with pytest.raises(BadRecipe, match=said):
        pretrain_recipe(make(task, **pretraining), many, many, tmp_path, device="cpu")
    assert not (tmp_path / "log.jsonl").exists()


def test_a_recipe_without_the_section_is_refused(
    make_recipe: Callable[..., Recipe], many: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadRecipe, match=r"a section \[pretraining\] is needed"):
        pretrain_recipe(make_recipe(), many, many, tmp_path, device="cpu")


COMPARE = """
import sys, torch
from torch import distributed
from fascicle.losses import barlow_twins_loss
from fascicle.tasks import make_task
from fascicle.train.parallel import add_up, add_up_gradients, choose_device, joined
from fascicle.train.pretrain import twins
with joined(torch.device("cpu")) as place:
    torch.manual_seed(0)
    layer, views = torch.nn.Linear(4, 3), torch.randn(2, 7, 4)
    mine = views[:, place.rank :: place.processes].flatten(0, 1)  # 4 rows and 3
    loss = twins(make_task("beats"), 0.1, place).loss(layer(mine), None, None)
    loss.backward()
    add_up_gradients(layer.parameters())
    value, slope = add_up(loss.detach().clone()), layer.weight.grad.clone()
    layer.zero_grad()
    whole = barlow_twins_loss(layer(views[0]), layer(views[1]), 0.1)
    whole.backward()
    assert torch.allclose(value, whole), (value, whole)
    assert torch.allclose(slope, layer.weight.grad, atol=1e-6), (slope, layer.weight.grad)
    if not place.rank:
        print("same in", place.processes)
"""


@pytest.mark.slow
def test_two_processes_compare_the_whole_batch(tmp_path: Path) -> None:
    script = tmp_path / "compare.py"
    script.write_text(COMPARE)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *torchrun, str(script)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "same in 2\n"
