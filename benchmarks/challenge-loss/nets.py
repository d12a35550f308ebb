"""The nets of this benchmark: each is recipes/challenge-loss.toml with a few changes.

"Handed down" nets start from a 12-lead net of half the steps and have half the steps themselves, so
that every net has had the same number of updates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fascicle.record import LEAD_SETS

SETS = ("12", "6", "4", "3", "2")
WITHOUT_EPOCHS = ("training.snapshots=0",)
ALL_FOLDS = "groups.0.folds=[1, 2, 3, 4, 5, 6, 7, 8]"
FRESH = 'training.fresh=["backbone.stem.*", "backbone.input.*"]'
HALF = "half-12"
SLOW = ("efficientnet-2",)
"""Trained when all others are, so that a run that is broken off has most of the rows."""


@dataclass(frozen=True, slots=True)
class Net:
    """Changes of the recipe, and how the trained net is made to decide.

    Parameters
    ----------
    ways
        "class" and "global": its last weights, one threshold per class or for all; "first": the
        same, but its head for BCE decides; "mean" and "majority": its epochs.
    share
        Of the steps that it has.
    start
        The net whose weights it starts from.
    tested
        Lead sets that it is tested on.
    """

    changes: tuple[str, ...]
    ways: tuple[str, ...] = ("class",)
    share: float = 1.0
    start: str | None = None
    tested: tuple[str, ...] = ("2",)


@dataclass(frozen=True, slots=True)
class Size:
    """Changes that all nets of a size share; `steps` is the full number of updates."""

    steps: int
    changes: tuple[str, ...]
    seeds: int = 3
    efficientnet: str = 'backbone={name="efficientnet1d"}'


def _leads(lead_set: str) -> str:
    return f"leads={json.dumps(list(LEAD_SETS[lead_set]))}"


def _every() -> dict[str, Net]:
    bce = ('tasks.diagnosis.head="pooled"', 'tasks.diagnosis.loss="bce"')
    all_folds = (ALL_FOLDS, "groups.0.validate_folds=[]", "decision.threshold=0.1")
    nets = {HALF: Net((_leads("12"), *WITHOUT_EPOCHS), ways=(), share=0.5)}
    for s in SETS[::-1]:
        ways = ("class", "global", "mean", "majority", "first")
        nets[f"plain-{s}"] = Net((_leads(s),), ways, tested=(s,))
        mixed = (_leads(s), "training.mixup=0.15", *WITHOUT_EPOCHS)
        nets[f"mixup15-{s}"] = Net(mixed, tested=(s,))
        if s != "12":
            fresh = (_leads(s), FRESH, *WITHOUT_EPOCHS)
            nets[f"handed-{s}"] = Net(fresh, share=0.5, start=HALF, tested=(s,))
    masks = (_leads("12"), "augmentation.lead_set=0.75", *WITHOUT_EPOCHS)
    return {
        **nets,
        "masked": Net(masks, tested=SETS),
        "bce-2": Net((*bce, *WITHOUT_EPOCHS)),
        "no-prior-2": Net(("tasks.diagnosis.prior=false", *WITHOUT_EPOCHS), ("class", "global")),
        "mixup30-2": Net(("training.mixup=0.3", *WITHOUT_EPOCHS), ("class", "global")),
        "weighted-2": Net(("tasks.diagnosis.reweigh=true", *WITHOUT_EPOCHS)),
        "all-data-2": Net(all_folds, ("majority",)),
        "efficientnet-2": Net(WITHOUT_EPOCHS),
    }


NETS: Mapping[str, Net] = MappingProxyType(_every())
SMALL = (
    "preprocessing.rate_hz=100.0",
    "backbone.width=8",
    "training.learning_rate=2e-3",
    "training.snapshots=5",
)
SMALL_EFFICIENTNET = 'backbone={name="efficientnet1d", width=0.125, depth=0.5}'
SIZES: Mapping[str, Size] = MappingProxyType(
    {
        "paper": Size(1920, ()),
        "small": Size(800, SMALL, efficientnet=SMALL_EFFICIENTNET),
        "long": Size(2400, SMALL, efficientnet=SMALL_EFFICIENTNET),
        "quick": Size(
            4,
            (
                "preprocessing.rate_hz=50.0",
                "backbone.width=4",
                "training.warmup_steps=1",
                "training.snapshots=3",
                "groups.0.rows=8",
                "tasks.diagnosis.min_positives=1",
            ),
            seeds=2,
            efficientnet='backbone={name="efficientnet1d", width=0.1, depth=0.1}',
        ),
    }
)


def changes(name: str, size: Size, seed: int) -> list[str]:
    """Return the changes of the recipe that make this net, as `fascicle train --set` takes them."""
    net = NETS[name]
    steps = round(size.steps * net.share)
    watched = max(steps // 5, 1) if "tasks.diagnosis.reweigh=true" in net.changes else steps
    every = [f"seed={seed}", f"training.steps={steps}", f"training.validate_steps={watched}"]
    every += size.changes
    if name.startswith("efficientnet"):
        every.append(size.efficientnet)
    return every + [change for change in net.changes if change not in every]
