"""torch_ecg on request, in its own environment: see `timing.answer`. Arguments: device, samples.

"resnet" is the net of its `CINC2021TrainCfg`; "crnn" has the parts of the run whose log stands in
its repository (benchmarks/train_crnn_cinc2021/results, 2021-11-24). A training step is forward,
binary cross-entropy, backward, Adam; the signals lie ready in memory.
"""

from __future__ import annotations

import platform
import sys
import warnings
from copy import deepcopy
from functools import cache
from importlib.metadata import version
from typing import Any

warnings.simplefilter("ignore")

import timing  # noqa: E402
import torch  # noqa: E402
from torch_ecg.databases.datasets.cinc2021 import CINC2021TrainCfg  # noqa: E402
from torch_ecg.model_configs import ECG_CRNN_CONFIG  # noqa: E402
from torch_ecg.models import ECG_CRNN  # noqa: E402

DEVICE = timing.start(sys.argv[1])
SAMPLES = int(sys.argv[2])
TRAINING = CINC2021TrainCfg
PARTS = {
    "resnet": (TRAINING.cnn_name, TRAINING.rnn_name, TRAINING.attn_name),
    "crnn": ("multi_scopic_leadwise", "lstm", "se"),
}
"""Net -> its convolutional, recurrent and attention part."""


@cache
def net(name: str) -> torch.nn.Module:
    config = deepcopy(ECG_CRNN_CONFIG)
    config.cnn.name, config.rnn.name, config.attn.name = PARTS[name]
    torch.manual_seed(1)
    made: torch.nn.Module = ECG_CRNN(classes=TRAINING.classes, n_leads=12, config=config)
    return made.to(DEVICE)


@cache
def optimiser(name: str) -> torch.optim.Optimizer:
    return torch.optim.Adam(net(name).parameters(), lr=1e-3)


@cache
def data(batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(batch)
    signal = torch.randn(batch, 12, SAMPLES, generator=generator)
    target = torch.rand(batch, len(TRAINING.classes), generator=generator) < 0.1
    return signal.to(DEVICE), target.float().to(DEVICE)


def step(name: str, precision: str, batch: int) -> None:
    signal, target = data(batch)
    optimiser(name).zero_grad(set_to_none=True)
    with timing.autocast(DEVICE, precision):
        logits = net(name)(signal)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), target)
    loss.backward()
    optimiser(name).step()


def train(name: str, precision: str, batch: int, steps: int) -> dict[str, list[float]]:
    """Return the seconds of each step, after one that is not counted."""
    net(name).train()
    step(name, precision, batch)
    stamps = [timing.clock(DEVICE)]
    for _ in range(steps):
        step(name, precision, batch)
        stamps.append(timing.clock(DEVICE))
    return timing.between(stamps)


def infer(name: str, precision: str, batch: int, runs: int) -> dict[str, list[float]]:
    signal, _ = data(batch)
    model = net(name).eval()
    return timing.infer(lambda: model(signal), DEVICE, precision, runs)


def count(name: str, batch: int) -> dict[str, Any]:
    net(name).train()
    return {
        "parts": list(PARTS[name]),
        "parameters": sum(weight.numel() for weight in net(name).parameters()),
        "operations": timing.operations(lambda: step(name, "fp32", batch)) / batch,
    }


if __name__ == "__main__":
    packages = {package: version(package) for package in ("torch_ecg", "torch", "numpy")}
    timing.answer(
        {"versions": {"python": platform.python_version(), **packages}},
        {"train": train, "infer": infer, "count": count},
    )
