"""Nets that see windows of one length: a record becomes windows, their answers one answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fascicle.models.network import Network
from fascicle.passing import WINDOWS_AT_ONCE, Array, Prepared
from fascicle.record import LEADS
from fascicle.tasks import Task


@torch.inference_mode()
def window_logits(
    network: Network, tasks: Mapping[str, Task], records: Sequence[Prepared], window: int
) -> list[dict[str, Array]]:
    """Return each record's logits of a net that sees windows of one length, averaged over them."""
    starts = [_window_starts(prepared.signal.shape[1], window) for prepared in records]
    jobs = [
        (prepared, start)
        for prepared, mine in zip(records, starts, strict=True)
        for start in mine.tolist()
    ]
    parts: dict[str, list[Array]] = {name: [] for name in tasks}
    for first in range(0, len(jobs), WINDOWS_AT_ONCE):
        some = _windows(jobs[first : first + WINDOWS_AT_ONCE], window)
        made = network(*some)
        for name, pieces in parts.items():
            pieces.append(made[name].numpy())
    every = {name: np.concatenate(pieces) for name, pieces in parts.items()}
    found, first = [], 0
    for prepared, mine in zip(records, starts, strict=True):
        samples, last = prepared.signal.shape[1], first + len(mine)
        found.append(
            {
                name: array[first:last].mean(axis=0)
                if tasks[name].resolution == "record"
                else _laid_out(_per_sample(array[first:last], window), mine, samples)
                for name, array in every.items()
            }
        )
        first = last
    return found


def _window_starts(samples: int, window: int) -> NDArray[np.int_]:
    """Return the first samples of as few windows as cover a record, spread evenly."""
    count = -(-samples // window)
    return np.linspace(0, max(samples - window, 0), count).round().astype(int)


def _windows(jobs: Sequence[tuple[Prepared, int]], window: int) -> tuple[Tensor, ...]:
    """Return signal, present, valid and covariates of these windows, padded with zeros."""
    signal = np.zeros((len(jobs), len(LEADS), window), dtype=np.float32)
    for row, (prepared, start) in zip(signal, jobs, strict=True):
        piece = prepared.signal[:, start : start + window]
        row[:, : piece.shape[1]] = piece
    return (
        torch.from_numpy(signal),
        torch.from_numpy(np.stack([prepared.present for prepared, _ in jobs])),
        torch.tensor([min(prepared.signal.shape[1], window) for prepared, _ in jobs]),
        torch.from_numpy(np.stack([prepared.covariates for prepared, _ in jobs])),
    )


def _per_sample(windows: Array, samples: int) -> Array:
    """Return windows (window, ..., frame) as (window, ..., sample)."""
    step = -(-samples // windows.shape[-1])
    return windows if step == 1 else np.repeat(windows, step, axis=-1)[..., :samples]


def _laid_out(windows: Array, starts: NDArray[np.int_], samples: int) -> Array:
    """Return windows (window, ..., sample) as one (..., sample), the mean where they overlap."""
    size = windows.shape[-1]
    total = np.zeros((*windows.shape[1:-1], max(samples, size)), dtype=np.float32)
    times = np.zeros(total.shape[-1], dtype=np.float32)
    for start, window in zip(starts, windows, strict=True):
        total[..., start : start + size] += window
        times[start : start + size] += 1
    total /= times
    return total[..., :samples]
