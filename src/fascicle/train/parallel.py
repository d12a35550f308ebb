"""Several processes that share every batch, started by torchrun; one process needs nothing.

Each process makes and computes its rows of the batch; sums over processes are then the sums that
one process would have had.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import Tensor, distributed, nn


def start() -> tuple[int, int]:
    """Return (rank, processes), joining the group that torchrun describes, if any."""
    if "WORLD_SIZE" not in os.environ:
        return 0, 1
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return distributed.get_rank(), distributed.get_world_size()


def stop() -> None:
    """Leave the group, if one was joined."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def wait() -> None:
    """Return when every process has come here."""
    if distributed.is_initialized():
        distributed.barrier()


def add_up(values: Tensor) -> Tensor:
    """Return the sum over the processes."""
    if distributed.is_initialized():
        distributed.all_reduce(values)
    return values


def add_up_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its sum over the processes; a missing one counts as zero."""
    if not distributed.is_initialized():
        return
    listed = [parameter for parameter in parameters if parameter.requires_grad]
    grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in listed]
    flat = torch.cat([grad.flatten() for grad in grads])
    distributed.all_reduce(flat)
    for parameter, part in zip(listed, flat.split([p.numel() for p in listed]), strict=True):
        parameter.grad = part.view_as(parameter)
