"""What every benchmark here shares: the machine, medians, side-by-side ratios, results on disk.

Needs the standard library only, so that a process that starts others stays small.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = "fascicle/benchmark/1"
BEGIN, END = "<!-- results: written by run.py -->", "<!-- end of results -->"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
Item = TypeVar("Item")


def parser(purpose: str, folder: Path) -> argparse.ArgumentParser:
    """Return the options that all benchmarks have."""
    made = argparse.ArgumentParser(description=purpose)
    made.add_argument("--data", type=Path, help="folder that holds the data sets, as PhysioNet has")
    made.add_argument(
        "--quick", action="store_true", help="seconds, on tiny synthetic input: proves that it runs"
    )
    made.add_argument("--out", type=Path, help=f"where results.json goes; default: {folder.name}")
    made.add_argument("--core", type=int, help="run on this core; default: the last one allowed")
    made.add_argument("--note", default="", help="what else the machine does, for the record")
    return made


def out_folder(asked: argparse.Namespace, folder: Path) -> Path:
    """Return where results go: a quick run never writes over real figures."""
    default = ROOT / "out" / "benchmarks" / folder.name if asked.quick else folder
    return Path(asked.out or default)


def limit_threads() -> None:
    """Give this process, before it imports numpy or torch, and its children one thread."""
    os.environ.update(dict.fromkeys(THREADS, "1"))


def pin(core: int | None) -> int | None:
    """Bind this process and its children to one core; return it, None where that cannot be."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    chosen = max(os.sched_getaffinity(0)) if core is None else core
    os.sched_setaffinity(0, {chosen})
    return chosen


def peak_mb() -> float:
    """Return the largest resident memory of this process so far, in millions of bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss starts from what the process that began this one took
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, lowest and highest of the repeats, and how many there were."""
    return {
        "median": statistics.median(values),
        "lowest": min(values),
        "highest": max(values),
        "repeats": len(values),
    }


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Return the spread of theirs / ours, pair by pair: times in, times faster out."""
    return spread([their / our for our, their in zip(ours, theirs, strict=True)])


def describe(packages: Sequence[str], core: int | None, note: str) -> dict[str, Any]:
    """Return machine, versions, commit and load, without names of hosts or folders."""
    return {
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in packages},
        "commit": commit(),
        "core": core,
        "threads": 1,
        "load_at_start": round(os.getloadavg()[0], 2),
        "note": note,
    }


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def commit() -> str:
    """Return the commit, with "+" where the package or the benchmarks differ from it."""
    git = ["git", "-C", str(ROOT)]
    found = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if found.returncode:
        return "unknown"
    paths = ["src", "benchmarks/*.py", "benchmarks/*/*.py"]
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", *paths], check=False)
    return found.stdout.strip()[:12] + ("+" if changed.returncode else "")


def progress(items: Sequence[Item], title: str) -> Iterator[Item]:
    """Yield the items and count them on the error stream."""
    for number, item in enumerate(items, 1):
        sys.stderr.write(f"\r{title} {number}/{len(items)} ")
        sys.stderr.flush()
        yield item
    sys.stderr.write("\n")


def write(folder: Path, results: Mapping[str, Any], table: str) -> None:
    """Write results.json, and the table between the markers of a README.md that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    finished = {"schema": SCHEMA, **results, "load_at_end": round(os.getloadavg()[0], 2)}
    _replace(folder / "results.json", json.dumps(finished, indent=1) + "\n")
    page = folder / "README.md"
    if page.exists():
        text = page.read_text(encoding="utf-8")
        before, begin, rest = text.partition(BEGIN)
        _, end, after = rest.partition(END)
        if not begin or not end:
            raise SystemExit(f"{page.name}: markers {BEGIN} and {END} expected")
        _replace(page, f"{before}{BEGIN}\n{table}\n{END}{after}")
    sys.stdout.write(table + "\n")


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def rows(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def caption(results: Mapping[str, Any]) -> str:
    """Return the line below a table: machine, versions, commit, load."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    note = f" ({results['note']})" if results["note"] else ""
    return (
        f"Median (lowest - highest). {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gb']} GB, {machine['system']}; one core, one thread; load average "
        f"{results['load_at_start']:g} at the start{note}. {versions}. Commit {results['commit']}."
    )


def shown(figure: Mapping[str, float], digits: int = 0) -> str:
    """Return "median (lowest-highest)"."""
    median, low, high = (f"{figure[key]:,.{digits}f}" for key in ("median", "lowest", "highest"))
    return f"{median} ({low} - {high})"
