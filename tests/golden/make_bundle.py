"""Make the bundles that every later version must read, and what they answer.

Run once, when a schema stands: python tests/golden/make_bundle.py
A file that is there is never replaced: a new schema gets a new name.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from fascicle.bundle import ENSEMBLE_SCHEMA, SCHEMA, Bundle, new_network, save_bundle
from fascicle.data.batch import encode_covariates
from fascicle.ensemble import make_ensemble
from fascicle.labels import superclasses
from fascicle.predict import Model, Prepared
from fascicle.recipe import parse_recipe
from fascicle.tasks import TASKS

HERE = Path(__file__).parent
RECIPE = {
    "name": "golden",
    "preprocessing": {"rate_hz": 125.0},
    "backbone": {"filters": [8, 8], "decoder": [8], "skip": 8, "kernel": 3, "deep_blocks": 0},
    "tasks": {"waves": {}, "beats": {}, "diagnosis": {"systems": ["PTB-XL superclass"]}},
    "groups": [
        {"source": "ptbxl", "tasks": ["diagnosis"], "folds": [1], "validate_folds": [8], "rows": 2},
        {"source": "ludb", "tasks": ["waves", "beats"], "rows": 2},
    ],
}
CARD = {
    "trained_on": [{"source": "ptbxl", "folds": [1], "records": 10, "tasks": ["diagnosis"]}],
    "validated_on": [{"source": "ptbxl", "folds": [8], "records": 10}],
    "scores": [],
    "note": "random weights",
}


def sines() -> Prepared:
    """Return twelve sine waves, 1 to 12 Hz, in the place of leads."""
    clock = np.arange(500) / 125
    signal = 0.5 * np.sin(2 * np.pi * np.outer(np.arange(1, 13), clock))
    return Prepared(
        signal.astype(np.float32), np.ones(12, dtype=np.bool_), encode_covariates(60, "F")
    )


def net(seed: int) -> Bundle:
    """Return a bundle of random weights."""
    recipe = parse_recipe(RECIPE, "golden")
    vocabularies = {name: TASKS[name].vocabulary for name in ("waves", "beats")}
    blank = Bundle(recipe, {**vocabularies, "diagnosis": superclasses()}, {}, {}, {})
    torch.manual_seed(seed)
    return replace(
        blank,
        weights=new_network(recipe, blank.tasks()).state_dict(),
        thresholds={"diagnosis": (0.1 * seed, 0.2, 0.3, 0.4, 0.5)},
        temperatures={"diagnosis": (1.0, 1.5, 2.0, 0.5, 1.0)},
        card=CARD,
    )


def keep(made: Bundle, schema: int) -> None:
    """Write a golden bundle and its answers, if it is not there."""
    path = HERE / f"bundle_schema_{schema}.safetensors"
    if path.exists():
        sys.stderr.write(f"{path} is there already\n")
        return
    bundle = save_bundle(made, path, half=True)
    expected = {
        "weights_sha256": bundle.weights_sha256,
        "answers": {
            task: [float(array.mean()), float(array.std()), float(array.flat[0])]
            for task, array in Model(bundle).probabilities(sines()).items()
        },
    }
    path.with_suffix(".json").write_text(json.dumps(expected, indent=1) + "\n")


def main() -> None:
    keep(net(1), SCHEMA)
    keep(make_ensemble([net(1), net(2), net(3)], "majority", "golden"), ENSEMBLE_SCHEMA)


if __name__ == "__main__":
    main()
