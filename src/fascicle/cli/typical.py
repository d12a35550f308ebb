"""`fascicle typical`: a bundle learns to read diagnoses from a record's typical beat as well."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from fascicle.bundle import read_bundle, save_bundle
from fascicle.cli.bundles import bundle_to_teach
from fascicle.cli.places import data_folder, packs_folder
from fascicle.train.typical import view_bundle


def typical_command(
    bundle_path: Path,
    out: Path,
    data: Path | None,
    packs: Path | None,
    seed: int,
    like: Path | None,
    version: str | None,
    half: bool,
    threads: int,
) -> None:
    """Teach the second view, write the new bundle, print what taught it."""
    import torch

    bundle = bundle_to_teach(bundle_path, out)
    if threads:
        torch.set_num_threads(threads)
    followed = None if like is None else read_bundle(like)
    console = Console(stderr=True)

    def bar(items: Iterable[Any], title: str) -> Iterable[Any]:
        return track(list(items), title, console=console)

    def reading(items: Sequence[Any]) -> Iterable[Any]:
        return track(items, "finding beats", console=console)

    def teaching(steps: range) -> Iterable[int]:
        return track(steps, "teaching", console=console)

    grown = view_bundle(
        bundle,
        data_folder(data),
        packs_folder(packs),
        seed=seed,
        like=followed,
        version=version,
        packing=bar,
        reading=reading,
        teaching=teaching,
    )
    save_bundle(grown, out, half=half)
    entry = grown.card["typical"]
    sys.stdout.write(
        f"{entry['rows']} typical beats of {entry['records']} records "
        f"({', '.join(entry['sets'])})\nwrote {out}\n"
    )
