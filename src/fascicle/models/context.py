"""The kind of each beat from the beats around it: a small recurrent net over a record's beats."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

BEAT_FEATURES = 84
"""Features of a beat (`decode.context.FEATURES`; a contract test keeps the two equal)."""


class ContextHead(nn.Module):
    """Logits of each beat's kind from the features of all beats, in both directions of time.

    It sees beats, not frames: `predict` finds them first. What a beat is and what its neighbours
    tell stay apart until the last layer.

    Parameters
    ----------
    kinds
        Number of classes.
    features, width, memory
        Features of a beat, units of the layer that reads them, units of each direction.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        kinds: int = 5,
        features: int = BEAT_FEATURES,
        width: int = 32,
        memory: int = 24,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.read = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Dropout(dropout))
        self.around = nn.GRU(width, memory, batch_first=True, bidirectional=True)
        self.out = nn.Sequential(nn.Dropout(dropout), nn.Linear(width + 2 * memory, kinds))

    def forward(self, beats: Float[Tensor, "batch beat feature"]) -> Float[Tensor, "batch beat k"]:
        """Return logits (batch, beat, kind) of features (batch, beat, feature)."""
        own = self.read((beats - self.mean) / self.scale)
        logits: Tensor = self.out(torch.cat([own, self.around(own)[0]], dim=-1))
        return logits
