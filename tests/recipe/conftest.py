"""A small recipe in a file, and what changes a line of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fascicle.errors import BadRecipe
from fascicle.recipe import read_recipe

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


@pytest.fixture
def change(path: Path) -> Callable[[str, str], Path]:
    """Return what replaces a part of the recipe, once, and returns the file."""

    def replace(old: str, new: str) -> Path:
        assert old in TEXT
        path.write_text(TEXT.replace(old, new, 1))
        return path

    return replace


@pytest.fixture
def refusal() -> Callable[[Path], str]:
    """Return what refuses a recipe, and gives the one line that begins with its place."""

    def refuse(path: Path) -> str:
        with pytest.raises(BadRecipe) as caught:
            read_recipe(path)
        message = str(caught.value)
        assert message.startswith(str(path))
        assert "\n" not in message
        return message

    return refuse
