"""Recipes: strict TOML becomes frozen values. An unknown key is an error that lists the known.

Everything that decides a training is in its recipe; the recipe travels inside the bundle.
"""

from fascicle.recipe.backbones import (
    BACKBONE_RECIPES,
    BackboneRecipe,
    ConvolutionalRecipe,
    EfficientNetRecipe,
    RecurrentRecipe,
    ResNet34Recipe,
    SqueezeRecipe,
    UNetRecipe,
)
from fascicle.recipe.reading import parse_recipe, read_recipe
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
from fascicle.recipe.values import Section

__all__ = [
    "BACKBONE_RECIPES",
    "BackboneRecipe",
    "ConvolutionalRecipe",
    "DecisionRecipe",
    "EfficientNetRecipe",
    "GroupRecipe",
    "PerceiverRecipe",
    "PretrainingRecipe",
    "Recipe",
    "RecurrentRecipe",
    "ResNet34Recipe",
    "Section",
    "SqueezeRecipe",
    "TaskRecipe",
    "TrainingRecipe",
    "UNetRecipe",
    "WindowsRecipe",
    "parse_recipe",
    "read_recipe",
]
