"""What a training refuses, what it writes, and which weights it gives."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fascicle.bundle import Bundle, read_bundle
from fascicle.errors import BadData, BadRecipe
from fascicle.recipe import Recipe
from fascicle.train import held_out, run
from fascicle.train.checkpoint import load_tensors
from fascicle.train.groups import open_groups
from fascicle.train.run import train_recipe

MakeRecipe = Callable[..., Recipe]
GROUP = {"source": "synth", "tasks": ["waves", "beats", "diagnosis"], "rows": 3}


def train(recipe: Recipe, packs: Path, folder: Path, **options: Any) -> Path:
    return train_recipe(recipe, packs, packs, folder, device="cpu", **options)


@pytest.fixture(scope="module")
def short(make_recipe: MakeRecipe) -> Recipe:
    return make_recipe(steps=3, validate_steps=1, checkpoint_steps=2, warmup_steps=0)


@pytest.fixture(scope="module")
def trained(short: Recipe, packs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    seen: list[tuple[int, int]] = []

    def note(step: int, steps: int, values: Mapping[str, float]) -> None:
        assert {"waves", "beats", "diagnosis"} <= set(values)
        seen.append((step, steps))

    assert train(short, packs, folder, progress=note) == folder / "bundle.safetensors"
    assert seen == [(1, 3), (2, 3), (3, 3)]
    return folder


def test_the_log_has_losses_and_monitors(trained: Path) -> None:
    lines = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    for line in lines:
        assert all(math.isfinite(value) for value in line.values())
        scores = [value for key, value in line.items() if key.startswith("synth.")]
        assert len(scores) == 3
        assert line["monitor"] == pytest.approx(np.mean(scores))


def test_the_bundle_says_what_taught_it(trained: Path, short: Recipe) -> None:
    bundle = read_bundle(trained / "bundle.safetensors")
    assert bundle.recipe == short
    (part,) = bundle.card["trained_on"]
    assert part["source"] == "synth"
    assert part["folds"] == [1, 2, 3, 4]
    assert part["records"] == 12
    assert bundle.card["validated_on"] == [{"source": "synth", "folds": [0], "records": 3}]
    classes = len(bundle.vocabularies["diagnosis"])
    assert len(bundle.thresholds["diagnosis"]) == len(bundle.temperatures["diagnosis"]) == classes
    fit = bundle.card["calibration"]
    assert fit["records"] == 3
    assert fit["brier_after"] <= fit["brier_before"] + 1e-6


def test_the_bundle_is_the_running_average(trained: Path) -> None:
    state, header = load_tensors(trained / "checkpoint.safetensors")
    assert header["step"] == 3
    bundle = read_bundle(trained / "bundle.safetensors")
    moved = 0.0
    for name, weight in bundle.weights.items():
        assert torch.equal(weight, state[f"average.{name}"])
        moved = max(moved, float((weight - state[f"net.{name}"]).abs().max()))
    assert moved > 0


def test_tensorboard_shows_the_log(trained: Path) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="no tensorboard"
    )
    board = accumulator.EventAccumulator(str(trained / "tensorboard"))
    board.Reload()
    lines = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    for name in ("waves", "monitor"):
        shown = [(event.step, event.value) for event in board.Scalars(name)]
        assert shown == [(line["step"], pytest.approx(line[name])) for line in lines]


def test_without_tensorboard_the_log_is_enough(
    make_recipe: MakeRecipe, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fascicle.train.journal.find_spec", lambda name: None)
    train(make_recipe(steps=1), packs, tmp_path)
    assert not (tmp_path / "tensorboard").exists()
    assert (tmp_path / "log.jsonl").read_text().count("\n") == 1


def falling(*_: Any) -> dict[str, float]:
    """Score every net worse than the one before."""
    falling.score -= 1.0  # type: ignore[attr-defined]
    return {"monitor": falling.score}  # type: ignore[attr-defined]


@pytest.mark.parametrize("select", ["best", "last"])
def test_the_best_weights_are_not_the_last(
    select: str,
    make_recipe: MakeRecipe,
    packs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    falling.score = 0.0  # type: ignore[attr-defined]
    monkeypatch.setattr(run, "watch", falling)
    recipe = make_recipe(steps=3, validate_steps=1, checkpoint_steps=1, select=select)
    train(recipe, packs, tmp_path)
    best, _ = load_tensors(tmp_path / "best.safetensors")
    state, header = load_tensors(tmp_path / "checkpoint.safetensors")
    assert header["best"] == -1.0
    last = {name: state[f"average.{name}"] for name in best}
    weights = read_bundle(tmp_path / "bundle.safetensors").weights
    chosen, other = (best, last) if select == "best" else (last, best)
    assert all(torch.equal(weights[name], chosen[name]) for name in best)
    assert any(not torch.equal(weights[name], other[name]) for name in best)


def test_best_without_a_score_in_the_checkpoint_is_null(
    make_recipe: MakeRecipe, packs: Path, tmp_path: Path
) -> None:
    train(make_recipe([{**GROUP, "folds": [1, 2]}], steps=2), packs, tmp_path)
    _, header = load_tensors(tmp_path / "checkpoint.safetensors")
    assert header["best"] is None
    assert not (tmp_path / "best.safetensors").exists()


def test_best_needs_records_to_choose_by(
    make_recipe: MakeRecipe, packs: Path, tmp_path: Path
) -> None:
    recipe = make_recipe([{**GROUP, "folds": [1, 2]}], select="best")
    with pytest.raises(BadRecipe, match="validate_folds"):
        train(recipe, packs, tmp_path)
    assert not (tmp_path / "log.jsonl").exists()


def test_a_leaking_recipe_takes_no_step(
    make_recipe: MakeRecipe, packs: Path, tmp_path: Path
) -> None:
    groups = [{**GROUP, "folds": [1], "validate_folds": [0]}, {**GROUP, "folds": [0, 2]}]
    with pytest.raises(BadData, match=r"leaks 3 pairs.*synth/0"):
        train(make_recipe(groups), packs, tmp_path)
    assert not (tmp_path / "log.jsonl").exists()


def test_a_group_without_records_is_refused(
    make_recipe: MakeRecipe, packs: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadRecipe, match=r"synth: folds \(77,\) hold no record"):
        train(make_recipe([{**GROUP, "folds": [77]}]), packs, tmp_path)


def test_a_task_that_nothing_teaches_is_refused(
    make_recipe: MakeRecipe, packs: Path, tmp_path: Path
) -> None:
    groups = [{**GROUP, "tasks": ["beats", "diagnosis"]}]
    with pytest.raises(BadRecipe, match=r"tasks\.waves: no group"):
        train(make_recipe(groups), packs, tmp_path)


def poison(packs: Path, folder: Path, key: str) -> Path:
    """Return a copy of the packs in which one record is not finite."""
    shutil.copytree(packs, folder)
    (path,) = folder.glob("synth-*/00000.jsonl")
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    for entry in entries:
        if entry["key"] == key:
            entry["scale"] = [math.nan] * 12
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return folder


def test_nan_stops_with_the_records_names(
    make_recipe: MakeRecipe, packs: Path, tmp_path: Path
) -> None:
    poisoned = poison(packs, tmp_path / "packs", "synth/11")
    recipe = make_recipe([{**GROUP, "folds": [1]}], steps=200)
    with pytest.raises(BadData, match=r"step \d+: .* on the records .*synth/11") as caught:
        train_recipe(recipe, packs, poisoned, tmp_path / "out", device="cpu")
    assert str(caught.value).count("synth/") == 3
    assert not (tmp_path / "out" / "bundle.safetensors").exists()
    for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines():
        assert all(math.isfinite(value) for value in json.loads(line).values())


def test_a_folder_with_a_training_is_not_overwritten(
    trained: Path, short: Recipe, packs: Path, tmp_path: Path
) -> None:
    for name in ("checkpoint.safetensors", "best.safetensors", "bundle.safetensors"):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(trained / name, folder / name)
        with pytest.raises(BadData, match=f"holds a training .{name}.; go on with --resume"):
            train(short, packs, folder)
        assert (folder / name).read_bytes() == (trained / name).read_bytes()
        assert len(list(folder.iterdir())) == 1


def test_resume_refuses_another_recipe(
    trained: Path, short: Recipe, make_recipe: MakeRecipe, packs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(trained, folder)
    other = make_recipe(steps=4, validate_steps=1, checkpoint_steps=2, warmup_steps=0)
    with pytest.raises(BadData, match="another recipe"):
        train(other, packs, folder, resume=True)
    (folder / "recipe.json").unlink()  # the checkpoint knows it too
    with pytest.raises(BadData, match=r"checkpoint\.safetensors: was made by another recipe"):
        train(other, packs, folder, resume=True)


def test_resume_takes_a_recipe_from_before_a_key_was_added(
    trained: Path, short: Recipe, packs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(trained, folder)
    tree = json.loads((folder / "recipe.json").read_text())
    del tree["augmentation"]["cutout_s"]  # it has its default
    (folder / "recipe.json").write_text(json.dumps(tree))
    before = (folder / "bundle.safetensors").read_bytes()
    train(short, packs, folder, resume=True)
    assert (folder / "bundle.safetensors").read_bytes() == before


def test_resume_after_the_last_step_writes_the_bundle_again(
    trained: Path, short: Recipe, packs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(trained, folder)
    (folder / "bundle.safetensors").unlink()
    train(short, packs, folder, resume=True)
    assert (folder / "bundle.safetensors").read_bytes() == (
        trained / "bundle.safetensors"
    ).read_bytes()
    assert (folder / "log.jsonl").read_bytes() == (trained / "log.jsonl").read_bytes()


def test_a_recipe_file_that_cannot_be_read_is_refused(
    short: Recipe, packs: Path, tmp_path: Path
) -> None:
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(BadData, match=r"recipe\.json: cannot be read"):
        train(short, packs, tmp_path, resume=True)


def test_bf16_trains_the_same_net_nearly(
    make_recipe: MakeRecipe, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fascicle.train.loop.has_bf16", lambda _: True)  # slow without kernels
    for precision in ("bf16", "fp32"):
        train(make_recipe(steps=2, precision=precision), packs, tmp_path / precision)
    lines = [
        json.loads((tmp_path / precision / "log.jsonl").read_text().splitlines()[0])
        for precision in ("bf16", "fp32")
    ]
    assert lines[0] != lines[1]
    for task in ("waves", "beats", "diagnosis"):
        assert lines[0][task] == pytest.approx(lines[1][task], rel=0.03)


def test_a_refit_follows_its_development_run(
    trained: Path, make_recipe: MakeRecipe, packs: Path, tmp_path: Path
) -> None:
    like = read_bundle(trained / "bundle.safetensors")
    every = make_recipe([{**GROUP, "folds": list(range(10))}], steps=1)
    bundle = read_bundle(train(every, packs, tmp_path, like=like))
    assert bundle.vocabularies == like.vocabularies
    assert bundle.thresholds == like.thresholds
    assert bundle.temperatures == like.temperatures
    assert bundle.card["calibration"] == like.card["calibration"]
    assert bundle.card["development"]["weights_sha256"] == like.weights_sha256
    assert bundle.card["development"]["trained_on"] == like.card["trained_on"]
    assert bundle.card["trained_on"][0]["records"] == 30
    assert bundle.card["scores"] == []
    assert bundle.weights_sha256 != like.weights_sha256


def test_a_refit_of_other_tasks_is_refused(
    trained: Path, packs: Path, tmp_path: Path, short: Recipe
) -> None:
    like = read_bundle(trained / "bundle.safetensors")
    tasks = {"beats": short.tasks["beats"]}
    groups = (short.groups[0].model_copy(update={"tasks": ("beats",)}),)
    beats = short.model_copy(update={"tasks": tasks, "groups": groups})
    with pytest.raises(BadRecipe, match="waves, beats, diagnosis, not the recipe's tasks"):
        train(beats, packs, tmp_path, like=like)


def test_a_development_run_without_diagnoses_has_no_calibration(
    packs: Path, tmp_path: Path, short: Recipe
) -> None:
    tasks = {"beats": short.tasks["beats"]}
    groups = (short.groups[0].model_copy(update={"tasks": ("beats",)}),)
    beats = short.model_copy(update={"tasks": tasks, "groups": groups})
    first = read_bundle(train(beats, packs, tmp_path / "first"))
    assert "calibration" not in first.card
    second = read_bundle(train(beats, packs, tmp_path / "second", like=first))
    assert "calibration" not in second.card
    assert same_weights(first, second)


def same_weights(one: Bundle, two: Bundle) -> bool:
    return one.weights_sha256 == two.weights_sha256


def test_validation_scores_a_task_only_where_it_is_annotated(
    trained: Path, short: Recipe, packs: Path
) -> None:
    bundle = read_bundle(trained / "bundle.safetensors")
    _, held = open_groups(short, packs, packs)
    (group,) = held
    known = held_out.watch(bundle.network(), bundle.tasks(), held, bundle)
    assert set(known) == {
        "synth.waves.f1_150", "synth.beats.f1", "synth.diagnosis.macro.auroc", "monitor"
    }  # fmt: skip
    silent = tuple(replace(e, annotated=frozenset({"waves"}), labels={}) for e in group.entries)
    waves = held_out.watch(
        bundle.network(), bundle.tasks(), [replace(group, entries=silent)], bundle
    )
    assert waves == {
        "synth.waves.f1_150": known["synth.waves.f1_150"],
        "monitor": known["synth.waves.f1_150"],
    }
    mute = tuple(replace(e, annotated=frozenset(), labels={}) for e in group.entries)
    assert (
        held_out.watch(bundle.network(), bundle.tasks(), [replace(group, entries=mute)], bundle)
        == {}
    )
