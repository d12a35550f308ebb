"""What is shown: the rows of the paper's tables, with its scores, and the differences asked for.

The paper's scores are of the hidden validation set, after training on all 88 000 records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nets import NETS, SETS

FEWER = SETS[1:]


class Shown(NamedTuple):
    """A net, how it decides, and the lead set that it is tested on."""

    net: str
    way: str
    lead_set: str


class Difference(NamedTuple):
    """What is asked, the pairs whose mean difference answers it, and the paper's difference."""

    what: str
    pairs: tuple[tuple[Shown, Shown], ...]
    paper: float | None


def shown(kind: str, way: str, lead_set: str) -> Shown:
    """Return the net of a kind for a lead set; all leads have nothing handed down but are plain."""
    if kind == "handed" and lead_set == "12":
        kind = "plain"
    name = f"{kind}-{lead_set}"
    return Shown(name if name in NETS else kind, way, lead_set)


def _asked(
    what: str,
    mine: tuple[str, str],
    theirs: tuple[str, str],
    sets: Sequence[str] = ("2",),
    paper: float | None = None,
) -> Difference:
    return Difference(what, tuple((shown(*mine, s), shown(*theirs, s)) for s in sets), paper)


TABLE_1 = (
    ("1", "one threshold for all classes", shown("plain", "global", "2"), 0.612),
    ("2", "a threshold per class", shown("plain", "class", "2"), 0.621),
    ("3", "mixup 0.3, one threshold", shown("mixup30", "global", "2"), 0.598),
    ("4", "weak classes weighted", shown("weighted", "class", "2"), 0.602),
    ("5", "EfficientNet", shown("efficientnet", "class", "2"), 0.578),
    ("6", "mixup 0.15", shown("mixup15", "class", "2"), 0.623),
    ("7", "weights of 12 leads", shown("handed", "class", "2"), 0.560),
    ("8", "all data, 0.1, majority of epochs", shown("all-data", "majority", "2"), 0.162),
    ("9", "mean of epochs", shown("plain", "mean", "2"), 0.625),
    ("-", "2, but the head for BCE decides", shown("plain", "first", "2"), None),
    ("-", "2, but trained by BCE alone", shown("bce", "class", "2"), None),
    ("-", "2, but heads begin at one half", shown("no-prior", "class", "2"), None),
)
"""Submission, what it is, the net, and the paper's score."""
TABLE_2 = (
    ("1: weights of 12 leads", ("handed", "class"), (0.631, 0.603, 0.597, 0.574, 0.560)),
    ("2: mixup 0.15", ("mixup15", "class"), (0.620, 0.615, 0.615, 0.623, 0.620)),
    ("3: mean of epochs", ("plain", "mean"), (0.637, 0.622, 0.623, 0.621, 0.625)),
    ("five nets, last weights", ("plain", "class"), ()),
    ("five nets, the head for BCE decides", ("plain", "first"), ()),
    ("one masked net, thresholds per set", ("masked", "class"), ()),
    ("one masked net, one set of thresholds", ("masked", "bundle"), ()),
)
"""Version, its nets and how they decide, and the paper's scores on the five lead sets."""
LAST, EPOCHS = ("plain", "class"), ("plain", "mean")
DIFFERENCES = (
    _asked("a threshold per class - one for all", LAST, ("plain", "global"), paper=0.009),
    _asked("the same, five lead sets", LAST, ("plain", "global"), SETS),
    _asked("challenge loss - BCE alone", LAST, ("bce", "class")),
    _asked("its head decides - the head for BCE", LAST, ("plain", "first")),
    _asked("the same, five lead sets", LAST, ("plain", "first"), SETS),
    _asked("heads begin at class shares - at one half", LAST, ("no-prior", "class")),
    _asked("mixup 0.15 - none", ("mixup15", "class"), LAST, paper=0.002),
    _asked("the same, five lead sets", ("mixup15", "class"), LAST, SETS),
    _asked("mixup 0.3 - none", ("mixup30", "global"), ("plain", "global"), paper=-0.014),
    _asked("weak classes weighted - not", ("weighted", "class"), LAST, paper=-0.019),
    _asked("mean of epochs - last weights", EPOCHS, LAST, paper=0.004),
    _asked("the same, five lead sets", EPOCHS, LAST, SETS),
    _asked("majority of epochs - last weights, five lead sets", ("plain", "majority"), LAST, SETS),
    _asked("weights of 12 leads - none", ("handed", "class"), LAST, paper=-0.061),
    _asked("the same, four lead sets", ("handed", "class"), LAST, FEWER),
    _asked("EfficientNet - ResNet-18", ("efficientnet", "class"), LAST, paper=-0.043),
    _asked("one masked net, thresholds per set - five nets", ("masked", "class"), LAST, SETS),
    _asked("one masked net, one set of thresholds - five nets", ("masked", "bundle"), LAST, SETS),
)
