"""`fascicle train`, `pretrain`, `evaluate` and `info`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    track,
)
from rich.table import Table

from fascicle.cli.places import data_folder, packs_folder
from fascicle.errors import BadFile
from fascicle.files import write_whole

Pack = Callable[[Iterable[Any], str], Iterable[Any]]
Show = Callable[[int, int, Mapping[str, float]], None]
STAGES = {
    "context": "kinds of beats from the beats around",
    "typical": "diagnoses from the typical beat as well",
}
"""What a card says of second stages -> what they do."""


def train_command(
    recipe_path: Path,
    out: Path,
    data_dir: Path | None,
    packs: Path | None,
    resume: bool,
    changes: Sequence[str],
    threads: int,
    device: str = "auto",
    like: Path | None = None,
    start: Path | None = None,
) -> None:
    """Train a recipe with a progress bar and print where the bundle is."""
    import torch

    from fascicle.bundle import read_bundle
    from fascicle.recipe import read_recipe
    from fascicle.train.run import train_recipe

    recipe = read_recipe(recipe_path, changes)
    followed = None if like is None else read_bundle(like)
    if threads:
        torch.set_num_threads(threads)
    with _bar("train", recipe.training.steps) as (pack, show):
        path = train_recipe(
            recipe,
            data_folder(data_dir),
            packs_folder(packs),
            out,
            resume=resume,
            like=followed,
            start=None if start is None else read_bundle(start),
            device=device,
            packing=pack,
            progress=show,
        )
    _tell(path)


def pretrain_command(
    recipe_path: Path,
    out: Path,
    data_dir: Path | None,
    packs: Path | None,
    resume: bool,
    changes: Sequence[str],
    threads: int,
    device: str = "auto",
) -> None:
    """Pre-train what a recipe's [pretraining] says, and print where the bundle is."""
    import torch

    from fascicle.recipe import read_recipe
    from fascicle.train.pretrain import pretrain_recipe

    recipe = read_recipe(recipe_path, changes)
    steps = 0 if recipe.pretraining is None else recipe.pretraining.steps
    if threads:
        torch.set_num_threads(threads)
    with _bar("pretrain", steps) as (pack, show):
        path = pretrain_recipe(
            recipe,
            data_folder(data_dir),
            packs_folder(packs),
            out,
            resume=resume,
            device=device,
            packing=pack,
            progress=show,
        )
    _tell(path)


def _first() -> bool:
    return os.environ.get("RANK", "0") == "0"  # torchrun numbers its processes


def _tell(path: Path) -> None:
    if _first():
        sys.stdout.write(f"wrote {path}\n")


@contextmanager
def _bar(title: str, steps: int) -> Iterator[tuple[Pack, Show]]:
    """Yield what shows packs that are written, and steps with their losses."""
    columns = (
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    console = Console(stderr=True, quiet=not _first())
    with _shown_late(Progress(*columns, console=console)) as progress:
        bar = progress.add_task("", total=steps)

        def pack(shards: Iterable[Any], title: str) -> Iterable[Any]:
            progress.start()
            return progress.track(list(shards), description=title)

        def show(step: int, steps: int, values: Mapping[str, float]) -> None:
            progress.start()
            text = "  ".join(f"{key} {value:.3f}" for key, value in values.items())
            progress.update(bar, completed=step, total=steps, description=text)
            if "monitor" in values or "twins.alike" in values:
                progress.console.print(f"step {step}: {text}")

        yield pack, show


@contextmanager
def _shown_late(progress: Progress) -> Iterator[Progress]:
    """Yield a bar that is not shown before it is started: refusals are one line."""
    try:
        yield progress
    finally:
        if progress.live.is_started:
            progress.stop()


def evaluate_command(
    bundle: Path,
    source: str,
    data_dir: Path | None,
    folds: tuple[int, ...] | None,
    lead_set: str | None,
    out: Path | None,
    resamples: int,
    card: bool,
    threads: int,
) -> None:
    """Score a bundle, print the headline figures, write all of them to a file."""
    from fascicle.bundle import default_bundle
    from fascicle.evaluate import HEADLINES, add_to_card, evaluate
    from fascicle.predict import load

    path = default_bundle() if str(bundle) == "default" else bundle
    model = load(path, threads or None)
    console = Console(stderr=True)

    def bar(items: Sequence[Any]) -> Iterable[Any]:
        return track(items, f"evaluate {source}", console=console)

    result = evaluate(
        model,
        source,
        data_folder(data_dir),
        folds=folds,
        lead_set=lead_set,
        resamples=resamples,
        progress=bar,
    )
    _print_scores(result, HEADLINES)
    if out is not None:
        write_json(out, result)
        sys.stdout.write(f"wrote {out}\n")
    if card:
        add_to_card(path, result)
        sys.stdout.write(f"wrote the scores into the card of {path}\n")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all. Raises BadFile if it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, (json.dumps(value, indent=1) + "\n").encode())
    except OSError as error:
        raise BadFile(f"{path}: cannot be written: {error.strerror or error}") from error


def _print_scores(result: Mapping[str, Any], headlines: Sequence[str]) -> None:
    folds = (
        "all folds" if result["folds"] is None else f"fold {', '.join(map(str, result['folds']))}"
    )
    leads = f", lead set {result['lead_set']}" if result["lead_set"] else ""
    title = f"{result['source']}, {folds}{leads}: {result['records']} records"
    table = Table("score", title=title, title_justify="left")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    scores = result["scores"]
    for key in headlines:
        if scores.get(key) is not None:
            low, high = scores.get(f"{key}.low"), scores.get(f"{key}.high")
            limits = "" if low is None or high is None else f"{low:.3f} .. {high:.3f}"
            table.add_row(_shorten(key), f"{scores[key]:.4f}", limits)
    console = Console()
    console.print(table)
    if result["seen_in_training"]:
        console.print("This bundle was trained on records of this split: not a test.")


def _taught(part: Mapping[str, Any]) -> str:
    """Return what a part of a card says of the records that taught."""
    folds = "all" if part["folds"] is None else " ".join(map(str, part["folds"]))
    tasks = ", ".join(part["tasks"])
    return f"trained on {part['source']}, folds {folds}: {part['records']} ({tasks})"


def info_command(bundle: Path | None, as_json: bool) -> None:
    """Print a bundle's card, as tables or as JSON."""
    from fascicle.bundle import default_bundle, read_bundle

    path = bundle or default_bundle()
    found = read_bundle(path)
    if as_json:
        card = {
            "name": found.recipe.name,
            "version": found.recipe.version,
            "sha256": found.sha256,
            "licence": found.licence,
            "classes": {name: v.to_dict()["terms"] for name, v in found.vocabularies.items()},
            "thresholds": {name: list(v) for name, v in found.thresholds.items()},
            "vote": found.vote if found.members else None,
            "card": found.card,
            "recipe": found.recipe.model_dump(mode="json"),
        }
        sys.stdout.write(json.dumps(card, indent=1) + "\n")
        return
    console = Console()
    parameters = sum(weight.numel() for weight in found.weights.values())
    console.print(f"[bold]{found.recipe.name}[/bold] {found.recipe.version}  {path}")
    console.print(f"sha256 {found.sha256}")
    console.print(f"{parameters:,} parameters, {path.stat().st_size / 1e6:.1f} MB, {found.licence}")
    if found.members:
        names = ", ".join(
            f"{m['name']} {m['version']} ({m['weights_sha256'][:12]})"
            for m in found.card.get("members", [])
        )
        vote = "mean of" if found.vote == "mean" else "majority of"
        console.print(f"{vote} {len(found.members)} nets: {names}", soft_wrap=True)
    for name, vocabulary in found.vocabularies.items():
        by_system = {
            system: [term.code for term in vocabulary.terms if term.system == system]
            for system in vocabulary.systems
        }
        for system, codes in by_system.items():
            console.print(f"{name}, {system} ({len(codes)}): {' '.join(codes)}", soft_wrap=True)
    for line in dict.fromkeys(map(_taught, found.card.get("trained_on", []))):
        console.print(line, soft_wrap=True)
    for key, what in STAGES.items():
        if key in found.card:
            console.print(f"{what}, taught on {found.card[key]['records']} records")
    for entry in found.card.get("added", []):
        expected = entry["expected"]
        console.print(
            f"added {entry['system']} {entry['code']} from {entry['positives']} of "
            f"{entry['records']} records: F1 {expected['f1']:.2f} expected "
            f"({expected['f1.low']:.2f} .. {expected['f1.high']:.2f})"
        )
    if "calibration" in found.card:
        fit = found.card["calibration"]
        console.print(
            f"calibrated on {fit['records']} records: Brier {fit['brier_before']:.4f} to "
            f"{fit['brier_after']:.4f}, calibration error {fit['calibration_error_before']:.4f} "
            f"to {fit['calibration_error_after']:.4f}"
        )
    if "note" in found.card:
        console.print(found.card["note"])
    _print_results(found.card.get("scores", []))
    if "development" in found.card:
        run = found.card["development"]
        console.print(
            "Scores of its development run: the same recipe without the records that test it; "
            f"weights {run['weights_sha256'][:12]}"
        )
        _print_results(run["scores"])


def _print_results(results: Sequence[Mapping[str, Any]]) -> None:
    from fascicle.evaluate import HEADLINES

    for result in sorted(results, key=lambda r: (r["lead_set"] is not None, r["source"])):
        _print_scores(result, HEADLINES)
        _print_groups(result)


def _print_groups(result: Mapping[str, Any]) -> None:
    keys = [key for key in result["scores"] if any(key in g for g in result["groups"].values())]
    shown = [key for key in keys if "macro" in key or key.startswith(("waves", "beats"))][:4]
    if not shown:
        return
    table = Table("group", "records", *map(_shorten, shown))
    for name, part in result["groups"].items():
        values = [part.get(key) for key in shown]
        table.add_row(
            name,
            f"{part['records']:.0f}",
            *("" if value is None else f"{value:.3f}" for value in values),
        )
    Console().print(table)


def _shorten(key: str) -> str:
    """Return a score's name without the task that its code system or measure tells anyway."""
    return key.removeprefix("diagnosis.").removeprefix("beats.").removeprefix("waves.")
