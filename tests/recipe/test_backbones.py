"""Backbones: what a recipe may not say of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Change = Callable[[str, str], Path]
Refusal = Callable[[Path], str]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
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
    ],
)
def test_impossible_values_of_a_backbone_are_refused_with_their_place(
    change: Change, refusal: Refusal, old: str, new: str, said: str
) -> None:
    assert said in refusal(change(old, new))
