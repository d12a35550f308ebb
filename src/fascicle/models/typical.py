"""Diagnoses from a record's typical beat: a small convolutional net over a second of each lead."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

BEAT_SAMPLES = 100
"""Samples of a typical beat (`decode.typical.CLOCK_S`; a contract test keeps the two equal)."""
RHYTHM_NUMBERS = 7
"""Numbers that tell of the rhythm (`decode.typical.RHYTHM_NUMBERS`, likewise)."""
HEADS = 3
"""Heads that answer together: each is small, and what chance taught one the others do not say."""


class TypicalHead(nn.Module):
    """Logits of each class from the typical beat, the rhythm's numbers, age and sex.

    It sees a beat, not frames: beats are found first. Unlike a net on whole records it need not
    learn that a beat may stand anywhere, and so learns more from few records.

    Parameters
    ----------
    classes
        Of the answer.
    width
        Channels of the first two convolutions; the others have twice as many.
    hidden
        Units of the layers between.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        classes: int,
        leads: int = 12,
        samples: int = BEAT_SAMPLES,
        numbers: int = RHYTHM_NUMBERS,
        covariates: int = 4,
        width: int = 32,
        hidden: int = 256,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.covariates = covariates
        self.register_buffer("mean", torch.zeros(numbers))
        self.register_buffer("scale", torch.ones(numbers))
        self.shape = nn.Sequential(
            nn.Conv1d(2 * leads, width, 5, padding=2),
            nn.SiLU(),
            _layer(width, width),
            nn.MaxPool1d(2),
            _layer(width, 2 * width),
            nn.MaxPool1d(2),
            _layer(2 * width, 2 * width),
        )
        self.dropout = nn.Dropout(dropout)
        self.read_shape = nn.Linear(2 * width * (samples // 4), hidden)
        self.read_numbers = nn.Linear(numbers + covariates, hidden // 4)
        self.join = nn.Linear(hidden + hidden // 4, hidden)
        self.out = nn.Linear(hidden, classes)

    def forward(
        self,
        beat: Float[Tensor, "batch lead sample"],
        present: Bool[Tensor, "batch lead"],
        numbers: Float[Tensor, "batch number"],
        covariates: Float[Tensor, "batch covariate"],
    ) -> Float[Tensor, "batch class"]:
        """Return logits; what stands in absent leads is ignored."""
        mask = present.unsqueeze(-1)
        leads = torch.where(mask, beat, beat.new_zeros(()))
        shape = self.shape(torch.cat([leads, mask.to(beat.dtype).expand_as(beat)], dim=1))
        beside = torch.cat(
            [(numbers - self.mean) / self.scale, covariates[:, : self.covariates]], dim=1
        )
        read = torch.cat(
            [
                functional.silu(self.read_shape(self.dropout(shape.flatten(1)))),
                functional.silu(self.read_numbers(beside)),
            ],
            dim=1,
        )
        joined = functional.silu(self.join(self.dropout(read)))
        logits: Tensor = self.out(self.dropout(joined))
        return logits


class TypicalView(nn.Module):
    """The mean logits of several heads, which are taught apart."""

    def __init__(self, classes: int, heads: int = HEADS) -> None:
        super().__init__()
        self.heads = nn.ModuleList(TypicalHead(classes) for _ in range(heads))

    def forward(
        self,
        beat: Float[Tensor, "batch lead sample"],
        present: Bool[Tensor, "batch lead"],
        numbers: Float[Tensor, "batch number"],
        covariates: Float[Tensor, "batch covariate"],
    ) -> Float[Tensor, "batch class"]:
        """Return logits; what stands in absent leads is ignored."""
        seen = (beat, present, numbers, covariates)
        return torch.stack([head(*seen) for head in self.heads]).mean(0)


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, 5, padding=2),
        nn.GroupNorm(8, outputs),
        nn.SiLU(),
        nn.Dropout1d(0.1),
    )
