"""The commands of `fascicle data` and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fascicle.cli.options import DataDir, PacksDir

data = typer.Typer(help="Public data sets: list, fetch, check, pack.", no_args_is_help=True)


@data.command("list")
def list_sources() -> None:
    """List the public data sets that fascicle knows."""
    from fascicle.cli.datasets import list_command

    list_command()


@data.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A name that `fascicle data list` shows.")],
    data_dir: DataDir = None,
) -> None:
    """Download a data set from PhysioNet; stopped downloads go on where they were."""
    from fascicle.cli.datasets import fetch_command

    fetch_command(name, data_dir)


@data.command()
def check(
    folder: Annotated[Path, typer.Argument(help="Folder of one data set.")],
    name: Annotated[
        str | None, typer.Option(help="Which set; default: the folder's own name.")
    ] = None,
) -> None:
    """Verify a data set's folder: files, sizes, checksums, readable records."""
    from fascicle.cli.datasets import check_command

    raise typer.Exit(check_command(folder, name))


@data.command()
def pack(
    name: Annotated[str, typer.Argument(help='A source, or "synth".')],
    data_dir: DataDir = None,
    out: PacksDir = None,
    recipe: Annotated[Path | None, typer.Option(help="Recipe whose preprocessing is used.")] = None,
) -> None:
    """Write a memory-mapped training pack; one that was stopped goes on."""
    from fascicle.cli.datasets import pack_command

    pack_command(name, data_dir, out, recipe)


@data.command()
def statements(
    reports: Annotated[
        Path, typer.Argument(metavar="REPORTS.csv", help="CSV or TSV, a report per row.")
    ],
    out: Annotated[Path, typer.Option("--out", help="CSV of codes, a row per report.")],
    column: Annotated[str, typer.Option(help="Name of the column that holds the text.")] = "report",
    name_column: Annotated[
        str | None, typer.Option("--id", help="Column that names a report. Default: the first.")
    ] = None,
    unmatched: Annotated[
        Path | None, typer.Option(help="CSV of words that no rule knows, with their counts.")
    ] = None,
    phrases: Annotated[
        Path | None, typer.Option(help="Your copy of report_phrases.csv. Default: the shipped.")
    ] = None,
    modifiers: Annotated[
        Path | None, typer.Option(help="Your copy of report_modifiers.csv. Default: the shipped.")
    ] = None,
) -> None:
    """Turn English or German reports into SCP-ECG codes: present, possible or absent.

    "No AF, but LBBB. LVH cannot be excluded." gives present CLBBB, possible LVH, absent AFIB.
    Column words shows what was taken for which code, column unmatched what nobody understood: read
    them before you trust the codes, and add what is missing to a copy of the tables. The output
    holds words of the reports: keep it where you keep them.

    Example: fascicle data statements ptbxl_database.csv --out codes.csv --unmatched words.csv
    """
    from fascicle.cli.statements import statements_command

    statements_command(reports, column, out, name_column, unmatched, (phrases, modifiers))
