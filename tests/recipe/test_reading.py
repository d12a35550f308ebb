"""Reading: strict, and each refusal says where and what is known there."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from fascicle.errors import BadRecipe
from fascicle.recipe import parse_recipe, read_recipe

Change = Callable[[str, str], Path]


@pytest.mark.parametrize(
    ("old", "new", "place", "known"),
    [
        ('name = "small"', 'nam = "small"', "nam", "name, version, seed, window_s"),
        ("filters =", "filter =", "backbone.filter", "name, filters, decoder"),
        (
            "weight = 2.0",
            "wieght = 2.0",
            "tasks.beats.wieght",
            "kind, weight, systems, classes, min_positives",
        ),
        ("rows = 4", "rows = 4\nrow = 4", "groups.1.row", "source, tasks, rows, folds"),
        ("steps = 20", "step = 20", "training.step", "optimiser, schedule, steps, learning_rate"),
        ("rate_hz", "rate", "preprocessing.rate", "rate_hz, jump_mv, lowpass_hz"),
        ("gain", "gian", "augmentation.gian", "gain, baseline_mv, noise_mv"),
    ],
)
def test_unknown_keys_are_refused_with_the_known_ones(
    change: Change, path: Path, old: str, new: str, place: str, known: str
) -> None:
    with pytest.raises(BadRecipe) as caught:
        read_recipe(change(old, new))
    message = str(caught.value)
    assert str(path) in message
    assert f"unknown key {place}; known here: {known}" in message


def test_a_recipe_needs_groups_and_tasks(path: Path) -> None:
    tree = tomllib.loads(path.read_text())
    with pytest.raises(BadRecipe, match="here: groups"):
        parse_recipe({**tree, "groups": []}, "here")
    del tree["tasks"]
    with pytest.raises(BadRecipe, match="here: tasks: Field required"):
        parse_recipe(tree, "here")


def test_files_that_are_not_toml_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRecipe, match=r"none\.toml: cannot be read"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(BadRecipe, match="cannot be read"):
        read_recipe(tmp_path)
    file = tmp_path / "bad.toml"
    for content in (b"name = ", b"\xff\xfe", b"a = 1\na = 2"):
        file.write_bytes(content)
        with pytest.raises(BadRecipe, match=r"bad\.toml: not TOML"):
            read_recipe(file)


def test_changes_reach_every_level(path: Path) -> None:
    recipe = read_recipe(
        path,
        [
            "seed=7",
            "training.steps=10",
            "groups.0.folds=[1, 2]",
            "tasks.beats.weight = 0.5",
            "training.precision=fp32",  # a bare word is text
            'name="other name"',
            "augmentation.noise_mv=0",
        ],
    )
    assert recipe.seed == 7
    assert recipe.training.steps == 10
    assert recipe.groups[0].folds == (1, 2)
    assert recipe.tasks["beats"].weight == 0.5
    assert recipe.training.precision == "fp32"
    assert recipe.name == "other name"
    assert recipe.augmentation.noise_mv == 0


def test_a_later_change_wins_and_may_make_a_table(path: Path) -> None:
    path.write_text(path.read_text().replace("[training]\nsteps = 20\n", ""))
    assert read_recipe(path, ["training.steps=5", "training.steps=6"]).training.steps == 6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("training.steps", "expected key=value"),
        ("training.step=3", "unknown key training.step"),
        ("training.steps=none", "training.steps"),
        ("groups.9.rows=1", "no such place"),
        ("groups.first.rows=1", "no such place"),
        ("name.part=1", "no such place"),
        ("name.part.more=1", "no such place"),
        ("=3", "unknown key"),
    ],
)
def test_changes_that_fit_nowhere_are_refused(path: Path, change: str, said: str) -> None:
    with pytest.raises(BadRecipe, match=said):
        read_recipe(path, [change])
