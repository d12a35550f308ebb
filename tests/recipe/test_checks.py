"""Values that do not fit each other are refused, with their place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fascicle.errors import BadRecipe
from fascicle.recipe import read_recipe

Change = Callable[[str, str], Path]
Refusal = Callable[[Path], str]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("window_s = 4.0", "window_s = 0.001", "holds no sample"),
        ("decoder = [8]", "decoder = [8, 8]", "one level fewer"),
        ("[tasks.beats]", "[tasks.other]", "groups.0.tasks names beats"),
        (
            "validate_folds = [8]",
            "validate_folds = [2, 8]",
            r"groups.1 trains and validates on [2]",
        ),
    ],
)
def test_values_that_do_not_fit_are_refused_with_their_place(
    change: Change, refusal: Refusal, old: str, new: str, said: str
) -> None:
    assert said in refusal(change(old, new))


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
