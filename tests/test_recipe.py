"""Recipes: strict, and each refusal says where and what is known there."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from fascicle.errors import BadRecipe
from fascicle.recipe import Recipe, UNetRecipe, parse_recipe, read_recipe

RECIPES = Path(__file__).parents[1] / "recipes"
TEXT = """
name = "small"
window_s = 4.0

[preprocessing]
rate_hz = 125.0
lowpass_hz = [40.0, 50.0]

[backbone]
filters = [8, 16]
decoder = [8]

[tasks.beats]
weight = 2.0

[tasks.diagnosis]
systems = ["SCP-ECG"]

[[groups]]
source = "mitdb"
tasks = ["beats"]
rows = 3

[[groups]]
source = "ptbxl"
tasks = ["diagnosis"]
rows = 4
folds = [1, 2]
validate_folds = [8]

[training]
steps = 20

[augmentation]
gain = 1.2
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "small.toml"
    file.write_text(TEXT)
    return file


def _with(path: Path, old: str, new: str) -> Path:
    assert old in TEXT
    path.write_text(TEXT.replace(old, new, 1))
    return path


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
    path: Path, old: str, new: str, place: str, known: str
) -> None:
    with pytest.raises(BadRecipe) as caught:
        read_recipe(_with(path, old, new))
    message = str(caught.value)
    assert str(path) in message
    assert f"unknown key {place}; known here: {known}" in message


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
        ("window_s = 4.0", "window_s = 0.001", "holds no sample"),
        ("rate_hz = 125.0", "rate_hz = -1.0", "rate_hz must be positive"),
        ("rate_hz = 125.0", 'baseline = "wavelet"', "baseline"),
        ("gain = 1.2", "gain = 0.5", "gain must be at least 1"),
        ("gain = 1.2", "lead_drop = 3", "lead_drop must be a share"),
        ("decoder = [8]", "decoder = [8, 8]", "one level fewer"),
        ("decoder = [8]", "decoder = [8]\nkernel = 4", "backbone.kernel"),
        ("decoder = [8]", "decoder = [8]\nstem_kernel = 10", "backbone.stem_kernel"),
        ("decoder = [8]", 'decoder = [8]\nname = "resnet"', "backbone.name"),
        ("filters = [8, 16]", "filters = [8, 0]", "backbone.filters.1"),
        (
            "filters = [8, 16]",
            "filters = [8, 12]",
            "backbone.filters.1: Input should be a multiple",
        ),
        ("decoder = [8]", "decoder = [8]\nskip = 4", "backbone.skip"),
        ("[tasks.beats]", "[tasks.other]", "groups.0.tasks names beats"),
        (
            "validate_folds = [8]",
            "validate_folds = [2, 8]",
            r"groups.1 trains and validates on [2]",
        ),
    ],
)
def test_impossible_values_are_refused_with_their_place(
    path: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(BadRecipe) as caught:
        read_recipe(_with(path, old, new))
    message = str(caught.value)
    assert message.startswith(str(path))
    assert said in message
    assert "\n" not in message


def test_all_folds_but_those_that_validate_may_teach(path: Path) -> None:
    recipe = read_recipe(_with(path, "folds = [1, 2]\n", ""))
    assert recipe.groups[1].folds is None
    assert recipe.groups[1].validate_folds == (8,)


def test_a_recipe_needs_groups_and_tasks() -> None:
    tree = tomllib.loads(TEXT)
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
    path.write_text(TEXT.replace("[training]\nsteps = 20\n", ""))
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


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["tasks.diagnosis.perceiver.latents=8"], 'perceiver: only with head = "perceiver"'),
        (["tasks.diagnosis.head=perceiver"], "the intervals of its head need the task waves"),
        (
            ["tasks.diagnosis.head=perceiver", "tasks.waves.kind=beats"],
            "the intervals of its head need the task waves",
        ),
        (
            ["tasks.diagnosis.head=perceiver", "tasks.diagnosis.perceiver.width=30"],
            "width must be a multiple of attention_heads",
        ),
        (
            ["tasks.diagnosis.head=perceiver", "tasks.diagnosis.perceiver.depth=3"],
            "unknown key tasks.diagnosis.perceiver.depth; known here: latents, width",
        ),
        (["tasks.beats.deep_supervision=1.0"], "deep_supervision: only of waves"),
        (["tasks.beats.stride=1"], "stride: only of waves"),
        (["tasks.beats.width=8"], "width: only of waves"),
        (["tasks.waves.width=12"], "tasks.waves.width"),
        (["groups.0.window_s=0.001"], "groups.0.window_s holds no sample"),
        (['leads=["II", "V1"]', 'groups.0.leads=["V1", "V5"]'], "leads: the net has no V5"),
        (["tasks.waves.stride=3"], "tasks.waves.stride"),
        (["tasks.waves.deep_supervision=1.0"], "on a U-Net of several levels"),
        (["tasks.waves.deep_supervision=-1.0"], "tasks.waves.deep_supervision"),
        (["tasks.diagnosis.rewrite=true", "tasks.diagnosis.reweigh=true"], "not with reweigh"),
        (["backbone.stem_stride=4"], "backbone.stem_stride"),
        (["backbone.activation=relu"], "backbone.activation"),
    ],
)
def test_what_a_head_or_net_cannot_have_is_refused(
    path: Path, changes: list[str], said: str
) -> None:
    with pytest.raises(BadRecipe, match=said):
        read_recipe(path, changes)


def test_a_perceiver_without_intervals_needs_no_other_task(path: Path) -> None:
    head = ["tasks.diagnosis.head=perceiver", "tasks.diagnosis.perceiver.intervals=false"]
    assert read_recipe(path, head).tasks["diagnosis"].needs == ()
    every = read_recipe(path, [head[0], "tasks.waves.weight=1.0"]).tasks
    assert every["diagnosis"].needs == ("waves", "beats")
    assert every["waves"].needs == ()
