"""Train a small net for a moment on synthetic ECGs, and analyse one with it."""

from pathlib import Path
from tempfile import TemporaryDirectory

from fascicle.predict import load
from fascicle.recipe import parse_recipe
from fascicle.synth import synthesize
from fascicle.train.run import train_recipe

recipe = parse_recipe(
    {
        "name": "example",
        "backbone": {"filters": [8, 16, 24, 32], "decoder": [8, 16, 24]},
        "tasks": {"waves": {}, "beats": {}},
        "groups": [{"source": "synth", "tasks": ["waves", "beats"], "rows": 4}],
        "training": {"steps": 30, "warmup_steps": 5, "learning_rate": 0.005},
    },
    "example",
)
with TemporaryDirectory() as folder:
    place = Path(folder)
    bundle = train_recipe(recipe, place, place / "packs", place / "run")
    findings = load(bundle).analyze(synthesize("sinus", seed=1))
print(f"{len(findings.beats)} beats and {len(findings.waves)} waves after 30 steps")
