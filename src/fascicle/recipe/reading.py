"""TOML becomes a recipe: changes are applied, and what is refused is explained."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fascicle.data.augment import Augmentation
from fascicle.errors import BadRecipe, BadRequest
from fascicle.recipe.backbones import BACKBONE_RECIPES
from fascicle.recipe.checks import check_whole
from fascicle.recipe.sections import (
    DecisionRecipe,
    GroupRecipe,
    PerceiverRecipe,
    PretrainingRecipe,
    Recipe,
    TaskRecipe,
    TrainingRecipe,
    WindowsRecipe,
)
from fascicle.signal.chain import Preprocessing


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
        recipe = _with_record_tasks(Recipe.model_validate(tree), where)
    except ValidationError as error:
        raise BadRecipe("; ".join(_explain(where, e) for e in error.errors())) from None
    except BadRequest as error:  # a preprocessing or augmentation that cannot be
        raise BadRecipe(f"{where}: {error}") from None
    check_whole(recipe, where)
    return recipe


def _with_record_tasks(recipe: Recipe, where: str) -> Recipe:
    """Return the recipe with a group and a task for each record, where a group asks for that."""
    tasks, groups = dict(recipe.tasks), []
    for place, group in enumerate(recipe.groups):
        if not group.task_per_record:
            groups.append(group)
            continue
        records, found = group.records or (), [name for name in group.tasks if name in recipe.tasks]
        if not records or len(found) != 1 or group.rows % len(records):
            raise BadRecipe(
                f"{where}: groups.{place}.task_per_record needs records, one task, and as many "
                "rows for each record"
            )
        settings = recipe.tasks[found[0]]
        tasks.pop(found[0], None)
        for record in records:
            name = f"{found[0]}_{record}"
            tasks[name] = settings
            change = {"records": (record,), "tasks": (name,), "rows": group.rows // len(records)}
            groups.append(group.model_copy(update={**change, "task_per_record": False}))
    return recipe.model_copy(update={"tasks": tasks, "groups": tuple(groups)})


def _explain(where: str, error: Any) -> str:
    tags = {section.__name__ for section in BACKBONE_RECIPES.values()}
    loc = tuple(part for part in error["loc"] if part not in tags)
    place = ".".join(str(part) for part in loc)
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{where}: unknown key {place}; known here: {', '.join(_known(error['loc']))}"
    if error["type"] == "union_tag_invalid":
        return f"{where}: {place}.name: one of {', '.join(BACKBONE_RECIPES)} expected"
    return f"{where}: {place or 'recipe'}: {error['msg']} (found {error.get('input')!r:.60})"


def _known(loc: tuple[int | str, ...]) -> list[str]:
    """Return the keys that stand where the unknown one stood."""
    sections: dict[str, Any] = {
        "tasks": TaskRecipe,
        "groups": GroupRecipe,
        "training": TrainingRecipe,
        "pretraining": PretrainingRecipe,
        "decision": DecisionRecipe,
        "preprocessing": Preprocessing,
        "augmentation": Augmentation,
        **{section.__name__: section for section in BACKBONE_RECIPES.values()},
    }
    outer = str(loc[1] if loc[0] == "backbone" else loc[0])
    section = sections.get(outer, Recipe) if len(loc) > 1 else Recipe
    if outer == "groups" and "windows" in loc[:-1]:
        section = WindowsRecipe
    if outer == "tasks" and "perceiver" in loc[2:-1]:
        section = PerceiverRecipe
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
