"""What a new class can be expected to do, from what held-out patients got; and how sure that is."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from fascicle.metrics.bootstrap import ranking_intervals, sums_interval
from fascicle.metrics.classification import auprc, auroc
from fascicle.metrics.counts import f1_score
from fascicle.train.new_class import Bools, Floats, HeldOut

FEW = 20
"""With fewer positive records than this, the doubt is said in words too."""


def expect(
    labels: Bools,
    held_out: HeldOut,
    patients: Sequence[Hashable],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, float]:
    """Return f1, precision, recall, auroc, auprc, and f1, auroc, auprc with ".low" and ".high".

    Each is the mean over the repeats of the cross-validation; limits are those of the 95 % interval
    over patients. That of F1 is widened to the posterior of its counts (Goutte & Gaussier 2005,
    Jeffreys' prior): resampled patients that were all found, or all missed, would have no doubt.
    They hold for records like these, and for this share of positives.
    """
    repeats = held_out.logits.shape[1]
    truth = np.repeat(labels[:, np.newaxis], repeats, axis=1)
    counts = np.stack(
        [
            truth & held_out.decisions,
            ~truth & held_out.decisions,
            truth & ~held_out.decisions,
        ],
        axis=-1,
    ).astype(np.float64)
    sums = counts.sum(axis=0)
    found = {
        "f1": float(_mean_f1(sums[np.newaxis])[0]),
        "precision": float(np.mean(sums[:, 0] / np.maximum(sums[:, 0] + sums[:, 1], 1))),
        "recall": float(np.mean(sums[:, 0] / (sums[:, 0] + sums[:, 2]))),
        "auroc": float(auroc(truth, held_out.logits).mean()),
        "auprc": float(auprc(truth, held_out.logits).mean()),
    }
    if resamples:
        rng = np.random.default_rng(seed)
        low, high = sums_interval(_mean_f1, counts, patients, resamples=resamples, rng=rng)
        least, most = _posterior(*sums.mean(axis=0))
        found |= {"f1.low": min(float(low), least), "f1.high": max(float(high), most)}
        for measure in ("auroc", "auprc"):
            limits = ranking_intervals(
                measure, truth, held_out.logits, patients, resamples=resamples, rng=rng
            )
            found |= {f"{measure}.low": limits.macro_low, f"{measure}.high": limits.macro_high}
    return found


def _mean_f1(sums: NDArray[np.float64]) -> Floats:
    """Return the mean over repeats, (draw, repeat, 3) -> (draw,); NaN without a positive."""
    tp, fp, fn = np.moveaxis(sums, -1, 0)
    found: Floats = np.where(tp + fn > 0, f1_score(tp, fp, fn), np.nan).mean(axis=1)
    return found


def _posterior(tp: float, fp: float, fn: float) -> tuple[float, float]:
    """Return the 95 % limits of F1 = 2 X / (2 X + Y), X and Y gamma variates of the counts."""
    share = np.asarray(beta.ppf(np.array([0.025, 0.975]), tp + 0.5, fp + fn + 1))
    limits = 2 * share / (1 + share)
    return float(limits[0]), float(limits[1])


def doubts(
    expected: dict[str, float], positives: int, positive_patients: int, *, seen: bool | None
) -> list[str]:
    """Return what a reader of these figures must know: few positives, records the net has seen."""
    found = []
    if positives < FEW:
        found.append(
            f"only {positives} positive records of {positive_patients} patients: F1 may be "
            f"anything from {expected['f1.low']:.2f} to {expected['f1.high']:.2f}, or worse: in "
            "our trials with 5 and 10, other records kept to such limits in 7 of 10 cases only"
        )
    if seen:
        found.append(
            "the net was trained on some of these records: on new ones expect less than this, much "
            "less where the class is near to one that it was taught"
        )
    elif seen is None:
        found.append(
            "it is not known whether the net was trained on these records: if it was, expect less"
        )
    return found
