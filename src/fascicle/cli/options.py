"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class LeadSet(StrEnum):
    """The lead sets of the PhysioNet/CinC Challenge 2021, and lead I alone."""

    twelve = "12"
    six = "6"
    four = "4"
    three = "3"
    two = "2"
    one = "1"


BundlePath = Annotated[
    Path | None, typer.Option("--bundle", help="Bundle file; default: the one that ships.")
]
PacksDir = Annotated[
    Path | None, typer.Option(help="Where packs are kept. Default: ~/.cache/fascicle/packs.")
]
Resume = Annotated[bool, typer.Option(help="Go on from the folder's checkpoint.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Folder that holds the data sets. Default: ~/.cache/fascicle/data."
    ),
]
Leads = Annotated[
    LeadSet | None,
    typer.Option("--lead-set", help="Use these leads only, chosen before any is derived."),
]
