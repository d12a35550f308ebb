"""Losses: (logits, target, weight) -> scalar, the sum of weight x loss over all elements.

Weights come normalised (`normalise`), so that the sum is a mean over what is labelled, and so
that processes that share a batch add up to what one process would have had. An element of weight
0 is unknown and changes nothing. Constants of a loss are keywords, for `functools.partial`. Targets
of whole records may be mixed: any share from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

NO_P, SOME_P = 4, 5
"""Targets of samples whose rhythm alone is known: no P wave, and P waves somewhere."""


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


def wave_loss(
    logits: Float[Tensor, "batch lead class sample"],
    target: Float[Tensor, "batch lead sample"],
    weight: Float[Tensor, "batch lead sample"],
    *,
    share: float = 0.05,
) -> Float[Tensor, ""]:
    """Return the cross-entropy of marked waves, and what a rhythm alone tells of P waves.

    Targets 0 to 3 are classes. 4 says that no P is here: -log(1 - p_P). 5 says that there are P
    waves somewhere among the samples of a lead with 5: -log p_P of the `share` of them that are
    most likely P (multiple-instance learning); a P of 0.1 s every second is a tenth of the time.
    """
    marked = target < NO_P
    loss = cross_entropy(logits, torch.where(marked, target, 0), weight * marked)
    weak = (weight * ~marked).sum((1, 2)) > 0
    if not bool(weak.any()):
        return loss
    log_p = logits[weak].log_softmax(2)[:, :, 1]
    target, weight = target[weak], weight[weak]
    none = torch.log1p(-log_p.exp().clamp(max=1 - 1e-6))
    loss = loss - (none * weight * (target == NO_P)).sum()
    some = weight * (target == SOME_P)
    samples = max(round(share * target.shape[-1]), 1)
    best = log_p.masked_fill(some == 0, -torch.inf).topk(samples, dim=-1).values
    here = best.isfinite()
    mean = best.masked_fill(~here, 0).sum(-1) / here.sum(-1).clamp(min=1)
    return loss - (mean * some.sum(-1)).sum()


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


def frame_cross_entropy(
    logits: Float[Tensor, "batch class frame"],
    target: Float[Tensor, "batch 1 sample"],
    weight: Float[Tensor, "batch 1 sample"],
    *,
    classes: Sequence[float] | None = None,
) -> Float[Tensor, ""]:
    """Return the weighted softmax cross-entropy of frames, each of which answers for its samples.

    Frames share the samples evenly; `classes` says how much each class counts, 1 where None.
    """
    step = -(-target.shape[-1] // logits.shape[-1])
    spread = logits.repeat_interleave(step, dim=-1)[..., : target.shape[-1]]
    counts = None if classes is None else torch.tensor(classes, device=logits.device)
    loss = functional.cross_entropy(spread, target[:, 0].long(), counts, reduction="none")
    return (loss * weight[:, 0]).sum()


def focal_loss(
    logits: Float[Tensor, "batch class"],
    target: Float[Tensor, "batch class"],
    weight: Float[Tensor, "batch class"],
    *,
    gamma: float = 2.0,
) -> Float[Tensor, ""]:
    """Return the weighted focal loss, -(1 - p_t)^gamma log p_t (Lin et al. 2017, eq. 4).

    p_t is the probability of the right answer; gamma = 0 is the cross-entropy, 2 is usual.
    """
    return asymmetric_loss(logits, target, weight, gamma_negative=gamma, gamma_positive=gamma)


def asymmetric_loss(
    logits: Float[Tensor, "batch class"],
    target: Float[Tensor, "batch class"],
    weight: Float[Tensor, "batch class"],
    *,
    gamma_negative: float = 2.0,
    gamma_positive: float = 1.0,
    shift: float = 0.0,
) -> Float[Tensor, ""]:
    """Return the weighted asymmetric loss (Ridnik et al. 2021, eq. 7).

    With y = 1 it is -(1 - p)^gamma_positive log p, with y = 0 -q^gamma_negative log(1 - q), where
    q = max(p - shift, 0), so that negatives below the shift count nothing.

    Raises
    ------
    ValueError
        For a negative gamma, or a shift that is not in [0, 1).
    """
    if min(gamma_negative, gamma_positive) < 0 or not 0 <= shift < 1:
        raise ValueError(
            f"expected gammas of at least 0 and a shift in [0, 1), not {gamma_negative}, "
            f"{gamma_positive} and {shift}"
        )
    right, wrong = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    positive = -torch.exp(gamma_positive * wrong) * right  # powers of exp(log) stay finite
    if shift:
        # not 0: a power below 1 has no gradient there
        shifted = (torch.sigmoid(logits) - shift).clamp(min=1e-12)
        right, wrong = shifted.log(), torch.log1p(-shifted)
    negative = -torch.exp(gamma_negative * right) * wrong
    return ((target * positive + (1 - target) * negative) * weight).sum()


def softmax_cross_entropy(
    logits: Float[Tensor, "batch class"],
    target: Float[Tensor, "batch class"],
    weight: Float[Tensor, "batch 1"],
) -> Float[Tensor, ""]:
    """Return the weighted softmax cross-entropy of one answer per row; targets are one-hot."""
    loss = functional.cross_entropy(logits, target, reduction="none")
    return (loss * weight[:, 0]).sum()


def squared_error(
    values: Float[Tensor, "batch value"],
    target: Float[Tensor, "batch value"],
    weight: Float[Tensor, "batch 1"],
) -> Float[Tensor, ""]:
    """Return the weighted square of the distance, summed over the values of a row."""
    return ((values - target).square() * weight).sum()


def challenge_score(
    probability: Float[Tensor, "batch class"],
    target: Float[Tensor, "batch class"],
    *,
    rewards: Float[Tensor, "class class"],
) -> Float[Tensor, " batch"]:
    """Return the Challenge score of each record, not yet scaled, for soft answers.

    norm = max(1, sum_j max(x_j, y_j)) and score = sum_ij y_i x_j w_ij / norm (Ren et al. 2021,
    eq. 1-3). On binary x the sum over the records is the official program's `observed`.

    Parameters
    ----------
    probability, target
        x and y; where a label is unknown both must be 0.
    rewards
        w, rows are labels (`fascicle.labels.challenge_weights`). A class whose rewards are all 0 is
        not scored, and stays out of the norm.
    """
    worth = rewards.to(target)
    scored = ((worth != 0).any(0) | (worth != 0).any(1)).to(target)
    norm = (torch.maximum(probability, target) @ scored).clamp(min=1)
    return ((target @ worth) * probability).sum(1) / norm


def challenge_loss(
    logits: Float[Tensor, "batch 2 class"],
    target: Float[Tensor, "batch class"],
    weight: Float[Tensor, "batch class"],
    *,
    rewards: Float[Tensor, "class class"],
    share: float = 0.1,
) -> Float[Tensor, ""]:
    """Return BCE of the first answer minus `share` x the mean score of the second (Ren et al.).

    The weights of a record sum to its part in the mean over records: 1 / records where all labels
    are known, and 0 for a record without labels, whatever number of processes shares the batch.
    """
    known = weight > 0
    probability = torch.sigmoid(logits[:, 1]) * known
    score = challenge_score(probability, target * known, rewards=rewards)
    entropy = binary_cross_entropy(logits[:, 0], target, weight)
    return entropy - share * (score * weight.sum(1)).sum()


def barlow_twins_loss(
    first: Float[Tensor, "row output"],
    second: Float[Tensor, "row output"],
    redundancy: float = 0.005,
) -> Float[Tensor, ""]:
    """Return how far two views of the same rows are from equal, and outputs from independent.

    C is the correlation over the rows of each output of the first view with each of the second; the
    loss is sum_i (1 - C_ii)^2 + redundancy x sum_(i != j) C_ij^2 (Zbontar et al. 2021, eq. 1-2).
    It does not part into rows: all rows of a batch must be there.
    """
    correlation = view_correlation(first, second)
    same = torch.diagonal(correlation)
    others = correlation.square().sum() - same.square().sum()
    return (1 - same).square().sum() + redundancy * others


def view_correlation(
    first: Float[Tensor, "row output"], second: Float[Tensor, "row output"]
) -> Float[Tensor, "output output"]:
    """Return the correlation of each output of one view with each of the other; 0 if constant."""

    def standard(view: Tensor) -> Tensor:
        centred = view - view.mean(0)
        return centred * (centred.square().mean(0) + 1e-5).rsqrt()

    return standard(first).T @ standard(second) / len(first)


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
