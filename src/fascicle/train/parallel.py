"""Several processes that share every batch, started by torchrun; one process needs nothing.

Each process makes and computes its rows of the batch; sums over processes are then the sums that
one process would have had. What is written is written by the first process (rank 0) alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

from fascicle.errors import BadData, BadRequest

PATIENCE = timedelta(days=1)
"""How long processes wait for the first one, which packs data sets and scores the net."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which process this is, of how many, and the device that it computes on."""

    rank: int = 0
    processes: int = 1
    device: torch.device = torch.device("cpu")  # noqa: RUF009 (immutable)


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of this process; "auto" is a GPU where there is one.

    Raises
    ------
    BadRequest
        If torch knows no such device or cannot use it here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BadRequest(f"no device {name!r}; known: auto, cpu, cuda, cuda:0 ...") from None
    if device.type == "cpu":
        return torch.device("cpu")
    if device.type != "cuda" or not torch.cuda.is_available():
        raise BadRequest(f"device {name!r} cannot be used here; --device cpu always can")
    index = int(os.environ.get("LOCAL_RANK", "0")) if device.index is None else device.index
    if index >= torch.cuda.device_count():
        raise BadRequest(f"no GPU {index}: torch sees {torch.cuda.device_count()}")
    return torch.device("cuda", index)


def has_bf16(device: torch.device) -> bool:
    """Return whether convolutions in bf16 are no slower than in fp32 on this device.

    Without AVX-512 (or its like) a processor has no kernels for them: thirty times as slow.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    there = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return bool(there and torch.ops.mkldnn._is_mkldnn_bf16_supported())


@contextmanager
def joined(device: torch.device) -> Iterator[Place]:
    """Join the group that torchrun describes, if any, and leave it at the end."""
    if "WORLD_SIZE" not in os.environ:
        yield Place(device=device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Place(distributed.get_rank(), distributed.get_world_size(), device)
    finally:
        distributed.destroy_process_group()


@contextmanager
def first_alone(place: Place) -> Iterator[None]:
    """Let the first process do this before the others begin it; where it fails, they stop too."""
    if place.rank and add_up(torch.zeros(1, device=place.device)).item():
        raise BadData("stopped, because the first process did; it says why")
    failed = 1.0
    try:
        yield
        failed = 0.0
    finally:
        if not place.rank:
            add_up(torch.tensor([failed], device=place.device))


def add_up(values: Tensor) -> Tensor:
    """Return the sum over the processes."""
    if distributed.is_initialized():
        distributed.all_reduce(values)
    return values


def gathered(mine: Tensor) -> Tensor:
    """Return the rows of all processes in their order; gradient flows to this one's own alone.

    All processes must call it. What each makes of all rows has its slope for its own rows, so that
    the sum of their gradients is the gradient of the whole.
    """
    if not distributed.is_initialized():
        return mine
    rank = distributed.get_rank()
    counts = torch.zeros(distributed.get_world_size(), dtype=torch.int64, device=mine.device)
    counts[rank] = len(mine)
    before = int(add_up(counts)[:rank].sum())
    whole = mine.new_zeros(int(counts.sum()), *mine.shape[1:])
    own = slice(before, before + len(mine))
    whole[own] = mine.detach()
    add_up(whole)
    return torch.cat([whole[: own.start], mine, whole[own.stop :]])


def add_up_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its sum over the processes.

    One that no process has stays absent, as it would in one process.
    """
    if not distributed.is_initialized():
        return
    listed = [parameter for parameter in parameters if parameter.requires_grad]
    there = torch.tensor([float(p.grad is not None) for p in listed], device=listed[0].device)
    grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in listed]
    flat = add_up(torch.cat([there, *(grad.flatten() for grad in grads)]))
    there, *parts = torch.split(flat, [len(listed), *(p.numel() for p in listed)])
    for parameter, part, found in zip(listed, parts, there.tolist(), strict=True):
        parameter.grad = part.view_as(parameter) if found else None
