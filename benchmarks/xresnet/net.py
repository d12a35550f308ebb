"""xresnet1d101 as the PTB-XL benchmark has it, written anew from its description, and its training.

Strodthoff, Wagner, Schaeffter, Samek: Deep learning for ECG analysis: benchmarks and insights
from PTB-XL (IEEE JBHI 2021); the shape is that of He et al.: Bag of tricks for image classification
with convolutional neural networks (CVPR 2019).
Settings are those of the authors' repository: 100 Hz, random 2.5 s of each record, 50 epochs of
one cycle, batches of 128, AdamW; the answer is the highest of seven windows that overlap by half.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

Floats = NDArray[np.float32]
RATE_HZ = 100.0
WINDOW = 250
LEADS = 12
DEPTHS = (3, 4, 23, 3)
WIDTH, EXPANSION = 64, 4


@dataclass(frozen=True, slots=True)
class Training:
    """The benchmark's settings; fewer epochs are for a trial."""

    epochs: int = 50
    rows: int = 128
    learning_rate: float = 1e-2
    weight_decay: float = 1e-2


class Bottleneck(nn.Module):
    """Narrow, convolve, widen; the way past it is averaged where it is made shorter."""

    def __init__(self, inputs: int, stride: int) -> None:
        super().__init__()
        outputs = WIDTH * EXPANSION
        self.body = nn.Sequential(
            _convolution(inputs, WIDTH, 1),
            nn.ReLU(),
            _convolution(WIDTH, WIDTH, 5, stride),
            nn.ReLU(),
            _convolution(WIDTH, outputs, 1),
        )
        past: list[nn.Module] = []
        if stride > 1:
            past += [nn.AvgPool1d(stride, ceil_mode=True)]
        if inputs != outputs:
            past += [_convolution(inputs, outputs, 1)]
        self.past = nn.Sequential(*past)

    def forward(self, x: Tensor) -> Tensor:
        """Return (row, channel, sample)."""
        return functional.relu(self.body(x) + self.past(x))


class XResNet101(nn.Module):
    """Logits (row, class) of signals (row, lead, sample)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        stem: list[nn.Module] = []
        for inputs, outputs, stride in ((LEADS, 32, 2), (32, 32, 1), (32, 64, 1)):
            stem += [_convolution(inputs, outputs, 5, stride), nn.ReLU()]
        blocks = [
            Bottleneck(
                64 if level == place == 0 else WIDTH * EXPANSION,
                stride=2 if level and not place else 1,
            )
            for level, depth in enumerate(DEPTHS)
            for place in range(depth)
        ]
        self.body = nn.Sequential(*stem, nn.MaxPool1d(3, 2, padding=1), *blocks)
        pooled = 2 * WIDTH * EXPANSION
        self.head = nn.Sequential(
            nn.BatchNorm1d(pooled),
            nn.Dropout(0.25),
            nn.Linear(pooled, 128),
            nn.ReLU(),
            nn.BatchNorm1d(128),
            nn.Dropout(0.5),
            nn.Linear(128, classes),
        )
        self.apply(_start)

    def forward(self, x: Tensor) -> Tensor:
        """Return (row, class)."""
        features = self.body(x)
        logits: Tensor = self.head(torch.cat([features.amax(2), features.mean(2)], dim=1))
        return logits


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm1d(outputs),
    )


def _start(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv1d | nn.Linear):
        nn.init.kaiming_normal_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def train(
    signals: Floats, labels: Floats, seed: int, training: Training, tell: Callable[[int], None]
) -> XResNet101:
    """Return the net that signals (record, lead, sample) and labels (record, class) teach.

    `tell` is called after each epoch with its number, from 1.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = XResNet101(labels.shape[1])
    rows = min(training.rows, len(signals))
    steps = len(signals) // rows
    optimiser = torch.optim.AdamW(
        net.parameters(), training.learning_rate, weight_decay=training.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, training.learning_rate, epochs=training.epochs, steps_per_epoch=steps
    )
    net.train()
    for epoch in range(training.epochs):
        order = rng.permutation(len(signals))
        for chosen in order[: steps * rows].reshape(steps, rows):
            starts = rng.integers(0, signals.shape[2] - WINDOW + 1, size=(rows, 1))
            clock = (starts + np.arange(WINDOW))[:, None]
            windows = np.take_along_axis(signals[chosen], clock, axis=2)
            loss = functional.binary_cross_entropy_with_logits(
                net(torch.from_numpy(windows)), torch.from_numpy(labels[chosen])
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        tell(epoch + 1)
    return net.eval()


@torch.inference_mode()
def answer(net: XResNet101, signals: Floats) -> NDArray[np.float64]:
    """Return each record's highest logits over its windows, (record, class)."""
    starts = range(0, signals.shape[2] - WINDOW + 1, WINDOW // 2)
    answers = [
        torch.stack([net(batch[..., start : start + WINDOW]) for start in starts]).amax(0)
        for batch in torch.from_numpy(signals).split(64)
    ]
    return np.asarray(torch.cat(answers).double().numpy())
