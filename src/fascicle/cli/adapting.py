"""`fascicle adapt`: a bundle learns a class from few records, and keeps all its old answers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from fascicle.bundle import default_bundle, read_bundle, save_bundle
from fascicle.cli.places import data_folder
from fascicle.errors import BadRequest
from fascicle.evaluate import items_of, seen_in_training
from fascicle.io import read
from fascicle.labels import Term
from fascicle.record import Record
from fascicle.train.adapt import Taught, adapt
from fascicle.train.added import check_new
from fascicle.train.cases import Case, find_term, listed, of_source, thin
from fascicle.train.new_class import candidates_of

SHOWN = ("f1", "precision", "recall", "auroc", "auprc")


@dataclass(frozen=True, slots=True)
class Wish:
    """What `fascicle adapt` was asked: the class, the fit, and how the files of a list are read."""

    code: str
    name: str | None
    method: str
    negatives: int
    seed: int
    read_file: Callable[[Path], Record] = read


def adapt_command(
    bundle_path: Path,
    out: Path,
    data: Path | None,
    source: str | None,
    folds: tuple[int, ...] | None,
    wish: Wish,
    threads: int,
) -> None:
    """Fit the class, write the new bundle, print what can be expected of it."""
    import torch

    if out.exists():
        raise BadRequest(f"{out}: is there already; choose another name")
    candidates_of(wish.method)  # refused before any work
    if threads:
        torch.set_num_threads(threads)
    whole = str(bundle_path) == "default"
    bundle = read_bundle(default_bundle() if whole else bundle_path)
    term = find_term(wish.code, wish.name)
    check_new(bundle, term)
    console = Console(stderr=True)

    def progress(items: Sequence[Any], title: str) -> Iterable[Any]:
        return track(items, title, console=console)

    seen: bool | None = None
    if source is None:
        cases, unlabelled, taught = _from_list(data, folds, term, wish)
    else:
        items = items_of(source, data_folder(data), folds)
        seen = seen_in_training(bundle, source, items)
        cases, unlabelled = of_source(source, items, term, progress)
        sets = tuple(sorted({item.key.partition("/")[0] for item in items}))
        taught = Taught(source, folds, sets)
    if unlabelled:
        console.print(f"{unlabelled} records say nothing of {term.system}: left out", markup=False)
    chosen = thin(cases, wish.negatives, np.random.default_rng(wish.seed))
    grown = adapt(
        bundle, term, chosen, taught, wish.method, seen=seen, seed=wish.seed, progress=progress
    )
    save_bundle(grown, out)
    _print_entry(grown.card["added"][-1])
    sys.stdout.write(f"wrote {out}\n")


def _from_list(
    data: Path | None, folds: tuple[int, ...] | None, term: Term, wish: Wish
) -> tuple[list[Case], int, Taught]:
    if data is None or data.is_dir():
        raise BadRequest("--data expected: a list of files, or with --source the data sets' folder")
    if folds:
        raise BadRequest("--fold belongs to --source: a list has no folds")
    cases, unlabelled = listed(data, term, wish.read_file)
    return cases, unlabelled, Taught(data.name, None, ())


def _print_entry(entry: Mapping[str, Any]) -> None:
    strength = "penalty" if "penalty" in entry else "shrinkage"
    losses = ", ".join(f"{method} {loss:.4f}" for method, loss in entry["log_loss"].items())
    console = Console(markup=False)
    console.print(f"{entry['system']} {entry['code']}: {entry['name']}")
    console.print(
        f"{entry['positives']} of {entry['records']} records have it, "
        f"{entry['positive_patients']} of {entry['patients']} patients"
    )
    console.print(
        f"{entry['method']}, {strength} {entry[strength]:g}: the least log loss on held-out "
        f"patients ({losses})"
    )
    table = Table("expected", title="cross-validated by patient", title_justify="left")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    expected = entry["expected"]
    for key in SHOWN:
        limits = (
            f"{expected[f'{key}.low']:.3f} .. {expected[f'{key}.high']:.3f}"
            if f"{key}.low" in expected
            else ""
        )
        table.add_row(key, f"{expected[key]:.3f}", limits)
    console.print(table)
    for doubt in entry["doubts"]:
        console.print(f"Doubt: {doubt}.", soft_wrap=True)
