"""A network: one backbone, several heads, with the literal registries of both."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from graphlib import TopologicalSorter
from types import MappingProxyType
from typing import Any, NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fascicle.models.efficientnet import EfficientNet1d
from fascicle.models.heads import BeatsHead, DiagnosisHead, FlatHead, JoinedHead, WavesHead
from fascicle.models.perceiver import PerceiverHead
from fascicle.models.resnet import ResNet34
from fascicle.models.rhythm import RhythmHead
from fascicle.models.sharing import cnn1d, recurrent
from fascicle.models.squeeze import SqueezeResNet
from fascicle.models.unet import Features, UNet

BACKBONES: Mapping[str, Callable[..., nn.Module]] = {
    "unet": UNet,
    "resnet34": ResNet34,
    "resnet18_se": partial(SqueezeResNet, (2, 2, 2, 2)),
    "resnet34_se": partial(SqueezeResNet, (3, 4, 6, 3)),
    "efficientnet1d": EfficientNet1d,
    "cnn1d": cnn1d,
    "rnn": partial(recurrent, nn.RNN),
    "lstm": partial(recurrent, nn.LSTM),
    "gru": partial(recurrent, nn.GRU),
}
"""Name -> backbone from its options; one with a `window` among them is made for that length."""

HEADS: Mapping[str, Callable[..., nn.Module]] = {
    "waves": lambda trunk, classes, _, deep=False, **options: WavesHead(
        trunk.dense_channels,
        classes=classes,
        level_channels=trunk.level_channels if deep else (),
        **options,
    ),
    "beats": lambda trunk, classes, _: BeatsHead(trunk.dense_channels, kinds=classes),
    "diagnosis": lambda trunk, classes, _: DiagnosisHead(trunk.channels, classes),
    "pooled": lambda trunk, classes, _: JoinedHead(trunk.channels, classes, outputs=1),
    "challenge": lambda trunk, classes, _: JoinedHead(trunk.channels, classes, outputs=2),
    "logistic": lambda trunk, classes, frames: FlatHead(trunk.channels, classes, frames),
    "softmax": lambda trunk, classes, frames: FlatHead(trunk.channels, classes, frames),
    "rhythm": lambda trunk, classes, _, rate_hz=250.0: RhythmHead(trunk.channels, classes, rate_hz),
    "perceiver": lambda trunk, classes, _, **options: PerceiverHead(
        trunk.channels, classes, **options
    ),
}
"""Head name -> (backbone, number of classes, frames of a training window, options) -> module."""


class HeadPlan(NamedTuple):
    """A head to build: its task, key of `HEADS`, number of classes, and its options."""

    task: str
    head: str
    classes: int
    options: Mapping[str, Any] = MappingProxyType({})


class Network(nn.Module):
    """Weights are named `backbone.*` and `heads.<task>.*`.

    Parameters
    ----------
    backbone
        Any module with `channels`, `dense_channels` and `forward(signal, present) -> Features`.
    heads
        Task name -> module. They run in the order of what they need: a head that needs other
        tasks takes a mapping of their logits as its last argument.

    Attributes
    ----------
    windowed
        Whether the net must be fed windows of the length that it was made for.
    reach_samples
        To each side, what one dense frame can depend on; None where the backbone is windowed.
    order
        The tasks, each after those that it needs.

    Raises
    ------
    ValueError
        If a head needs a task that is not there.
    """

    def __init__(self, backbone: Any, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.backbone = backbone
        self.samples_per_frame = int(backbone.samples_per_frame)
        self.reach_samples: int | None = backbone.reach_samples
        self.windowed = backbone.reach_samples is None or any(
            bool(head.windowed) for head in heads.values()
        )
        self.heads = nn.ModuleDict(heads)
        every: Mapping[str, Any] = heads
        self.needs: dict[str, tuple[str, ...]] = {t: head.needs for t, head in every.items()}
        for task, needs in self.needs.items():
            if not set(needs) <= set(heads):
                raise ValueError(f"{task} needs {', '.join(needs)}; there are {', '.join(heads)}")
        self.order = tuple(TopologicalSorter(self.needs).static_order())

    def forward(
        self,
        signal: Float[Tensor, "batch lead sample"],
        present: Bool[Tensor, "batch lead"],
        valid: Int[Tensor, " batch"],
        covariates: Float[Tensor, "batch covariate"],
        rows: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Return the logits of every head.

        Parameters
        ----------
        signal
            mV at the net's rate; what stands in absent leads is ignored.
        present
            Whether each lead is there.
        valid
            Samples of each row that are not padding, at least 1.
        covariates
            Age / 100, age known, sex (F 1, M -1), sex known, original rate / 1000 Hz, rate known.
        rows
            Task -> (batch,) bool: the rows that its head sees; a task without a row is left out,
            and the logits hold only these rows. None: every head sees every row. A needed head
            sees the rows of the heads that need it too, but its logits hold its own.

        Returns
        -------
        Task -> logits; in training also "task@step" -> logits of a map of `step` samples per
        frame, where a head has deep supervision.
        """
        features = self.backbone(signal, present)
        made: dict[str, Tensor] = {}
        found: dict[str, Tensor] = {}
        shown = None if rows is None else self._shown(rows)
        for task in self.order:
            seen = None if shown is None else shown[task]
            if seen is not None and not bool(seen.any()):
                continue
            parts = (features, signal, present, valid, covariates)
            if seen is not None:
                parts = _rows_of(*parts, seen)
            needed = {name: _among(made[name], shown, name, seen) for name in self.needs[task]}
            head = self.heads[task]
            made[task] = head(*parts, needed) if needed else head(*parts)
            own = None if rows is None else rows[task]
            if own is not None and not bool(own.any()):
                continue
            found[task] = _among(made[task], shown, task, own)
            if isinstance(head, WavesHead):
                for step, coarse in head.coarse(parts[0]).items():
                    found[f"{task}@{step}"] = _among(coarse, shown, task, own)
        return found

    def _shown(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the rows that each head must see: its own, and those of heads that need it."""
        shown = dict(rows)
        for task in reversed(self.order):
            for name in self.needs[task]:
                shown[name] = shown[name] | shown[task]
        return shown


def _among(
    logits: Tensor, shown: Mapping[str, Tensor] | None, task: str, wanted: Tensor | None
) -> Tensor:
    """Return the wanted rows of logits that a task made for the rows that it was shown."""
    if shown is None or wanted is None or bool((shown[task] == wanted).all()):
        return logits
    return logits[wanted[shown[task]]]


def _rows_of(
    features: Features,
    signal: Tensor,
    present: Tensor,
    valid: Tensor,
    covariates: Tensor,
    chosen: Tensor,
) -> tuple[Features, Tensor, Tensor, Tensor, Tensor]:
    """Return the chosen rows of what a head takes."""
    picked = replace(
        features,
        frames=features.frames[chosen],
        dense=features.dense[chosen],
        levels=tuple(level[chosen] for level in features.levels),
    )
    return picked, signal[chosen], present[chosen], valid[chosen], covariates[chosen]


def build_network(
    backbone: str,
    options: Mapping[str, Any],
    heads: Iterable[HeadPlan | tuple[str, str, int]],
    window: int,
) -> Network:
    """Return a network with fresh weights.

    Parameters
    ----------
    backbone, options
        A key of `BACKBONES` and its arguments.
    heads
        (task, key of `HEADS`, number of classes), and options, for each head.
    window
        Samples of a training window: what backbones and heads of one length are made for.
    """
    make = BACKBONES[backbone]
    if "window" in inspect.signature(make).parameters:
        options = {**options, "window": window}
    trunk: Any = make(**options)
    frames = -(-window // trunk.samples_per_frame)
    plans = [HeadPlan(*plan) for plan in heads]
    made = {
        plan.task: HEADS[plan.head](trunk, plan.classes, frames, **plan.options) for plan in plans
    }
    return Network(trunk, made)
