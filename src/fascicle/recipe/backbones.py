"""What a recipe can say of each backbone, and which section a backbone's table is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from fascicle.recipe.values import Channels, Kernel, Positive, PositiveFloat, Section, Share


class UNetRecipe(Section):
    """The U-Net of Sodmann et al. 2021, the default."""

    name: Literal["unet"] = "unet"
    filters: tuple[Channels, ...] = (32, 48, 64, 96, 128, 192)
    decoder: tuple[Channels, ...] = (32, 32, 48, 64, 96)
    skip: Channels = 8
    kernel: Kernel = 5
    stem_kernel: Kernel = 11
    deep_blocks: Annotated[int, Field(ge=0)] = 1
    dropout: Share = 0.1
    stem_stride: Literal[1, 2] = 2
    activation: Literal["silu", "mish"] = "silu"


class ResNet34Recipe(Section):
    """The residual net of Hughes et al. (after Rajpurkar 2017)."""

    name: Literal["resnet34"]
    width: Positive = 64
    widest: Positive = 256
    kernel: Positive = 16
    dropout: Share = 0.2


class SqueezeRecipe(Section):
    """The residual nets with squeeze-excitation of Ren, Xiong and Hooi 2021."""

    name: Literal["resnet18_se", "resnet34_se"]
    width: Positive = 64
    kernel: Kernel = 7
    stem_kernel: Kernel = 15
    dropout: Share = 0.2
    reduction: Positive = 16


class EfficientNetRecipe(Section):
    """EfficientNet with one-dimensional convolutions (Tan & Le 2019)."""

    name: Literal["efficientnet1d"]
    width: PositiveFloat = 1.0
    depth: PositiveFloat = 1.0
    dropout: Share = 0.2


class ConvolutionalRecipe(Section):
    """Private convolutional extractors and shared layers (the parameter-sharing paper)."""

    name: Literal["cnn1d"]
    extractors: Positive = 1
    width: Positive = 32
    shared: Annotated[tuple[Positive, ...], Field(min_length=1)] = (64,)
    dropout: Share = 0.0
    kernel: Kernel = 7
    pool: Positive = 4
    layers: Positive = 1


class RecurrentRecipe(Section):
    """Private recurrent extractors and shared layers (the parameter-sharing paper)."""

    name: Literal["rnn", "lstm", "gru"]
    extractors: Positive = 1
    width: Positive = 32
    shared: Annotated[tuple[Positive, ...], Field(min_length=1)] = (64,)
    dropout: Share = 0.0
    step: Positive = 4


BACKBONE_RECIPES: Mapping[str, type[Section]] = {
    "unet": UNetRecipe,
    "resnet34": ResNet34Recipe,
    "resnet18_se": SqueezeRecipe,
    "resnet34_se": SqueezeRecipe,
    "efficientnet1d": EfficientNetRecipe,
    "cnn1d": ConvolutionalRecipe,
    "rnn": RecurrentRecipe,
    "lstm": RecurrentRecipe,
    "gru": RecurrentRecipe,
}
"""Key of `models.network.BACKBONES` -> what a recipe can say of it."""


def _section(value: Any) -> str:
    """Return which section a backbone's table is; one without a name is the U-Net."""
    name = value.get("name", "unet") if isinstance(value, Mapping) else getattr(value, "name", "")
    section = BACKBONE_RECIPES.get(str(name))
    return "" if section is None else section.__name__


BackboneRecipe = Annotated[
    Annotated[UNetRecipe, Tag("UNetRecipe")]
    | Annotated[ResNet34Recipe, Tag("ResNet34Recipe")]
    | Annotated[SqueezeRecipe, Tag("SqueezeRecipe")]
    | Annotated[EfficientNetRecipe, Tag("EfficientNetRecipe")]
    | Annotated[ConvolutionalRecipe, Tag("ConvolutionalRecipe")]
    | Annotated[RecurrentRecipe, Tag("RecurrentRecipe")],
    Discriminator(_section),
]
