"""A network: one backbone, several heads, with the literal registries of both."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fascicle.models.efficientnet import EfficientNet1d
from fascicle.models.heads import BeatsHead, DiagnosisHead, FlatHead, JoinedHead, WavesHead
from fascicle.models.resnet import ResNet34
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

HEADS: Mapping[str, Callable[[Any, int, int], nn.Module]] = {
    "waves": lambda trunk, classes, _: WavesHead(trunk.dense_channels, classes=classes),
    "beats": lambda trunk, classes, _: BeatsHead(trunk.dense_channels, kinds=classes),
    "diagnosis": lambda trunk, classes, _: DiagnosisHead(trunk.channels, classes),
    "pooled": lambda trunk, classes, _: JoinedHead(trunk.channels, classes, outputs=1),
    "challenge": lambda trunk, classes, _: JoinedHead(trunk.channels, classes, outputs=2),
    "logistic": lambda trunk, classes, frames: FlatHead(trunk.channels, classes, frames),
    "softmax": lambda trunk, classes, frames: FlatHead(trunk.channels, classes, frames),
}
"""Head name -> (backbone, number of classes, frames of a training window) -> module."""


class Network(nn.Module):
    """Weights are named `backbone.*` and `heads.<task>.*`.

    Parameters
    ----------
    backbone
        Any module with `channels`, `dense_channels` and `forward(signal, present) -> Features`.
    heads
        Task name -> module.

    Attributes
    ----------
    windowed
        Whether the net must be fed windows of the length that it was made for.
    reach_samples
        To each side, what one dense frame can depend on; None where the backbone is windowed.
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
            and the logits hold only these rows. None: every head sees every row.
        """
        features = self.backbone(signal, present)
        logits = {}
        for task, head in self.heads.items():
            chosen = None if rows is None else rows[task]
            if chosen is not None and not bool(chosen.any()):
                continue
            logits[task] = _on_rows(head, features, signal, present, valid, covariates, chosen)
        return logits


def _on_rows(
    head: nn.Module,
    features: Features,
    signal: Tensor,
    present: Tensor,
    valid: Tensor,
    covariates: Tensor,
    chosen: Tensor | None,
) -> Tensor:
    if chosen is not None:
        features = Features(
            features.frames[chosen],
            features.samples_per_frame,
            features.dense[chosen],
            features.dense_samples_per_frame,
        )
        signal, present = signal[chosen], present[chosen]
        valid, covariates = valid[chosen], covariates[chosen]
    logits: Tensor = head(features, signal, present, valid, covariates)
    return logits


def build_network(
    backbone: str,
    options: Mapping[str, Any],
    heads: Iterable[tuple[str, str, int]],
    window: int,
) -> Network:
    """Return a network with fresh weights.

    Parameters
    ----------
    backbone, options
        A key of `BACKBONES` and its arguments.
    heads
        (task, key of `HEADS`, number of classes) for each head.
    window
        Samples of a training window: what backbones and heads of one length are made for.
    """
    make = BACKBONES[backbone]
    if "window" in inspect.signature(make).parameters:
        options = {**options, "window": window}
    trunk: Any = make(**options)
    frames = -(-window // trunk.samples_per_frame)
    return Network(trunk, {task: HEADS[head](trunk, count, frames) for task, head, count in heads})
