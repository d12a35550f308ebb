"""Write a bundle with the default recipe's net and fresh weights: `untrained.py OUT [KEY=VALUE]`.

Until the trained one ships. Its speed in the net is that of the trained one; its marks mean
nothing, so that decoding may take another time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from fascicle.bundle import Bundle, new_network, save_bundle
from fascicle.labels import challenge_classes, join, scp_statements, select, superclasses
from fascicle.recipe import read_recipe
from fascicle.tasks import make_task

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "default.toml"
CLASSES = 70


def main() -> None:
    recipe = read_recipe(RECIPE, sys.argv[2:])
    every = join(superclasses(), scp_statements(), challenge_classes())
    chosen = select(every, [(term.system, term.code) for term in every.terms[:CLASSES]])
    tasks = {
        name: make_task(name, chosen if settings.systems else None)
        for name, settings in recipe.tasks.items()
    }
    torch.manual_seed(recipe.seed)
    weights = new_network(recipe, tasks).state_dict()
    vocabularies = {name: task.vocabulary for name, task in tasks.items()}
    save_bundle(Bundle(recipe, vocabularies, {}, {}, weights), Path(sys.argv[1]))


if __name__ == "__main__":
    main()
