"""The nets of the folds, and what each says of the records that it has not seen."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import parts  # noqa: F401  (finds measuring)
from measuring import ROOT, progress

from fascicle.bundle import Bundle, read_bundle
from fascicle.data.sources import SOURCES
from fascicle.evaluate import items_of
from fascicle.predict import Array, Model, Prepared, load, outcome
from fascicle.recipe import read_recipe
from fascicle.record import Record, Wave
from fascicle.signal.quality import assess
from fascicle.synth import Noise, synthesize
from fascicle.tasks import Outcome
from fascicle.train.run import train_recipe

FOLDS = range(5)
WAVES_RECIPE = ROOT / "recipes" / "waves.toml"
START_RECIPE = ROOT / "recipes" / "folds-start.toml"


@dataclass(frozen=True, slots=True)
class Held:
    """A record that its net has not seen; `seconds` are processor time from signal to waves."""

    reference: Record
    prepared: Prepared
    waves: Array
    found: Outcome
    rate_hz: float
    seconds: float


def trained(
    recipe: Path,
    changes: Sequence[str],
    folder: Path,
    asked: argparse.Namespace,
    start: Path | None = None,
) -> Path:
    """Return the bundle that this recipe trains with these changes; goes on where it stopped."""
    bundle = folder / "bundle.safetensors"
    if bundle.exists():
        return bundle
    if asked.quick:
        changes = [*changes, "training.steps=4", "training.warmup_steps=1"]
    packs = asked.packs or asked.runs / "packs"
    made = read_recipe(recipe, changes)
    first = None if start is None else read_bundle(start)
    return train_recipe(made, asked.data, packs, folder, resume=True, progress=show, start=first)


def show(step: int, steps: int, values: object) -> None:
    if step % 100 == 0 or step == steps:
        print(f"  step {step} of {steps}: {values}", flush=True)


def shared_start(asked: argparse.Namespace) -> Path:
    """Return the bundle that all folds go on from; it has seen neither LUDB nor MIT-BIH."""
    return trained(START_RECIPE, [], asked.runs / START_RECIPE.stem, asked)


def fold_net(recipe: Path, fold: int, asked: argparse.Namespace) -> Path:
    """Return the bundle of the net that has not seen this fold of LUDB."""
    others = [other for other in FOLDS if other != fold]
    groups = read_recipe(recipe).groups
    group = next(place for place, made in enumerate(groups) if made.source == "ludb")
    folder: Path = asked.runs / f"{recipe.stem}-{fold}"
    return trained(recipe, [f"groups.{group}.folds={others}"], folder, asked, shared_start(asked))


def held_out(asked: argparse.Namespace, recipe: Path = WAVES_RECIPE) -> list[Held]:
    """Return all LUDB records beside what the net of their fold says.

    A quick run has synthetic records beside what the shipped net says.
    """
    if asked.quick:
        model = load(threads=1)
        records = [
            synthesize(kind, seed=seed, noise=Noise())
            for seed, kind in enumerate(("sinus", "af", "pvc"))
        ]
        return [seen(model, record) for record in records]
    return [
        seen(model, record)
        for fold in FOLDS
        for model in [load(fold_net(recipe, fold, asked), threads=1)]
        for record in records_of("ludb", asked.data, [fold])
    ]


def records_of(source: str, data: Path, folds: Sequence[int] | None) -> Iterator[Record]:
    """Yield the records of a source; their names are keys, such as "ludb/1"."""
    for item in progress(items_of(source, data, folds), f"{source} {folds or ''}"):
        yield replace(SOURCES[source].load(item), name=item.key)


def seen(model: Model, record: Record) -> Held:
    """Return what the net says of a record."""
    begin = time.process_time()
    prepared = model.prepare(record, assess(record))
    arrays = model.probabilities(prepared)
    found = outcome(prepared, arrays, model.bundle, model.tasks)
    seconds = time.process_time() - begin
    found = replace(found, waves=on_clock(found.waves, record.rate_hz))
    without = replace(record, signal=np.zeros((len(record.leads), 0), dtype=np.float32))
    return Held(without, prepared, arrays["waves"], found, rate_of(model.bundle), seconds)


def on_clock(waves: Iterable[Wave], rate_hz: float) -> tuple[Wave, ...]:
    """Return the waves with boundaries on whole samples of the record, where the marks are too.

    A tolerance holds what lies exactly on its edge: times between samples would be judged by a
    narrower one than the times of others.
    """
    return tuple(
        replace(
            wave,
            onset_s=None if wave.onset_s is None else round(wave.onset_s * rate_hz) / rate_hz,
            offset_s=None if wave.offset_s is None else round(wave.offset_s * rate_hz) / rate_hz,
        )
        for wave in waves
    )


def rate_of(bundle: Bundle) -> float:
    return bundle.recipe.preprocessing.rate_hz
