"""Checkpoints: one safetensors file, written whole or not at all; no pickle.

It holds the net, its running average and the optimiser's state as tensors, and the step in its
header. All other randomness is seeded by the step, so a resumed run equals an unbroken one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from fascicle.errors import BadData
from fascicle.files import write_whole

COUNT, GROUP = "count.", "group_step."
"""How the names of an optimiser's own counts begin: of all parameters, of a group of them."""


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors and a JSON header so that the file is there whole or not at all."""
    kept = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    write_whole(path, save(kept, metadata={"fascicle": json.dumps(header, allow_nan=False)}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the header. Raises BadData if the file is damaged or foreign."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, json.loads((file.metadata() or {})["fascicle"])
    except FileNotFoundError:
        raise BadData(f"{path}: no such file") from None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise BadData(f"{path}: not a fascicle checkpoint ({error})") from None


def training_state(
    network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """Return all tensors that a resumed training needs, by name."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    state = {f"net.{name}": tensor for name, tensor in network.state_dict().items()}
    state |= {f"average.{name}": tensor for name, tensor in average.state_dict().items()}
    for parameter, moments in optimiser.state.items():
        if isinstance(parameter, str):  # what MADGRAD counts for all parameters
            state[f"{COUNT}{parameter}"] = moments
            continue
        for kind, value in moments.items():
            state[f"optimiser.{kind}.{names[id(parameter)]}"] = torch.as_tensor(value)
    for place, group in enumerate(optimiser.param_groups):
        if "step" in group:  # what Ranger counts for each group
            state[f"{GROUP}{place}"] = torch.as_tensor(group["step"])
    return state


def restore(
    tensors: Mapping[str, Tensor],
    network: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
) -> None:
    """Put the state that `training_state` gave back into net, average and optimiser."""
    for module, prefix in ((network, "net."), (average, "average.")):
        module.load_state_dict(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
    for name, parameter in network.named_parameters():
        moments = {
            key.split(".", 2)[1]: _beside(value, parameter)
            for key, value in tensors.items()
            if key.startswith("optimiser.") and key.split(".", 2)[2] == name
        }
        if moments:
            optimiser.state[parameter] = moments
    for key, value in tensors.items():
        if key.startswith(COUNT):
            optimiser.state[key.removeprefix(COUNT)] = value.clone()  # type: ignore[index]
        elif key.startswith(GROUP):
            optimiser.param_groups[int(key.removeprefix(GROUP))]["step"] = int(value)


def _beside(moment: Tensor, parameter: Tensor) -> Tensor:
    """Return a moment on its parameter's device; a count of steps stays where it is."""
    return moment.clone() if moment.ndim == 0 else moment.to(parameter.device, copy=True)
