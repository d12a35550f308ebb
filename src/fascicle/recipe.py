"""Recipes: strict TOML becomes frozen values. An unknown key is an error that lists the known.

Everything that decides a training is in its recipe; the recipe travels inside the bundle.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from fascicle.data.augment import Augmentation
from fascicle.errors import BadRecipe, BadRequest
from fascicle.signal.chain import Preprocessing

Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("a kernel must be odd, to stand on its sample")
    return value


Kernel = Annotated[int, Field(gt=0), AfterValidator(_odd)]
Channels = Annotated[int, Field(gt=0, multiple_of=8)]
"""Norms take channels in eight groups."""


class Section(BaseModel):
    """A part of a recipe: frozen, and refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BackboneRecipe(Section):
    """Which backbone, and its arguments."""

    name: Literal["unet"] = "unet"
    filters: tuple[Channels, ...] = (32, 48, 64, 96, 128, 192)
    decoder: tuple[Channels, ...] = (32, 32, 48, 64, 96)
    skip: Channels = 8
    kernel: Kernel = 5
    stem_kernel: Kernel = 11
    deep_blocks: Annotated[int, Field(ge=0)] = 1
    dropout: Share = 0.1


class TaskRecipe(Section):
    """How much a task counts, and for diagnoses which classes it has."""

    weight: PositiveFloat = 1.0
    systems: tuple[str, ...] = ()
    min_positives: Positive = 20


class GroupRecipe(Section):
    """Records of one source: which folds teach which tasks, and how many rows a batch has.

    Without `folds`, all teach that do not validate.
    """

    source: str
    tasks: tuple[str, ...]
    rows: Positive
    folds: tuple[int, ...] | None = None
    validate_folds: tuple[int, ...] = ()
    rare_beats: Share = 0.0


class TrainingRecipe(Section):
    """The optimiser and its schedule; `steps` batches in all, a cosine after the warm-up."""

    steps: Positive = 3000
    learning_rate: PositiveFloat = 2e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    clip_norm: PositiveFloat = 1.0
    precision: Literal["bf16", "fp32"] = "bf16"
    average: Share = 0.998
    checkpoint_steps: Positive = 200
    validate_steps: Positive = 1000
    select: Literal["last", "best"] = "last"


class Recipe(Section):
    """A whole training."""

    name: str
    version: str = "1"
    seed: int = 1
    window_s: PositiveFloat = 10.0
    preprocessing: Preprocessing = Preprocessing()
    backbone: BackboneRecipe = BackboneRecipe()
    tasks: dict[str, TaskRecipe]
    groups: Annotated[tuple[GroupRecipe, ...], Field(min_length=1)]
    training: TrainingRecipe = TrainingRecipe()
    augmentation: Augmentation = Augmentation()

    @property
    def window(self) -> int:
        """Samples of a training window."""
        return round(self.window_s * self.preprocessing.rate_hz)


def read_recipe(path: Path, changes: Iterable[str] = ()) -> Recipe:
    """Return the recipe in a TOML file.

    Parameters
    ----------
    path
        The file.
    changes
        "key=value" with dots into tables and list places, such as "training.steps=10" or
        "groups.0.folds=[1, 2]"; the value is TOML.

    Raises
    ------
    BadRecipe
        If the file is not TOML, a key is unknown or missing, or a value is impossible.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadRecipe(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadRecipe(f"{path}: not TOML: {error}") from None
    for change in changes:
        _apply(tree, change)
    return parse_recipe(tree, str(path))


def parse_recipe(tree: Mapping[str, Any], where: str) -> Recipe:
    """Return the recipe of a tree of plain values. Raises BadRecipe as `read_recipe` does."""
    try:
        recipe = Recipe.model_validate(tree)
    except ValidationError as error:
        raise BadRecipe("; ".join(_explain(where, e) for e in error.errors())) from None
    except BadRequest as error:  # a preprocessing or augmentation that cannot be
        raise BadRecipe(f"{where}: {error}") from None
    _check_whole(recipe, where)
    return recipe


def _check_whole(recipe: Recipe, where: str) -> None:
    """Refuse values that do not fit each other."""
    if len(recipe.backbone.decoder) != len(recipe.backbone.filters) - 1:
        raise BadRecipe(f"{where}: backbone.decoder needs one level fewer than backbone.filters")
    if recipe.window < 1:
        raise BadRecipe(f"{where}: window_s = {recipe.window_s} holds no sample")
    for place, group in enumerate(recipe.groups):
        strangers = set(group.tasks) - set(recipe.tasks)
        if strangers:
            raise BadRecipe(
                f"{where}: groups.{place}.tasks names {', '.join(sorted(strangers))}; "
                f"the recipe has the tasks {', '.join(recipe.tasks)}"
            )
        shared = set(group.validate_folds) & set(group.folds or ())
        if shared:
            raise BadRecipe(f"{where}: groups.{place} trains and validates on {sorted(shared)}")


def _explain(where: str, error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{where}: unknown key {place}; known here: {', '.join(_known(error['loc']))}"
    return f"{where}: {place or 'recipe'}: {error['msg']} (found {error.get('input')!r:.60})"


def _known(loc: tuple[int | str, ...]) -> list[str]:
    """Return the keys that stand where the unknown one stood."""
    sections: dict[str, Any] = {
        "backbone": BackboneRecipe,
        "tasks": TaskRecipe,
        "groups": GroupRecipe,
        "training": TrainingRecipe,
        "preprocessing": Preprocessing,
        "augmentation": Augmentation,
    }
    section = sections.get(str(loc[0]), Recipe) if len(loc) > 1 else Recipe
    if dataclasses.is_dataclass(section):
        return [field.name for field in dataclasses.fields(section)]
    return list(section.model_fields)


def _apply(tree: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"] if equals else None
    except tomllib.TOMLDecodeError:
        parsed = value
    if parsed is None:
        raise BadRecipe(f"--set {change}: expected key=value")
    *path, last = key.strip().split(".")
    node: Any = tree
    try:
        for part in path:
            node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
        node[int(last) if isinstance(node, list) else last] = parsed
    except (ValueError, IndexError, TypeError, AttributeError):
        raise BadRecipe(f"--set {change}: no such place in the recipe") from None
