"""Sections: defaults, frozen values, and what a single value may not be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from fascicle.recipe import Recipe, UNetRecipe, parse_recipe, read_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
Change = Callable[[str, str], Path]
Refusal = Callable[[Path], str]


def test_values_and_defaults(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.name == "small"
    assert recipe.window == 500
    assert recipe.preprocessing.lowpass_hz == (40.0, 50.0)
    assert recipe.preprocessing.jump_mv == 4.0
    assert recipe.backbone == UNetRecipe(filters=(8, 16), decoder=(8,))
    assert recipe.tasks["beats"].weight == 2.0
    assert [group.rows for group in recipe.groups] == [3, 4]
    assert recipe.groups[0].folds is None
    assert recipe.training.steps == 20
    assert recipe.training.select == "last"
    assert recipe.augmentation.gain == 1.2


def test_a_recipe_is_frozen(path: Path) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        read_recipe(path).seed = 2


def test_a_recipe_survives_json(path: Path) -> None:
    recipe = read_recipe(path)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert parse_recipe(recipe.model_dump(mode="json"), "bundle") == recipe


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.toml")), ids=lambda file: file.stem)
def test_every_recipe_in_the_repository_is_read(file: Path) -> None:
    recipe = read_recipe(file)
    assert recipe.window > 0
    assert {task for group in recipe.groups for task in group.tasks} == set(recipe.tasks)


def test_there_are_recipes() -> None:
    assert (RECIPES / "default.toml").is_file()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rows = 3", "rows = 0", "groups.0.rows"),
        ("rows = 3", 'rows = "many"', "groups.0.rows"),
        ("rows = 3", "", "groups.0.rows"),
        ("rows = 3", "rows = 3\nrare_beats = 1.5", "groups.0.rare_beats"),
        ("weight = 2.0", "weight = -1.0", "tasks.beats.weight"),
        ("weight = 2.0", "weight = inf", "tasks.beats.weight"),
        ("steps = 20", "steps = 20.5", "training.steps"),
        ("steps = 20", 'precision = "fp16"', "training.precision"),
        ("steps = 20", 'select = "first"', "training.select"),
        ("steps = 20", "learning_rate = nan", "training.learning_rate"),
        ("window_s = 4.0", "window_s = 0.0", "window_s"),
        ("rate_hz = 125.0", "rate_hz = -1.0", "rate_hz must be positive"),
        ("rate_hz = 125.0", 'baseline = "wavelet"', "baseline"),
        ("gain = 1.2", "gain = 0.5", "gain must be at least 1"),
        ("gain = 1.2", "lead_drop = 3", "lead_drop must be a share"),
    ],
)
def test_impossible_values_are_refused_with_their_place(
    change: Change, refusal: Refusal, old: str, new: str, said: str
) -> None:
    assert said in refusal(change(old, new))


def test_all_folds_but_those_that_validate_may_teach(change: Change) -> None:
    recipe = read_recipe(change("folds = [1, 2]\n", ""))
    assert recipe.groups[1].folds is None
    assert recipe.groups[1].validate_folds == (8,)


def test_a_perceiver_without_intervals_needs_no_other_task(path: Path) -> None:
    head = ["tasks.diagnosis.head=perceiver", "tasks.diagnosis.perceiver.intervals=false"]
    assert read_recipe(path, head).tasks["diagnosis"].needs == ()
    every = read_recipe(path, [head[0], "tasks.waves.weight=1.0"]).tasks
    assert every["diagnosis"].needs == ("waves", "beats")
    assert every["waves"].needs == ()
