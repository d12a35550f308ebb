"""`fascicle analyze` and `fascicle demo`: files in, findings out, one bad file stops no other."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from fascicle.errors import BadFile, FascicleError
from fascicle.io import find_records, read
from fascicle.report import FORMATS, summarize, summary_row, write_findings, write_summary

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
    """One file, and the folder of its findings."""

    path: Path
    folder: Path


def analyze_paths(paths: Sequence[Path], request: Request, jobs: int) -> int:
    """Return the exit code: 0 all analysed, 1 some failed, 2 none."""
    _check_formats(request.formats)
    _model(request.bundle)  # a bad bundle is told once, before any work
    found = list(_find(paths, request.out))
    if not found:
        raise BadFile(f"no ECG found in {', '.join(map(str, paths))}")
    if len(found) == 1:
        return _analyze_one(found[0], request)
    rows = _analyze_many(found, request, jobs or os.cpu_count() or 1)
    summary = write_summary(rows, request.out / "summary.csv")
    failed = [row for row in rows if row["status"] == "failed"]
    _print_table(rows, summary)
    return 0 if not failed else 2 if len(failed) == len(rows) else 1


def run_demo(out: Path, bundle: Path | None) -> None:
    """Analyse the ECG that ships with the package; print findings and written paths."""
    with as_file(files("fascicle") / "demo") as folder:
        request = Request(out, bundle, formats=("json", "png", "pdf", "atr"))
        findings, written = _analyze(Job(folder / DEMO, out), request)
    _print_findings(findings, written)
    Console().print("This ECG is synthetic. Research software, not a medical device.")


def _check_formats(formats: Sequence[str]) -> None:
    from fascicle.errors import BadRequest

    unknown = [kind for kind in formats if kind not in FORMATS]
    if unknown or not formats:
        raise BadRequest(f"unknown format {', '.join(unknown)!r}; known: {', '.join(FORMATS)}")


def _find(paths: Sequence[Path], out: Path) -> Iterator[Job]:
    """Yield a job per record; the levels of a folder are kept under `out`."""
    seen: set[Path] = set()
    for path in paths:
        if path.is_dir():
            if out.resolve() == path.resolve():
                raise BadFile(f"{out}: findings would go among the files that are read")
            for found in find_records(path):
                if not found.resolve().is_relative_to(out.resolve()):
                    yield Job(found, out / found.parent.relative_to(path))
        else:
            base = path.with_suffix("") if path.suffix in SUFFIXES else path
            if base.resolve() not in seen:
                yield Job(path, out)
            seen.add(base.resolve())


@cache
def _model(bundle: Path | None) -> Model:
    from fascicle.predict import load

    return load(bundle)


def _analyze(job: Job, request: Request) -> tuple[Findings, list[Path]]:
    record = read(
        job.path,
        rate_hz=request.rate_hz,
        unit=request.unit,
        lead_names=request.lead_names,
        annotations=False,
    )
    findings = _model(request.bundle).analyze(record, request.lead_set)
    return findings, write_findings(record, findings, job.folder, request.formats)


def _analyze_one(job: Job, request: Request) -> int:
    findings, written = _analyze(job, request)
    _print_findings(findings, written)
    return 0


def _start_worker() -> None:
    import torch

    torch.set_num_threads(1)


def _work(job: Job, request: Request) -> dict[str, str]:
    """Return the summary's row for one file; what is wrong with it stands in the row."""
    try:
        findings, _ = _analyze(job, request)
    except FascicleError as error:
        return summary_row(str(job.path), None, str(error))
    return summary_row(str(job.path), findings)


def _analyze_many(found: Sequence[Job], request: Request, jobs: int) -> list[dict[str, str]]:
    rows: dict[int, dict[str, str]] = {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with (
        Progress(*columns, console=Console(stderr=True)) as progress,
        ProcessPoolExecutor(
            min(jobs, len(found)), mp_context=get_context("spawn"), initializer=_start_worker
        ) as pool,
    ):
        bar = progress.add_task("analyze", total=len(found))
        waiting = {pool.submit(_work, job, request): n for n, job in enumerate(found)}
        for done in as_completed(waiting):
            place = waiting[done]
            try:
                rows[place] = done.result()
            except BrokenProcessPool:
                reason = "a worker process was killed (out of memory?)"
                rows[place] = summary_row(str(found[place].path), None, reason)
            progress.advance(bar)
    return [rows[place] for place in range(len(found))]


def _print_findings(findings: Findings, written: Sequence[Path]) -> None:
    sys.stdout.write(summarize(findings).rstrip() + "\n\n")
    for path in written:
        sys.stdout.write(f"wrote {path}\n")


def _print_table(rows: Sequence[dict[str, str]], summary: Path) -> None:
    table = Table("record", "status", "rate", "QRS", "QTc", "statements or error")
    for row in rows[:SHOWN_ROWS]:
        table.add_row(
            Path(row["name"]).name,
            row["status"],
            row.get("heart_rate_bpm", ""),
            row.get("qrs_ms", ""),
            row.get("qtc_fridericia_ms", ""),
            row["error"] or row["diagnoses"],
        )
    console = Console()
    console.print(table)
    if len(rows) > SHOWN_ROWS:
        console.print(f"... and {len(rows) - SHOWN_ROWS} more")
    failed = sum(row["status"] == "failed" for row in rows)
    console.print(f"{len(rows) - failed} analysed, {failed} failed; all of it in {summary}")
