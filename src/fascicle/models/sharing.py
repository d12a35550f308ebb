"""Private extractors and shared layers (parameter-sharing paper): one frame per window.

Each task i has an extractor h_i of its own; every one sees the same window, and the shared layers
take all that they found, h_s = NN_s(h_1, ..., h_T). One extractor makes the single-task net.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from fascicle.models.leads import ALL_LEADS, LeadInput
from fascicle.models.unet import Features


class Sharing(nn.Module):
    """Extractors side by side, then fully-connected layers with ReLU.

    Parameters
    ----------
    extractors
        Modules (batch, lead, sample) -> (batch, found).
    found
        Numbers that each of them gives.
    shared
        Outputs of each shared layer.
    dropout
        After each shared layer.
    window
        Samples of a window; no other length fits.
    leads
        Rows of the signal that the net reads.
    """

    def __init__(
        self,
        extractors: Sequence[nn.Module],
        found: int,
        shared: Sequence[int],
        dropout: float,
        window: int,
        leads: Sequence[int],
    ) -> None:
        super().__init__()
        self.channels = self.dense_channels = shared[-1]
        self.samples_per_frame = window
        self.reach_samples = None
        self.input = LeadInput(leads, shared[0])
        self.extractors = nn.ModuleList(extractors)
        inputs = (len(extractors) * found, *shared[:-1])
        self.shared = nn.ModuleList(nn.Linear(i, o) for i, o in zip(inputs, shared, strict=True))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        signal: Float[Tensor, "batch lead sample"],
        present: Bool[Tensor, "batch lead"],
    ) -> Features:
        """Return one frame for a window (batch, lead, sample) in mV; absent leads are ignored."""
        window = self.samples_per_frame
        if signal.shape[-1] != window:
            raise ValueError(f"made for windows of {window} samples, got {signal.shape[-1]}")
        leads, absent = self.input(signal, present)
        x = torch.cat([extractor(leads) for extractor in self.extractors], dim=1)
        for place, layer in enumerate(self.shared):
            x = layer(x) if place else layer(x) + absent
            x = self.dropout(functional.relu(x))
        frames = x.unsqueeze(-1)
        return Features(frames, window, frames, window)


def cnn1d(
    window: int,
    extractors: int = 1,
    width: int = 32,
    shared: Sequence[int] = (64,),
    dropout: float = 0.0,
    kernel: int = 7,
    pool: int = 4,
    layers: int = 1,
    leads: Sequence[int] = ALL_LEADS,
) -> Sharing:
    """Return a net whose extractors are Conv1d, MaxPool1d, ReLU, `layers` times, then flat."""
    frames = window
    for _ in range(layers):
        frames //= pool
    if not frames:
        raise ValueError(f"{window} samples cannot be pooled by {pool}, {layers} times")
    made = [_convolutions(len(leads), width, kernel, pool, layers) for _ in range(extractors)]
    return Sharing(made, width * frames, shared, dropout, window, leads)


def recurrent(
    cell: type[nn.RNN] | type[nn.LSTM] | type[nn.GRU],
    window: int,
    extractors: int = 1,
    width: int = 32,
    shared: Sequence[int] = (64,),
    dropout: float = 0.0,
    step: int = 4,
    leads: Sequence[int] = ALL_LEADS,
) -> Sharing:
    """Return a net whose extractors give the last hidden state.

    Parameters
    ----------
    cell
        `nn.RNN`, `nn.LSTM` or `nn.GRU`.
    width
        Of the hidden state.
    step
        Samples that are folded into one step of time.
    """
    made = [
        LastState(cell(step * len(leads), width, batch_first=True), step) for _ in range(extractors)
    ]
    return Sharing(made, width, shared, dropout, window, leads)


class LastState(nn.Module):
    """The hidden state after the last step of a recurrent layer."""

    def __init__(self, layer: nn.RNNBase, step: int) -> None:
        super().__init__()
        self.layer, self.step = layer, step

    def forward(self, leads: Float[Tensor, "batch lead sample"]) -> Float[Tensor, "batch hidden"]:
        """Return the last hidden state; zeros before the window fill its first step."""
        padded = functional.pad(leads, (-leads.shape[-1] % self.step, 0))
        folded = padded.reshape(*padded.shape[:2], -1, self.step)
        steps = folded.transpose(1, 2).flatten(2)  # (batch, step, lead x sample)
        states, _ = self.layer(steps)  # (batch, step, hidden)
        last: Tensor = states[:, -1]
        return last


def _convolutions(leads: int, width: int, kernel: int, pool: int, layers: int) -> nn.Sequential:
    made: list[nn.Module] = []
    for place in range(layers):
        inputs = width if place else leads
        made += [nn.Conv1d(inputs, width, kernel, padding=kernel // 2), nn.MaxPool1d(pool)]
        made.append(nn.ReLU())  # the same before the pooling, but cheaper here
    return nn.Sequential(*made, nn.Flatten())
