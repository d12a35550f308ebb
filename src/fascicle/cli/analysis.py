"""`fascicle analyze` and `fascicle demo`: files in, findings out, one bad file stops no other."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from fascicle.cli.workers import cores, each, end_when_told
from fascicle.errors import BadFile, BadRequest, FascicleError
from fascicle.io import READERS, find_records, read
from fascicle.report import FORMATS, summarize, summary_row, write_findings, write_summary
from fascicle.report.write import file_stem

if TYPE_CHECKING:
    from fascicle.predict import Model
    from fascicle.record import Findings

DEMO = "synthetic_pvc"
SHOWN_ROWS = 40
SUFFIXES = frozenset({".hea", ".dat", ".mat"})


@dataclass(frozen=True, slots=True)
class Request:
    """What `fascicle analyze` was asked; it travels to the worker processes."""

    out: Path
    bundle: Path | None = None
    lead_set: str | None = None
    formats: tuple[str, ...] = ("json", "png")
    lead_names: tuple[str, ...] | None = None
    rate_hz: float | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One file, the folder of its findings and their name; None is the record's own."""

    path: Path
    folder: Path
    name: str | None = None


def analyze_paths(paths: Sequence[Path], request: Request, jobs: int) -> int:
    """Return the exit code: 0 all analysed, 1 some failed, 2 none."""
    _check_formats(request.formats)
    _model(request.bundle)  # a bad bundle is told once, before any work
    found = list(_name_apart(_find(paths, request.out)))
    if not found:
        raise BadFile(f"no ECG found in {', '.join(map(str, paths))}")
    with end_when_told():
        if len(found) == 1:
            return _analyze_one(found[0], request)
        rows = _analyze_many(found, request, jobs or cores())
    summary = write_summary(rows, request.out / "summary.csv")
    failed = [row for row in rows if row["status"] == "failed"]
    shown = [str(job.folder.relative_to(request.out) / job.path.name) for job in found]
    _print_table(shown, rows, summary)
    return 0 if not failed else 2 if len(failed) == len(rows) else 1


def run_demo(out: Path, bundle: Path | None) -> None:
    """Analyse the ECG that ships with the package; print findings and written paths."""
    with as_file(files("fascicle") / "demo") as folder:
        request = Request(out, bundle, formats=("json", "png", "pdf", "atr"))
        findings, written = _analyze(Job(folder / DEMO, out), request)
    _print_findings(findings, written)
    Console().print("This ECG is synthetic. Research software, not a medical device.")


def _check_formats(formats: Sequence[str]) -> None:
    if not formats:
        raise BadRequest(f"no format given; known: {', '.join(FORMATS)}")
    unknown = [kind for kind in formats if kind not in FORMATS]
    if unknown:
        raise BadRequest(f"unknown format {', '.join(unknown)!r}; known: {', '.join(FORMATS)}")


def _find(paths: Sequence[Path], out: Path) -> Iterator[Job]:
    """Yield a job per record; the levels of a folder are kept under `out`."""
    seen: set[Path] = set()
    whole_out = _whole(out)
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 (it takes names that are too long)
            jobs = [Job(path, out)]
        elif _whole(path) == whole_out:
            raise BadFile(f"{out}: findings would go among the files that are read")
        else:
            jobs = [
                Job(found, out / found.parent.relative_to(path)) for found in find_records(path)
            ]
            if whole_out.is_relative_to(_whole(path)):  # what an earlier run has written
                jobs = [job for job in jobs if not _whole(job.path).is_relative_to(whole_out)]
        for job in jobs:
            base = _whole(job.path.with_suffix("") if job.path.suffix in SUFFIXES else job.path)
            if base not in seen:
                yield job
            seen.add(base)


def _whole(path: Path) -> Path:
    """Return the path from the root, without links; a loop of links stays as it is."""
    return Path(os.path.realpath(path))


def _name_apart(jobs: Iterator[Job]) -> Iterator[Job]:
    """Yield the jobs; one whose findings would replace those of an earlier one gets a new name.

    a.hea beside a.csv is a.hea, the a.csv of another folder is FOLDER_a.
    """
    files: set[Path] = set()
    taken: set[tuple[Path, str]] = set()
    for job in jobs:
        path = job.path
        name = path.stem if path.suffix.lower() in READERS else path.name
        names = [name] if job.folder / path.name in files else [name, path.name]
        names.append(f"{path.absolute().parent.name}_{name}")
        names += [f"{name}_{number}" for number in range(2, len(taken) + 3)]
        chosen = next(known for known in names if (job.folder, file_stem(known)) not in taken)
        files.add(job.folder / path.name)
        taken.add((job.folder, file_stem(chosen)))
        yield job if chosen == name else replace(job, name=chosen)


@cache
def _model(bundle: Path | None) -> Model:
    from fascicle.predict import load

    return load(bundle)


def _analyze(
    job: Job, request: Request, progress: Callable[[float, float], None] | None = None
) -> tuple[Findings, list[Path]]:
    record = read(
        job.path,
        rate_hz=request.rate_hz,
        unit=request.unit,
        lead_names=request.lead_names,
        annotations=False,
    )
    if job.name is not None:
        record = replace(record, name=job.name)
    findings = _model(request.bundle).analyze(record, request.lead_set, progress)
    return findings, write_findings(record, findings, job.folder, request.formats)


def _analyze_one(job: Job, request: Request) -> int:
    with _bar_of_long(job.path.name) as show:
        findings, written = _analyze(job, request, show)
    _print_findings(findings, written)
    return 0


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True))


@contextmanager
def _bar_of_long(name: str) -> Iterator[Callable[[float, float], None]]:
    """Yield what moves a bar of minutes on; there is none until it is first called."""
    bar = _progress()

    def show(done_s: float, all_s: float) -> None:
        if not bar.tasks:
            bar.add_task(name, total=round(all_s / 60), unit="minutes")
            bar.start()
        bar.update(bar.task_ids[0], completed=round(done_s / 60))

    try:
        yield show
    finally:
        if bar.tasks:
            bar.stop()


def _work(job: Job, request: Request) -> dict[str, str]:
    """Return the summary's row for one file; what is wrong with it stands in the row."""
    try:
        findings, _ = _analyze(job, request)
    except FascicleError as error:
        return summary_row(str(job.path), None, str(error))
    except (OSError, MemoryError, RuntimeError) as error:  # of torch, without memory
        return summary_row(str(job.path), None, f"{type(error).__name__}: {error}"[:200])
    return summary_row(str(job.path), findings)


def _analyze_many(found: Sequence[Job], request: Request, jobs: int) -> list[dict[str, str]]:
    rows: dict[int, dict[str, str]] = {}
    with _progress() as progress:
        bar = progress.add_task("analyze", total=len(found), unit="records")
        for place, row in each(partial(_work, request=request), found, jobs):
            killed = "its process was killed (out of memory?)"
            rows[place] = row or summary_row(str(found[place].path), None, killed)
            progress.advance(bar)
    return [rows[place] for place in range(len(found))]


def _print_findings(findings: Findings, written: Sequence[Path]) -> None:
    sys.stdout.write(summarize(findings).rstrip() + "\n\n")
    for path in written:
        sys.stdout.write(f"wrote {path}\n")


def _print_table(names: Sequence[str], rows: Sequence[dict[str, str]], summary: Path) -> None:
    table = Table("record", "status", "rate", "QRS", "QTc", "statements or error")
    for name, row in list(zip(names, rows, strict=True))[:SHOWN_ROWS]:
        cells = (
            name,
            row["status"],
            row.get("heart_rate_bpm", ""),
            row.get("qrs_ms", ""),
            row.get("qtc_fridericia_ms", ""),
            row["error"] or row["diagnoses"],
        )
        table.add_row(*map(Text, cells))  # a file may be called [red] and is not
    console = Console(markup=False)
    console.print(table)
    if len(rows) > SHOWN_ROWS:
        console.print(f"... and {len(rows) - SHOWN_ROWS} more")
    failed = sum(row["status"] == "failed" for row in rows)
    console.print(f"{len(rows) - failed} analysed, {failed} failed; all of it in {summary}")
