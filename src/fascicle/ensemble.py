"""Several bundles become one: an ensemble of the epochs of a training, or of different nets.

Its answer is the mean of the members' probabilities against the mean of their thresholds, or the
majority of their decisions (Ren, Xiong, Hooi, Computing in Cardiology 2021). Waves and beats are
found in the mean of the probabilities either way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np

from fascicle.bundle import Bundle, difference
from fascicle.decode.ensembles import Vote, mean_thresholds
from fascicle.errors import BadRequest


def make_ensemble(bundles: Sequence[Bundle], vote: Vote = "mean", name: str = "ensemble") -> Bundle:
    """Return one bundle that holds these, and answers for all of them.

    Parameters
    ----------
    bundles
        Two or more of single nets; heads, backbones and thresholds may differ.
    vote
        "mean" of probabilities and thresholds, or "majority" of decisions (more than half).

    Raises
    ------
    BadRequest
        If there are fewer than two, one is an ensemble itself, or they differ in rate,
        preprocessing, leads, tasks or classes.
    """
    if vote not in get_args(Vote):
        raise BadRequest(f"vote must be one of {', '.join(get_args(Vote))}, not {vote!r}")
    if len(bundles) < 2:
        raise BadRequest(f"an ensemble needs two bundles or more, not {len(bundles)}")
    for bundle in bundles:
        if bundle.members:
            raise BadRequest(f"{bundle.recipe.name} is an ensemble itself: give its members")
        differs = difference(bundles[0], bundle)
        if differs:
            names = f"{bundles[0].recipe.name} and {bundle.recipe.name}"
            raise BadRequest(f"{names} cannot answer together: they differ in {differs}")
    first = bundles[0]
    return Bundle(
        recipe=first.recipe.model_copy(update={"name": name, "version": "1"}),
        vocabularies=first.vocabularies,
        thresholds=_thresholds(bundles),
        temperatures={},
        weights={
            f"members.{place}.{key}": weight
            for place, bundle in enumerate(bundles)
            for key, weight in bundle.weights.items()
        },
        card=_card(bundles),
        licence=" AND ".join(dict.fromkeys(bundle.licence for bundle in bundles)),
        members=tuple(replace(bundle, weights={}) for bundle in bundles),
        vote=vote,
    )


def _thresholds(bundles: Sequence[Bundle]) -> dict[str, tuple[float, ...]]:
    found = {}
    for name, task in bundles[0].tasks().items():
        if task.resolution == "record":
            rows = np.array([bundle.thresholds_of(name) for bundle in bundles])
            found[name] = tuple(map(float, mean_thresholds(rows)))
    return found


def _card(bundles: Sequence[Bundle]) -> dict[str, Any]:
    """Return a card that tells the members, and on what any of them was trained."""

    def parts(key: str) -> list[Any]:
        every = [part for bundle in bundles for part in bundle.card.get(key, [])]
        return [part for place, part in enumerate(every) if part not in every[:place]]

    return {
        "trained_on": parts("trained_on"),
        "validated_on": parts("validated_on"),
        "scores": [],
        "members": [
            {
                "name": bundle.recipe.name,
                "version": bundle.recipe.version,
                "sha256": bundle.sha256,
                "weights_sha256": bundle.weights_sha256,
            }
            for bundle in bundles
        ],
    }
