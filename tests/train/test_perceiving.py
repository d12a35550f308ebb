"""Deep supervision, Perceiver and rewritten labels: from a recipe to a bundle that reads ECGs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fascicle.bundle import Bundle, new_network, read_bundle
from fascicle.errors import BadBundle
from fascicle.labels import SNOMED, challenge_classes
from fascicle.losses import cross_entropy
from fascicle.predict import predict
from fascicle.recipe import Recipe, parse_recipe, read_recipe
from fascicle.tasks import TASKS
from fascicle.train.added import base_of
from fascicle.train.groups import open_groups
from fascicle.train.held_out import read_entry
from fascicle.train.loop import _coarse_loss
from fascicle.train.optimiser import batches_of, learning_rate
from fascicle.train.pretrain import pretraining_of
from fascicle.train.run import train_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
SMALL_PERCEIVER = {"latents": 4, "width": 16, "attention_heads": 2, "outputs": 8, "iterations": 2}
PAPER, SMALL = "segment-perceive-classify", "segment-perceive-classify-small"


@pytest.fixture(scope="module")
def tiny(make_recipe: Callable[..., Recipe]) -> dict[str, Any]:
    """Return the tree of the tiny recipe, with all that this paper adds."""
    tree = make_recipe(steps=4, validate_steps=4, checkpoint_steps=2).model_dump(mode="json")
    tree["tasks"]["waves"]["deep_supervision"] = 0.5
    tree["tasks"]["diagnosis"] |= {
        "head": "perceiver",
        "loss": "asymmetric",
        "rewrite": True,
        "perceiver": SMALL_PERCEIVER,
    }
    return tree


@pytest.fixture(scope="module")
def trained(tiny: dict[str, Any], packs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("perceiving")
    train_recipe(parse_recipe(tiny, "tiny"), packs, packs, folder, device="cpu")
    return folder


def test_the_log_has_the_loss_of_the_coarser_levels(trained: Path) -> None:
    lines = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert len(lines) == 4
    assert all(line["waves.deep"] > 0 for line in lines)
    assert "beats.deep" not in lines[0]


def test_the_bundle_answers_in_the_public_classes(trained: Path, packs: Path) -> None:
    bundle = read_bundle(trained / "bundle.safetensors")
    task = bundle.tasks()["diagnosis"]
    assert {term.system for term in task.vocabulary.terms} == {SNOMED}
    codes = [term.code for term in task.vocabulary.terms]
    assert "426783006" in codes  # sinus rhythm, which the head does not know by that name
    assert [t.code for t in task.classes.terms][-3:] != codes[-3:]
    assert task.needs == ("waves", "beats")
    assert task.whole
    network: Any = bundle.network()
    assert network.heads["diagnosis"].needs == task.needs
    assert network.heads["diagnosis"].out.out_features == len(task.classes) == task.parts
    assert len(bundle.thresholds["diagnosis"]) == len(task.vocabulary)
    groups, _ = open_groups(bundle.recipe, packs, packs)
    prepared = read_entry(groups[0].pack, groups[0].entries[0])
    answers = predict(network, bundle.tasks(), prepared, bundle)
    assert answers["diagnosis"].shape == (len(codes),)
    alone = predict(network, {"diagnosis": task}, prepared, bundle)  # what it needs runs too
    assert set(alone) == {"diagnosis"}
    assert np.allclose(alone["diagnosis"], answers["diagnosis"], atol=1e-6)


def test_bundles_hold_the_layers_of_coarser_levels_and_answers_ignore_them(
    trained: Path, packs: Path
) -> None:
    bundle = read_bundle(trained / "bundle.safetensors")
    levels = {name for name in bundle.weights if name.startswith("heads.waves.levels.")}
    assert levels == {"heads.waves.levels.0.weight", "heads.waves.levels.0.bias"}
    spoilt = replace(
        bundle, weights={n: 9 + w if n in levels else w for n, w in bundle.weights.items()}
    )
    groups, _ = open_groups(bundle.recipe, packs, packs)
    prepared = read_entry(groups[0].pack, groups[0].entries[0])
    one, two = (predict(b.network(), b.tasks(), prepared, b) for b in (bundle, spoilt))
    assert all(np.array_equal(one[task], two[task]) for task in one)


def test_a_perceiver_does_not_learn_a_class_from_few_records(trained: Path) -> None:
    bundle = read_bundle(trained / "bundle.safetensors")
    with pytest.raises(BadBundle, match=r"is needed .not as diagnosis, a Perceiver.; the net has"):
        base_of(bundle)


def test_a_frame_of_a_coarser_level_learns_its_samples_pooled() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 12, 4, 5)
    target = torch.randint(0, 4, (2, 12, 18)).float()  # the last frame is half beyond the end
    weight = torch.rand(2, 12, 18) * (torch.rand(2, 12, 1) > 0.3)
    found = _coarse_loss("waves", TASKS["waves"], {"waves@4": logits}, target, weight)
    shares = torch.nn.functional.one_hot(target.long(), 4) * weight.unsqueeze(-1)
    pooled = torch.nn.functional.pad(shares, (0, 0, 0, 2)).reshape(2, 12, 5, 4, 4).sum(3)
    assert torch.allclose(found, -(pooled * logits.log_softmax(2).transpose(2, 3)).sum(), rtol=1e-5)
    other = torch.randn(2, 12, 4, 9)
    both = {"waves": logits, "waves@4": logits, "waves@2": other, "beats@2": other}
    mean = (found + cross_entropy(other.repeat_interleave(2, -1), target, weight)) / 2
    assert torch.allclose(_coarse_loss("waves", TASKS["waves"], both, target, weight), mean)


@pytest.mark.parametrize("name", [PAPER, SMALL])
def test_the_recipes_net_has_its_size(name: str) -> None:
    bundle = _blank(read_recipe(RECIPES / f"{name}.toml"))
    with torch.device("meta"):
        network = new_network(bundle.recipe, bundle.tasks())
    counts = {
        part: sum(p.numel() for p in module.parameters())
        for part, module in (("backbone", network.backbone), *network.heads.items())
    }
    if name == PAPER:  # tests/models count these by hand
        assert counts["backbone"] == 4_972_672
        assert counts["diagnosis"] == 1_282_844
        coarse = sum((width + 1) * 48 for width in (24, 48, 64, 96, 128))
        assert counts["waves"] == 18_900 + coarse
        assert counts["beats"] == 10_694
        assert 6e6 < sum(counts.values()) == 6_302_630 < 6.5e6
    else:
        assert sum(counts.values()) == 803_430


def test_the_papers_epochs_decide_when_batches_are_accumulated() -> None:
    """180 epochs of 12 000 windows; 1, 4, 9 and 16 batches after epochs 40, 80 and 140."""
    recipe = read_recipe(RECIPES / f"{PAPER}.toml")
    rows = sum(group.rows for group in recipe.groups)
    batches, seen = [batches_of(step, recipe.training) for step in range(recipe.training.steps)], 0
    epochs: dict[int, float] = {}
    for count in batches:
        epochs.setdefault(count, seen * rows / 12_000)
        seen += count
    assert list(epochs) == [1, 4, 9, 16]
    assert list(epochs.values()) == pytest.approx([0, 40, 80, 140])
    assert seen * rows / 12_000 == pytest.approx(180, abs=0.1)
    rates = [learning_rate(step, recipe.training) for step in range(recipe.training.steps)]
    assert max(rates) == pytest.approx(2e-5)


@pytest.mark.parametrize("name", [PAPER, SMALL])
def test_the_recipes_pretrain_with_every_noise_and_lost_leads(name: str) -> None:
    recipe = pretraining_of(read_recipe(RECIPES / f"{name}.toml"))
    assert [group.rows for group in recipe.groups if "diagnosis" in group.tasks] == [64]
    settings = recipe.augmentation
    noises = (settings.baseline_mv, settings.mains_mv, settings.muscle_mv, settings.electrode_mv)
    lost = (settings.cutout_s, settings.lead_set, settings.lead_drop, settings.lead_group)
    assert min(*noises, *lost) > 0
    assert read_recipe(RECIPES / f"{name}.toml").groups[0].sampler == "inverse"


def _blank(recipe: Recipe) -> Bundle:
    known: Mapping[str, Any] = {name: TASKS[name].vocabulary for name in ("waves", "beats")}
    return Bundle(recipe, {**known, "diagnosis": challenge_classes()}, {}, {}, {})


def test_one_step_of_the_papers_net_teaches_every_weight() -> None:
    recipe = read_recipe(RECIPES / f"{PAPER}.toml", ["window_s=2.0"])
    bundle = _blank(recipe)
    torch.manual_seed(0)
    network = new_network(recipe, bundle.tasks())
    logits = network(
        torch.randn(1, 12, recipe.window), torch.ones(1, 12, dtype=torch.bool),
        torch.tensor([recipe.window]), torch.zeros(1, 6),
    )  # fmt: skip
    assert {f"waves@{step}" for step in (2, 4, 8, 16, 32)} < set(logits)
    torch.stack([value.square().mean() for value in logits.values()]).sum().backward()  # type: ignore[no-untyped-call]
    for weight, parameter in network.named_parameters():
        assert parameter.grad is not None, weight
        assert parameter.grad.isfinite().all(), weight


def test_one_step_of_the_small_recipe_makes_a_bundle(
    tiny: dict[str, Any], packs: Path, tmp_path: Path
) -> None:
    recipe = read_recipe(RECIPES / f"{SMALL}.toml", ["window_s=2.0", "training.steps=1"])
    tree = recipe.model_dump(mode="json")
    tree["groups"] = tiny["groups"]
    tree["preprocessing"] = tiny["preprocessing"]
    tree["tasks"]["diagnosis"]["min_positives"] = 2
    path = train_recipe(parse_recipe(tree, SMALL), packs, packs, tmp_path, device="cpu")
    assert read_bundle(path).recipe.tasks["diagnosis"].rewrite
