"""A network: one backbone, several heads, with the literal registries of both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fascicle.models.heads import BeatsHead, DiagnosisHead, WavesHead
from fascicle.models.unet import Features, UNet

BACKBONES: Mapping[str, Callable[..., nn.Module]] = {"unet": UNet}

HEADS: Mapping[str, Callable[[Any, int], nn.Module]] = {
    "waves": lambda backbone, classes: WavesHead(backbone.dense_channels, classes=classes),
    "beats": lambda backbone, classes: BeatsHead(backbone.dense_channels, kinds=classes),
    "diagnosis": lambda backbone, classes: DiagnosisHead(backbone.channels, classes),
}
"""Head name -> (backbone, number of classes) -> module."""


class Network(nn.Module):
    """Weights are named `backbone.*` and `heads.<task>.*`.

    Parameters
    ----------
    backbone
        Any module with `channels`, `dense_channels` and `forward(signal, present) -> Features`.
    heads
        Task name -> module.
    """

    def __init__(self, backbone: Any, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.backbone = backbone
        self.samples_per_frame = int(backbone.samples_per_frame)
        self.reach_samples = int(backbone.reach_samples)
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
            Age / 100, age known, sex (F 1, M -1), sex known.
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
    backbone: str, options: Mapping[str, Any], heads: Iterable[tuple[str, str, int]]
) -> Network:
    """Return a network with fresh weights.

    Parameters
    ----------
    backbone, options
        A key of `BACKBONES` and its arguments.
    heads
        (task, key of `HEADS`, number of classes) for each head.
    """
    trunk = BACKBONES[backbone](**options)
    return Network(trunk, {task: HEADS[head](trunk, classes) for task, head, classes in heads})
