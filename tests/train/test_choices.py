"""What a recipe can choose: nets, losses, samplers, snapshots, weights handed down, leads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fascicle.bundle import Bundle, read_bundle
from fascicle.errors import BadRecipe, BadRequest
from fascicle.labels import SINUS_RHYTHM
from fascicle.predict import Model
from fascicle.recipe import Recipe, parse_recipe
from fascicle.record import LEADS
from fascicle.synth import synthesize
from fascicle.train.checkpoint import load_tensors
from fascicle.train.groups import find_vocabularies, open_groups, sampled
from fascicle.train.loop import freeze, snapshot_steps
from fascicle.train.run import train_recipe

MakeRecipe = Callable[..., Recipe]
SQUEEZE = {"name": "resnet18_se", "width": 8}


@pytest.fixture(scope="module")
def choose(make_recipe: MakeRecipe) -> Callable[..., Recipe]:
    """Return what makes the tiny recipe of diagnoses alone, with other tables."""

    def make(task: dict[str, Any] | None = None, **tables: Any) -> Recipe:
        tree = make_recipe().model_dump(mode="json")
        tree["tasks"] = {
            "diagnosis": {"systems": ["SNOMED-CT"], "min_positives": 2, **(task or {})}
        }
        tree["groups"] = [{**tree["groups"][0], "tasks": ["diagnosis"], **tables.pop("group", {})}]
        tree["training"] |= {"steps": 4, "validate_steps": 2} | tables.pop("training", {})
        return parse_recipe(tree | tables, "choices")

    return make


def train(recipe: Recipe, packs: Path, folder: Path, **options: Any) -> Bundle:
    return read_bundle(train_recipe(recipe, packs, packs, folder, device="cpu", **options))


@pytest.mark.parametrize("loss", ["bce", "focal", "asymmetric"])
@pytest.mark.parametrize("head", ["diagnosis", "pooled", "logistic"])
def test_heads_and_losses_of_records_train(
    choose: Callable[..., Recipe], packs: Path, tmp_path: Path, head: str, loss: str
) -> None:
    recipe = choose({"head": head, "loss": loss}, backbone=SQUEEZE, training={"steps": 1})
    bundle = train(recipe, packs, tmp_path)
    found = Model(bundle).analyze(synthesize("sinus", seed=1, duration_s=5.0))
    assert len(found.diagnoses) == len(bundle.vocabularies["diagnosis"])


def test_the_papers_net_trains_with_all_its_parts(
    choose: Callable[..., Recipe], packs: Path, tmp_path: Path
) -> None:
    recipe = choose(
        {"head": "challenge", "loss": "challenge", "reweigh": True, "min_positives": 1},
        backbone=SQUEEZE,
        leads=["I", "II"],
        decision={"metric": "challenge", "scope": "global"},
        group={
            "sampler": "inverse",
            "folds": [0, 1, 2, 3, 4, 5, 7],
            "validate_folds": [6, 8, 9],  # two classes are in both parts
        },
        training={"mixup": 0.3, "snapshots": 2, "average": 0.0},
    )
    bundle = train(recipe, packs, tmp_path)
    assert len(set(bundle.thresholds["diagnosis"])) == 1
    names = sorted(path.name for path in tmp_path.glob("epoch-*"))
    assert names == ["epoch-000003.safetensors", "epoch-000004.safetensors"]
    last = read_bundle(tmp_path / names[1])
    assert last.weights_sha256 == bundle.weights_sha256  # without an average, the last net itself
    assert read_bundle(tmp_path / names[0]).weights_sha256 != bundle.weights_sha256
    _, header = load_tensors(tmp_path / "checkpoint.safetensors")
    weights = np.asarray(header["weights"]["diagnosis"])
    assert weights.mean() == pytest.approx(1, abs=1e-6)
    assert weights.std() > 0


def test_a_net_of_two_leads_does_not_see_the_others(
    choose: Callable[..., Recipe], packs: Path, tmp_path: Path
) -> None:
    recipe = choose(backbone=SQUEEZE, leads=["I", "II"], training={"steps": 1})
    model = Model(train(recipe, packs, tmp_path))
    assert model.bundle.weights["backbone.stem.weight"].shape[1] == 2
    record = synthesize("sinus", seed=1, duration_s=5.0)
    prepared = model.prepare(record)
    assert [lead for lead, there in zip(LEADS, prepared.present, strict=True) if there] == [
        "I",
        "II",
    ]
    other = record.signal.copy()
    other[2:] *= 2
    changed = replace(record, signal=other)
    assert model.analyze(changed).diagnoses == model.analyze(record).diagnoses


def test_the_kept_statistics_are_those_of_the_net(
    choose: Callable[..., Recipe], packs: Path, tmp_path: Path
) -> None:
    bundle = train(choose(backbone=SQUEEZE), packs, tmp_path)
    moved = [w for name, w in bundle.weights.items() if name.endswith("running_mean")]
    assert moved
    assert all(bool((mean != 0).any()) for mean in moved)


def test_weights_are_handed_down_but_for_the_first_convolution(
    choose: Callable[..., Recipe], packs: Path, tmp_path: Path
) -> None:
    parent = train(choose(backbone=SQUEEZE), packs, tmp_path / "twelve")
    fewer = choose(
        backbone=SQUEEZE,
        leads=["I", "II"],
        training={
            "steps": 1,
            "learning_rate": 1e-12,
            "weight_decay": 0.0,
            "fresh": ["backbone.stem.*", "backbone.input.*"],
        },
    )
    child = train(fewer, packs, tmp_path / "two", start=parent)
    name = "heads.diagnosis.out.weight"
    assert torch.allclose(child.weights[name], parent.weights[name], atol=1e-6)
    assert child.weights["backbone.stem.weight"].shape[1] == 2
    bare = choose(backbone=SQUEEZE, leads=["I", "II"], training={"steps": 1})
    with pytest.raises(BadRequest, match="expected shape"):
        train(bare, packs, tmp_path / "bare", start=parent)


def test_frozen_weights_stay_bit_for_bit(
    choose: Callable[..., Recipe], packs: Path, tmp_path: Path
) -> None:
    parent = train(choose(), packs, tmp_path / "first")
    recipe = choose(training={"frozen": ["backbone.*"]})
    child = train(recipe, packs, tmp_path / "second", start=parent)
    taught = [part["folds"] for part in child.card["trained_on"]]
    assert taught == [part["folds"] for part in parent.card["trained_on"]], "the same, once"
    same = {n for n, w in parent.weights.items() if torch.equal(w, child.weights[n])}
    assert {name for name in parent.weights if name.startswith("backbone.")} <= same
    assert "heads.diagnosis.out.weight" not in same


def test_a_card_names_the_records_of_the_start_too(
    choose: Callable[..., Recipe], packs: Path, tmp_path: Path
) -> None:
    one = {"classes": [SINUS_RHYTHM], "min_positives": 1}
    parent = train(choose(one, group={"folds": [1, 2]}), packs, tmp_path / "first")
    child = train(choose(one, group={"folds": [3]}), packs, tmp_path / "second", start=parent)
    assert [part["folds"] for part in child.card["trained_on"]] == [[3], [1, 2]]


def test_freezing_everything_is_refused() -> None:
    with pytest.raises(BadRequest, match="leaves nothing to train"):
        freeze(torch.nn.Linear(2, 2), ["*"])


def test_snapshots_stand_evenly_in_the_last_third(choose: Callable[..., Recipe]) -> None:
    assert snapshot_steps(choose(training={"steps": 30, "snapshots": 3})) == [20, 25, 30]
    assert snapshot_steps(choose(training={"steps": 30})) == []


def test_fill_up_keeps_the_rare_and_thins_the_common(
    choose: Callable[..., Recipe], packs: Path
) -> None:
    recipe = choose(group={"sampler": "fill_up", "fill_up": 1})
    groups, _ = open_groups(recipe, packs, packs)
    tasks = Bundle(recipe, find_vocabularies(recipe, groups), {}, {}, {}).tasks()
    vocabulary = tasks["diagnosis"].vocabulary
    kept = sampled(groups[0], recipe.groups[0], tasks, 1)
    assert 0 < len(kept.entries) < len(groups[0].entries)
    counts = np.sum([vocabulary.encode(entry.labels)[0] for entry in kept.entries], axis=0)
    assert (counts >= 1).all()


def test_fill_up_keeps_the_same_records_whatever_the_net_is_asked_for(
    choose: Callable[..., Recipe], packs: Path
) -> None:
    kept = []
    for classes in ([], [SINUS_RHYTHM], ["164889003"]):
        recipe = choose({"classes": classes}, group={"sampler": "fill_up", "fill_up": 1})
        groups, _ = open_groups(recipe, packs, packs)
        tasks = Bundle(recipe, find_vocabularies(recipe, groups), {}, {}, {}).tasks()
        assert len(tasks["diagnosis"].vocabulary) == len(classes) or not classes
        entries = sampled(groups[0], recipe.groups[0], tasks, 1).entries
        kept.append([entry.key for entry in entries])
    assert kept[0] == kept[1] == kept[2]
    assert 0 < len(kept[0]) < len(groups[0].entries)


def test_sources_within_a_set_are_told_by_their_keys(
    choose: Callable[..., Recipe], packs: Path
) -> None:
    recipe = choose(group={"sampler": "source"})
    groups, _ = open_groups(recipe, packs, packs)
    chances = sampled(groups[0], recipe.groups[0], {}, 1).chances
    assert chances is not None
    assert chances.tolist() == pytest.approx([1 / len(chances)] * len(chances))


def test_only_named_classes_and_records_are_taken(
    choose: Callable[..., Recipe], packs: Path
) -> None:
    recipe = choose({"classes": [SINUS_RHYTHM], "min_positives": 1})
    groups, _ = open_groups(recipe, packs, packs)
    found = find_vocabularies(recipe, groups)["diagnosis"]
    assert [term.code for term in found.terms] == [SINUS_RHYTHM]
    names = [entry.name for entry in groups[0].entries[:2]]
    some, _ = open_groups(choose(group={"records": names}), packs, packs)
    assert [entry.name for entry in some[0].entries] == names
    with pytest.raises(BadRecipe, match="no records nobody"):
        open_groups(choose(group={"records": ["nobody"]}), packs, packs)
    code = sorted(next(iter(groups[0].entries[0].labels.values())))[0]
    some, _ = open_groups(choose(group={"codes": [code]}), packs, packs)
    assert some[0].entries
    assert len(some[0].entries) < len(groups[0].entries)
    assert all(code in set().union(*entry.labels.values()) for entry in some[0].entries)
    with pytest.raises(BadRecipe, match="hold no record with XYZ"):
        open_groups(choose(group={"codes": ["XYZ"]}), packs, packs)
    with pytest.raises(BadRecipe, match="XYZ not among the codes"):
        find_vocabularies(choose({"classes": ["XYZ"]}), groups)


def test_a_group_is_seen_in_its_own_leads(choose: Callable[..., Recipe], packs: Path) -> None:
    whole, _ = open_groups(choose(), packs, packs)
    some, _ = open_groups(choose(group={"leads": ["II", "V1"]}), packs, packs)
    assert whole[0].leads == LEADS
    assert some[0].leads == ("II", "V1")
    assert [e.name for e in some[0].entries] == [e.name for e in whole[0].entries]


@pytest.mark.parametrize(
    ("task", "tables", "said"),
    [
        ({"head": "challenge"}, {}, "need each other"),
        ({"loss": "challenge"}, {}, "need each other"),
        ({}, {"leads": ["II", "I"]}, "in the order I, II"),
        ({}, {"leads": ["MLII"]}, "a lead is one of I, II"),
        ({}, {"backbone": {"name": "transformer"}}, r"backbone\.name: one of unet, resnet34"),
        ({}, {"backbone": 3}, "backbone"),
        ({}, {"training": {"mixup": 1.0}}, "mixup"),
        ({}, {"group": {"sampler": "all"}}, "sampler"),
    ],
)
def test_choices_that_do_not_fit_are_refused(
    choose: Callable[..., Recipe], task: dict[str, Any], tables: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadRecipe, match=said):
        choose(task, **tables)


def test_what_only_the_data_can_refuse(
    choose: Callable[..., Recipe], packs: Path, tmp_path: Path
) -> None:
    fibrillation = choose({"classes": ["164889003"]}, decision={"metric": "challenge"})
    with pytest.raises(BadRecipe, match="SNOMED-CT alone"):
        train(fibrillation, packs, tmp_path / "metric")
    blind = choose({"reweigh": True}, group={"validate_folds": []})
    with pytest.raises(BadRecipe, match="reweigh need a group with validate_folds"):
        train(blind, packs, tmp_path / "blind")


@pytest.mark.parametrize("validate_folds", [[], [8, 9]])
def test_a_threshold_set_by_hand_is_every_classs(
    choose: Callable[..., Recipe], packs: Path, tmp_path: Path, validate_folds: list[int]
) -> None:
    recipe = choose(
        {"head": "challenge", "loss": "challenge"},
        backbone=SQUEEZE,
        decision={"metric": "challenge", "threshold": 0.1},
        group={"validate_folds": validate_folds},
        training={"steps": 3, "snapshots": 2},
    )
    bundle = train(recipe, packs, tmp_path)
    assert set(bundle.thresholds["diagnosis"]) == {0.1}
    assert ("diagnosis" in bundle.temperatures) == bool(validate_folds)
    epochs = [read_bundle(path) for path in tmp_path.glob("epoch-*")]
    assert [set(epoch.thresholds["diagnosis"]) for epoch in epochs] == [{0.1}, {0.1}]


@pytest.mark.parametrize(
    ("head", "loss"), [("challenge", "challenge"), ("pooled", "bce"), ("logistic", "bce")]
)
def test_heads_begin_at_the_shares_of_their_classes(
    choose: Callable[..., Recipe], packs: Path, tmp_path: Path, head: str, loss: str
) -> None:
    recipe = choose(
        {"head": head, "loss": loss, "prior": True},
        backbone=SQUEEZE,
        group={"folds": [0, 1, 2, 3, 4], "validate_folds": []},
        training={"steps": 1, "learning_rate": 1e-9, "average": 0.0},
    )
    bundle = train(recipe, packs, tmp_path)
    groups, _ = open_groups(recipe, packs, packs)
    entries = groups[0].entries
    labels = np.stack([bundle.vocabularies["diagnosis"].encode(e.labels)[0] for e in entries])
    shares = (labels.sum(axis=0) + 0.5) / (len(entries) + 1)
    assert 0 < shares.min() < shares.max() < 1
    for condition in ("sinus", "af"):
        found = Model(bundle).analyze(synthesize(condition, seed=1, duration_s=5.0))
        np.testing.assert_allclose([d.probability for d in found.diagnoses], shares, rtol=1e-4)


def test_other_heads_have_no_prior(choose: Callable[..., Recipe]) -> None:
    with pytest.raises(
        BadRecipe, match=r"diagnosis\.prior needs the head pooled, challenge or log"
    ):
        choose({"prior": True})
