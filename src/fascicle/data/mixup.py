"""Mixup at a fixed weight: two records become one, their labels likewise.

Zhang et al. 2018, with the constant weights of Ren et al. 2021 in place of drawn ones.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from fascicle.data.batch import Batch
from fascicle.errors import BadRequest


def mix(batch: Batch, alpha: float, rng: np.random.Generator, tasks: Collection[str]) -> Batch:
    """Return the batch with alpha x row + (1 - alpha) x partner in each row that can be mixed.

    A row can be mixed when all its tasks answer once per record: marks of waves and beats cannot.
    Its partner is another row of the same tasks. What is in the mixture is what both rows have: the
    leads and samples that both hold, the labels and covariates that both know. A lead of one row
    alone would be shown too small, beside labels of two. Rows without a common lead stay as they
    are. Targets are mixed as they stand: they must be shares or one-hot, not indices.

    Parameters
    ----------
    batch
        Rows of any tasks; it is not changed.
    alpha
        Share of the row itself (0.15 or 0.3 in the paper).
    rng
        Draws the partners; the same state draws the same.
    tasks
        Names of the tasks that answer once per record.

    Raises
    ------
    BadRequest
        If alpha is not between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise BadRequest(f"alpha must be between 0 and 1, not {alpha}")
    partner = _partners(batch, rng, tasks)
    mixed = partner != torch.arange(len(partner))
    if not mixed.any():
        return batch
    share = torch.where(mixed, alpha, 1.0)
    present = batch.present & batch.present[partner]
    valid = torch.minimum(batch.valid, batch.valid[partner])
    inside = torch.arange(batch.signal.shape[-1]) < valid[:, None]
    signal = _blend(batch.signal, partner, share)
    targets, weights = dict(batch.targets), dict(batch.weights)
    for task in batch.targets.keys() & set(tasks):
        rows = batch.rows[task]
        place = torch.cumsum(rows, 0) - 1
        theirs = place[partner[rows]]
        known = batch.weights[task]
        targets[task] = _blend(batch.targets[task], theirs, share[rows])
        weights[task] = torch.where(_like(mixed[rows], known), known * known[theirs], known)
    return replace(
        batch,
        names=tuple(
            name if other == row else f"{name}+{batch.names[other]}"
            for row, (name, other) in enumerate(zip(batch.names, partner.tolist(), strict=True))
        ),
        signal=signal * (present[:, :, None] & inside[:, None]),
        present=present,
        valid=valid,
        covariates=_blend_covariates(batch.covariates, partner, share),
        targets=targets,
        weights=weights,
    )


def _partners(batch: Batch, rng: np.random.Generator, tasks: Collection[str]) -> Tensor:
    """Return the row that each row is mixed with; itself where it is not mixed."""
    partner = np.arange(len(batch.names))
    names = sorted(batch.rows)
    sets = torch.stack([batch.rows[name] for name in names], dim=1).numpy()
    can = sets.any(1) & ~sets[:, [name not in tasks for name in names]].any(1)
    for kind in np.unique(sets[can], axis=0):
        order = rng.permutation(np.flatnonzero(can & (sets == kind).all(1)))
        partner[order] = np.roll(order, 1)  # a round: no row is its own partner but a lonely one
    apart = ~(batch.present & batch.present[partner]).any(1).numpy()
    partner[apart] = np.flatnonzero(apart)
    return torch.from_numpy(partner)


def _blend(values: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    """Return share x row + (1 - share) x partner."""
    return torch.lerp(values[partner], values, _like(share, values))


def _blend_covariates(covariates: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    """Return the mixed covariates: pairs of (value, known), known where both rows know it."""
    known = covariates[:, 1::2] * covariates[partner, 1::2]
    values = _blend(covariates[:, 0::2], partner, share) * known
    return torch.stack([values, known], dim=2).flatten(1)


def _like(row: Tensor, values: Tensor) -> Tensor:
    """Return (row,) with as many axes as `values`."""
    return row.reshape(-1, *([1] * (values.ndim - 1)))
