"""Losses: (logits, target, weight) -> scalar, the sum of weight x loss over all elements.

Weights come normalised (`normalise`), so that the sum is a mean over what is labelled, and so
that processes that share a batch add up to what one process would have had.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def cross_entropy(
    logits: Float[Tensor, "batch lead class sample"],
    target: Float[Tensor, "batch lead sample"],
    weight: Float[Tensor, "batch lead sample"],
) -> Float[Tensor, ""]:
    """Return the weighted softmax cross-entropy of class indices."""
    batch, leads, classes, samples = logits.shape
    flat = logits.reshape(batch * leads, classes, samples)
    loss = functional.cross_entropy(
        flat, target.reshape(batch * leads, samples).long(), reduction="none"
    )
    return (loss * weight.reshape(batch * leads, samples)).sum()


def binary_cross_entropy(
    logits: Float[Tensor, "batch class"],
    target: Float[Tensor, "batch class"],
    weight: Float[Tensor, "batch class"],
) -> Float[Tensor, ""]:
    """Return the weighted sigmoid cross-entropy."""
    loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (loss * weight).sum()


def beat_loss(
    logits: Float[Tensor, "batch channel sample"],
    target: Float[Tensor, "batch 2 sample"],
    weight: Float[Tensor, "batch 2 sample"],
) -> Float[Tensor, ""]:
    """Return cross-entropy of "a beat is here" plus that of its kind near the R peak."""
    here = functional.binary_cross_entropy_with_logits(logits[:, 0], target[:, 0], reduction="none")
    kind = functional.cross_entropy(logits[:, 1:], target[:, 1].long(), reduction="none")
    return (here * weight[:, 0]).sum() + (kind * weight[:, 1]).sum()


def totals(weight: Float[Tensor, "batch part *rest"]) -> Float[Tensor, " part"]:
    """Return the sum of the weights of each part (lead, class, ...)."""
    return weight.transpose(0, 1).flatten(1).sum(1)


def normalise(
    weight: Float[Tensor, "batch part *rest"], total: Float[Tensor, " part"]
) -> Float[Tensor, "batch part *rest"]:
    """Return weights that sum to 1 / parts in each part that has labels, given their totals."""
    shape = (1, -1, *([1] * (weight.ndim - 2)))
    labelled = (total > 0).sum().clamp(min=1)
    scale = torch.where(total > 0, 1 / total.clamp(min=1e-9), torch.zeros_like(total)) / labelled
    return weight * scale.reshape(shape)
