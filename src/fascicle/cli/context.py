"""`fascicle context`: a bundle learns to tell the kind of a beat from the beats around it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from fascicle.bundle import save_bundle
from fascicle.cli.bundles import bundle_to_teach
from fascicle.cli.places import data_folder
from fascicle.data.sources import Item
from fascicle.evaluate import items_of
from fascicle.record import BEAT_KINDS
from fascicle.train.context import add_context, card_entry, check_teachable, gather, teach

SOURCE = "mitdb"


def context_command(
    bundle_path: Path,
    out: Path,
    data: Path | None,
    folds: tuple[int, ...],
    seed: int,
    keep: Path | None,
    threads: int,
) -> None:
    """Teach the second stage on MIT-BIH, write the new bundle, print what taught it."""
    import torch

    bundle = bundle_to_teach(bundle_path, out)
    if threads:
        torch.set_num_threads(threads)
    check_teachable(bundle)
    console = Console(stderr=True)

    def progress(items: Sequence[Item]) -> Iterable[Item]:
        return track(items, "reading beats", console=console)

    items = items_of(SOURCE, data_folder(data), folds)
    examples = gather(bundle, items, keep=keep, progress=progress)
    with console.status("teaching"):
        head = teach(examples, seed)
    entry = card_entry(SOURCE, folds, examples, seed)
    save_bundle(add_context(bundle, head, entry), out)
    for name, rhythm in (("as they are", True), ("in other rhythms", False)):
        some = [e.kinds for e in examples if (e.rhythm == "own") == rhythm]
        counts = np.bincount(np.concatenate(some), minlength=len(BEAT_KINDS))
        told = ", ".join(f"{kind} {n}" for kind, n in zip(BEAT_KINDS, counts, strict=True))
        sys.stdout.write(f"beats {name}: {told}\n")
    sys.stdout.write(f"wrote {out}\n")
