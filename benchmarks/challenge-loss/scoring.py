"""A trained net's answers on the test records become scores, and scores become differences.

Of each test record what it earns is kept (y W x / n of the official score), so that scores can be
resampled by patient later, without the net.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from nets import Net
from numpy.typing import NDArray

from fascicle.bundle import Bundle, read_bundle
from fascicle.data.batch import Group
from fascicle.data.packing import pack_source
from fascicle.data.splits import choose
from fascicle.decode.ensembles import majority, mean_thresholds
from fascicle.decode.thresholds import decide
from fascicle.labels import SINUS_RHYTHM, SNOMED, challenge_classes, challenge_weights
from fascicle.metrics.bootstrap import sums_interval
from fascicle.metrics.challenge import challenge_score
from fascicle.metrics.classification import auroc, f1, macro
from fascicle.metrics.counts import ratio
from fascicle.recipe import Recipe
from fascicle.record import LEAD_SETS
from fascicle.train.held_out import calibrate, find_all

TASK = "diagnosis"
EARNED_DIGITS = 3
FEWEST = 20
RESAMPLES = 2000
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Test:
    """Records that test: their groups, labels (record, 26) and patients; AUROC's classes."""

    name: str
    group: Group
    labels: NDArray[np.bool_]
    patients: tuple[str, ...]
    shown: NDArray[np.bool_]


def open_tests(recipe: Recipe, data: Path, packs: Path, synthetic: bool) -> list[Test]:
    """Return PTB-XL's fold 9 and the CinC records of other hospitals; "synth" for a quick run."""
    source = "synth" if synthetic else "ptbxl"
    pack = pack_source(source, data, packs, recipe.preprocessing)
    own = Group(pack, choose(pack.entries, [9]), (TASK,), 1)
    labels = challenge_classes().encode
    taught = [labels(e.labels)[0] for e in choose(pack.entries, range(1, 8))]
    shown = (np.stack(taught) > 0).sum(axis=0) >= (1 if synthetic else FEWEST)
    if synthetic:
        others = replace(own, entries=choose(pack.entries, [0]))
    else:
        pack = pack_source("cinc2021", data, packs, recipe.preprocessing)
        kept = tuple(e for e in pack.entries if not e.patient.startswith("ptbxl/"))
        others = replace(own, pack=pack, entries=kept)
    return [_test("fold9", own, shown), _test("others", others, shown)]


def _test(name: str, group: Group, shown: NDArray[np.bool_]) -> Test:
    labels = np.stack([challenge_classes().encode(e.labels)[0] > 0 for e in group.entries])
    return Test(name, group, labels, tuple(e.patient for e in group.entries), shown)


def answer(folder: Path, net: Net, tests: Sequence[Test], held: Group) -> dict[str, Any]:
    """Return "way lead-set test" -> scores of the net that was trained in a folder."""
    ways, lead_sets = net.ways, net.tested if net.ways else ()
    last = read_bundle(folder / "bundle.safetensors")
    epochs = [read_bundle(path) for path in sorted(folder.glob("epoch-*.safetensors"))]
    found = {}
    for lead_set in lead_sets:
        leads = LEAD_SETS[lead_set]
        validation = replace(held, leads=leads)
        own = _calibrated(last, validation, "class") if len(lead_sets) > 1 else last
        bundles = {"class": [own], "mean": epochs, "majority": epochs}
        if "global" in ways:
            bundles["global"] = [_calibrated(last, validation, "global")]
        if "first" in ways:
            bundles["first"] = [_calibrated(swapped(last), validation, "class")]
        if len(lead_sets) > 1:
            bundles["bundle"] = [last]
        chosen = [way for way in bundles if way in (*ways, "bundle") and bundles[way]]
        for test in tests:
            group = replace(test.group, leads=leads)
            seen: dict[int, NDArray[np.float32]] = {}
            for way in chosen:
                scores = [_probabilities(bundle, group, seen) for bundle in bundles[way]]
                one = _decide(way, bundles[way], scores)
                found[f"{way} {lead_set} {test.name}"] = _scores(test, last, *one)
    return found


def _calibrated(bundle: Bundle, held: Group, scope: str) -> Bundle:
    """Return the bundle with its thresholds fitted in another way, or on other leads."""
    decision = bundle.recipe.decision.model_copy(update={"scope": scope})
    recipe = bundle.recipe.model_copy(update={"decision": decision})
    blank = replace(bundle, recipe=recipe, temperatures={}, thresholds={})
    return calibrate(blank, blank.network(), [held])


def swapped(bundle: Bundle) -> Bundle:
    """Return the same net with its two heads exchanged: the one that BCE taught decides."""
    other = {f"heads.{TASK}.out.{mine}.": f"heads.{TASK}.out.{1 - mine}." for mine in (0, 1)}
    weights = {
        next((other[o] + name.removeprefix(o) for o in other if name.startswith(o)), name): weight
        for name, weight in bundle.weights.items()
    }
    return replace(bundle, weights=weights)


def _probabilities(
    bundle: Bundle, group: Group, seen: dict[int, NDArray[np.float32]]
) -> NDArray[np.float32]:
    if id(bundle) not in seen:
        found = find_all(bundle.network(), bundle.tasks(), group, bundle)
        seen[id(bundle)] = np.stack([outcome.answers[TASK].probabilities for outcome in found])
    return seen[id(bundle)]


def _decide(
    way: str, bundles: Sequence[Bundle], scores: Sequence[NDArray[np.float32]]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the probabilities of one answer for all nets, and what it decides."""
    thresholds = np.array([bundle.thresholds_of(TASK) for bundle in bundles])
    if len(bundles) == 1:
        return scores[0], decide(scores[0], thresholds[0])
    if way == "mean":
        mean = np.mean(scores, axis=0, dtype=np.float64).astype(np.float32)
        return mean, decide(mean, mean_thresholds(thresholds))
    voted = np.stack([majority(row, thresholds) for row in np.stack(scores, axis=1)])
    return voted, decide(voted, mean_thresholds(thresholds))


def _scores(
    test: Test, bundle: Bundle, probabilities: NDArray[np.float32], decisions: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return the scores over the Challenge's classes; one that the net lacks is never said."""
    every = challenge_classes()
    places = [every.index(SNOMED, term.code) for term in bundle.vocabularies[TASK].terms]
    outputs, values = np.zeros(test.labels.shape, dtype=bool), np.zeros(test.labels.shape)
    outputs[:, places], values[:, places] = decisions, probabilities
    normal = every.index(SNOMED, SINUS_RHYTHM)
    shown = test.shown & test.labels.any(axis=0)
    return {
        "challenge": challenge_score(test.labels, outputs, challenge_weights(), normal),
        "auroc": float(macro(auroc(test.labels, values)[shown])),
        "f1": float(macro(f1(test.labels, outputs)[shown])),
        "earned": [round(value, EARNED_DIGITS) for value in earned(test.labels, outputs).tolist()],
    }


def earned(labels: NDArray[np.bool_], outputs: NDArray[np.bool_]) -> Doubles:
    """Return what each record earns, (record,): y W x / max(1, classes in y or x)."""
    reward = ((labels @ challenge_weights()) * outputs).sum(axis=1)
    return np.asarray(reward / np.maximum((labels | outputs).sum(axis=1), 1), dtype=np.float64)


def score_interval(test: Test, mine: Doubles, theirs: Doubles | None = None) -> list[float]:
    """Return (low, high): 95 % by patients, of a score or of the difference of two.

    `mine` and `theirs` are what each record earns, (record,), the mean over seeds and nets.
    """
    idle = np.zeros_like(test.labels)
    idle[:, challenge_classes().index(SNOMED, SINUS_RHYTHM)] = True
    none, right = earned(test.labels, idle), earned(test.labels, test.labels)
    top = mine - (none if theirs is None else theirs)
    low, high = sums_interval(
        lambda sums: ratio(sums[:, 0], sums[:, 1]),
        np.stack([top, right - none], axis=1),
        test.patients,
        resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return [float(low), float(high)]


def mean_earned(results: Sequence[Mapping[str, Any]]) -> Doubles:
    """Return what each record earns on average over these results, (record,)."""
    return np.mean([result["earned"] for result in results], axis=0, dtype=np.float64)
