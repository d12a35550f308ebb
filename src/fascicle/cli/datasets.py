"""`fascicle data list | fetch | check | pack`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

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
from fascicle.errors import BadRequest

if TYPE_CHECKING:
    from fascicle.data.check import CheckReport

COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeRemainingColumn(),
)


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """Yield what shows (done, total, item); no bar before the first: refusals are one line."""
    progress = Progress(*COLUMNS, console=Console(stderr=True))
    bar = progress.add_task(title, total=None)

    def show(done: int, total: int, _: str) -> None:
        progress.start()
        progress.update(bar, completed=done, total=total)

    try:
        yield show
    finally:
        if progress.live.is_started:
            progress.stop()


def list_command() -> None:
    """Print the known sources: name, title, records, licence."""
    from fascicle.data.sources import SOURCES

    table = Table("name", "title", "records", "licence", "from")
    for source in SOURCES.values():
        table.add_row(source.name, source.title, str(source.records), source.licence, source.url)
    Console().print(table)


def fetch_command(name: str, data_dir: Path | None) -> None:
    """Download a set with a progress bar."""
    from fascicle.data.fetch import fetch

    folder = data_folder(data_dir) / name.removesuffix("100")
    with _bar(f"fetch {name}") as show:
        found = fetch(name, folder, progress=show)
    sys.stdout.write(f"{folder}: {found.files} files, {found.downloaded} downloaded\n")


def check_command(folder: Path, name: str | None) -> int:
    """Return 0 if the folder is a whole or partial set without faults, else 1."""
    from fascicle.data.check import recognise

    if not folder.is_dir():
        raise BadRequest(f"{folder}: no such folder")
    names = (name,) if name else recognise(folder)
    if not names:
        raise BadRequest(f"{folder}: not one of the known sets; `fascicle data list` names them")
    reports = [_check(folder, known) for known in names]
    for report in reports:
        kind = "partial" if report.partial else "complete"
        sys.stdout.write(
            f"{report.name}: {kind}, {report.records} of {report.expected} records, "
            f"{report.patients} patients, {report.verified} checksums verified, "
            f"{len(report.faults)} faults\n"
        )
        for fault in report.faults:
            sys.stdout.write(f"  {fault.path}: {fault.reason}\n")
    return int(not all(report.ok for report in reports))


def _check(folder: Path, name: str) -> CheckReport:
    from fascicle.data.check import check

    with _bar(f"check {name}") as show:
        return check(folder, name, progress=show)


def pack_command(name: str, data_dir: Path | None, out: Path | None, recipe: Path | None) -> None:
    """Write a pack with a progress bar and print where it is."""
    from fascicle.data.packing import pack_source
    from fascicle.recipe import read_recipe
    from fascicle.signal.chain import Preprocessing

    preprocessing = read_recipe(recipe).preprocessing if recipe else Preprocessing()
    console = Console(stderr=True)
    pack = pack_source(
        name,
        data_folder(data_dir),
        packs_folder(out),
        preprocessing,
        lambda shards, title: track(list(shards), title, console=console),
    )
    sys.stdout.write(f"{pack.folder}: {len(pack.entries)} records\n")
