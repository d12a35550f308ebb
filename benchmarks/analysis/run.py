"""How long fascicle takes from a file to findings, beside NeuroKit2, and how much memory.

One core, one thread for either side. Warm: both answer in processes of their own, record by record,
in turn. Cold: `fascicle analyze` in a fresh process. This process imports neither, so that its own
memory does not count in theirs.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

import measuring  # noqa: E402
from processes import Times, Worker, fresh  # noqa: E402

PACKAGES = ("fascicle", "numpy", "scipy", "torch")
STAGES = ("read", "quality", "prepare", "net", "decode")
LONG = ("100", "207", "228")
TARGETS = {
    "warm_ms": 150,
    "times_faster_than_neurokit": 5,
    "cold_analyze_s": 4,
    "help_s": 0.5,
    "peak_mb": 1000,
}
LINES = (
    (
        "12 leads x 10 s, file to findings, warm, ms",
        *("warm", "fascicle_wall_ms", "fascicle_cpu_ms", 0, "at most 150"),
    ),
    (
        "NeuroKit2: cleaning, peaks, dwt delineation of its 12 leads, ms",
        *("warm", "neurokit_wall_ms", "neurokit_cpu_ms", 0, ""),
    ),
    (
        "fascicle is x faster, pair by pair",
        *("warm", "times_faster_wall_ms", "times_faster_cpu_ms", 1, "at least 5"),
    ),
    (
        "`fascicle analyze`, file to JSON, fresh process, s",
        *("cold", "analyze_s", "analyze_cpu_s", 2, "at most 4"),
    ),
    ("its peak memory, MB", "cold", "analyze_mb", None, 0, "under 1000"),
    ("`fascicle --help`, s", "cold", "help_s", "help_cpu_s", 2, "at most 0.5"),
    ("half an hour, 2 leads at 360 Hz, warm, s", "long", "warm_s", "warm_cpu_s", 1, ""),
    ("as times real time", "long", "times_real_time", None, 0, ""),
    ("the same, fresh process, s", "long", "analyze_s", "analyze_cpu_s", 1, ""),
    ("its peak memory, MB", "long", "analyze_mb", None, 0, "under 1000"),
    (
        "half an hour, 12 leads at 500 Hz, fresh process, s",
        *("long_12_leads", "analyze_s", "analyze_cpu_s", 1, ""),
    ),
    ("its peak memory, MB", "long_12_leads", "analyze_mb", None, 0, "under 1000"),
)
"""Title, part of the results, its wall and processor figures, digits, target."""


def main() -> None:
    options = measuring.parser(__doc__ or "", FOLDER)
    options.add_argument("--bundle", type=Path, help="default: the one that ships")
    options.add_argument("--rounds", type=int, help="times that each record is analysed")
    options.add_argument(
        "--peer-python", type=Path, help="Python that has NeuroKit2; default: one is made"
    )
    asked = options.parse_args()
    measuring.limit_threads()
    core = measuring.pin(asked.core)
    about = measuring.describe(PACKAGES, core, asked.note)
    with tempfile.TemporaryDirectory() as scratch:
        results = {**about, **measure(asked, Path(scratch))}
    measuring.write(measuring.out_folder(asked, FOLDER), results, table(results))


def measure(asked: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    records, long = quick_input(scratch) if asked.quick else full_input(asked.data)
    bundle = asked.bundle or shipped() or untrained(scratch, small=asked.quick)
    rounds = asked.rounds or (1 if asked.quick else 3)
    peer_python = asked.peer_python or (None if asked.quick else peer_environment())
    with Worker([sys.executable, FOLDER / "fascicle_worker.py", bundle]) as ours:
        pairs, peer = [], None
        if peer_python:
            with Worker([peer_python, FOLDER / "neurokit_worker.py"]) as theirs:
                peer = theirs.hello["versions"]
                pairs = side_by_side(ours, theirs, records, rounds)
        else:
            pairs = side_by_side(ours, None, records, rounds)
        split = [ours.ask(path, stages=True) for path in measuring.progress(records, "stages")]
        lengthy = [ours.ask(path) for path in measuring.progress(long, "long record")]
        about = ours.hello["bundle"]
    return {
        "bundle": about,
        "peer_versions": peer,
        "warm": summary(pairs),
        "records": [per_record(path, pair) for path, pair in zip(records, pairs, strict=True)],
        "stages_cpu_ms": {
            name: measuring.spread([times[name] for times in split]) for name in STAGES
        },
        "cold": cold(records, bundle, scratch, repeats=1 if asked.quick else 7),
        "long": {
            "records": [path.name for path in long],
            "duration_s": measuring.spread([times["duration_s"] for times in lengthy]),
            "warm_s": measuring.spread([times["wall_ms"] / 1e3 for times in lengthy]),
            "warm_cpu_s": measuring.spread([times["cpu_ms"] / 1e3 for times in lengthy]),
            "times_real_time": measuring.spread(
                [times["duration_s"] * 1e3 / times["wall_ms"] for times in lengthy]
            ),
            **fresh_analyses(long, bundle, scratch),
        },
        "long_12_leads": fresh_analyses(
            synthetic(scratch / "twelve", 1, 30 if asked.quick else 1800), bundle, scratch
        ),
        "targets": TARGETS,
    }


def full_input(data: Path | None) -> tuple[list[Path], list[Path]]:
    """Return 20 LUDB and 20 PTB-XL records, evenly spread, and three of MIT-BIH, without suffix."""
    folder = data or Path.home() / ".cache" / "fascicle" / "data"
    chosen = []
    for pattern in ("ludb/data/*.hea", "ptbxl/records500/*/*.hea"):
        found = sorted(folder.glob(pattern))
        if len(found) < 20:
            raise SystemExit(f"{pattern}: 20 records expected under --data, found {len(found)}")
        chosen += [found[place * len(found) // 20].with_suffix("") for place in range(20)]
    return chosen, [folder / "mitdb" / name for name in LONG]


def quick_input(scratch: Path) -> tuple[list[Path], list[Path]]:
    """Return two synthetic records of ten seconds, and one of half a minute."""
    return synthetic(scratch / "short", 2, 10), synthetic(scratch / "long", 1, 30)


def synthetic(folder: Path, count: int, seconds: int) -> list[Path]:
    """Return synthetic 12-lead records at 500 Hz, made by a process of their own."""
    folder.mkdir()
    script = FOLDER.parent / "synthetic.py"
    subprocess.run([sys.executable, script, folder, str(count), str(seconds)], check=True)
    return sorted(path.with_suffix("") for path in folder.glob("*.hea"))


def shipped() -> Path | None:
    """Return the bundle that ships with the package, if it does."""
    path = Path(str(files("fascicle") / "bundles" / "default.safetensors"))
    return path if path.exists() else None


def untrained(scratch: Path, *, small: bool) -> Path:
    path = scratch / "untrained.safetensors"
    changes = ["backbone.filters=[8, 8]", "backbone.decoder=[8]"] if small else []
    subprocess.run([sys.executable, FOLDER / "untrained.py", path, *changes], check=True)
    return path


def peer_environment() -> Path:
    """Return the Python of an environment with NeuroKit2, made if it is not there."""
    folder = measuring.ROOT / "out" / "benchmarks" / "neurokit"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        sys.stderr.write("making an environment for NeuroKit2\n")
        venv.create(folder, with_pip=True, clear=True)
        wanted = FOLDER / "requirements.txt"
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", wanted], check=True)
        ready.touch()
    return python


def side_by_side(
    ours: Worker, theirs: Worker | None, records: Sequence[Path], rounds: int
) -> list[list[tuple[Times, Times | None]]]:
    """Return (ours, theirs) for each record and round; who is first changes by round."""
    ours.ask(records[0])  # warm up
    if theirs:
        theirs.ask(records[0])
    found = []
    for path in measuring.progress(records, "side by side"):
        pairs = []
        for turn in range(rounds):
            their_times = theirs.ask(path) if theirs and turn % 2 else None
            our_times = ours.ask(path)
            if theirs and not turn % 2:
                their_times = theirs.ask(path)
            pairs.append((our_times, their_times))
        found.append(pairs)
    return found


def per_record(path: Path, pairs: Sequence[tuple[Times, Times | None]]) -> dict[str, Any]:
    """Return one record's milliseconds, and how many times faster fascicle was."""
    theirs = [their for _, their in pairs if their]
    ours = [our["wall_ms"] for our, _ in pairs]
    return {
        "name": f"{path.parts[-2]}/{path.name}" if path.parts[-2] != "short" else path.name,
        "fascicle_ms": measuring.spread(ours),
        "fascicle_cpu_ms": measuring.spread([our["cpu_ms"] for our, _ in pairs]),
        "waves": pairs[0][0]["waves"],
        "beats": pairs[0][0]["beats"],
        "neurokit_ms": measuring.spread([t["wall_ms"] for t in theirs]) if theirs else None,
        "neurokit_cpu_ms": measuring.spread([t["cpu_ms"] for t in theirs]) if theirs else None,
        "neurokit_failed_leads": theirs[0]["failed_leads"] if theirs else None,
        "times_faster": measuring.ratios(ours, [t["wall_ms"] for t in theirs]) if theirs else None,
    }


def summary(records: Sequence[Sequence[tuple[Times, Times | None]]]) -> dict[str, Any]:
    """Return the spread over records of their medians, and of the ratio of every pair."""
    made: dict[str, Any] = {"records": len(records), "rounds": len(records[0])}
    for clock in ("wall_ms", "cpu_ms"):
        ours = [statistics.median(our[clock] for our, _ in pairs) for pairs in records]
        made[f"fascicle_{clock}"] = measuring.spread(ours)
        both = [(our[clock], their[clock]) for pairs in records for our, their in pairs if their]
        theirs = [
            statistics.median(their[clock] for _, their in pairs if their)
            for pairs in records
            if both
        ]
        made[f"neurokit_{clock}"] = measuring.spread(theirs) if both else None
        faster = measuring.ratios([o for o, _ in both], [t for _, t in both]) if both else None
        made[f"times_faster_{clock}"] = faster
    return made


def cold(records: Sequence[Path], bundle: Path, scratch: Path, repeats: int) -> dict[str, Any]:
    """Return seconds and peak memory of fresh processes, each with another record."""
    helps = [fresh(["--help"]) for _ in measuring.progress(range(repeats), "help")]
    return {
        **fresh_analyses(records[:repeats], bundle, scratch),
        "help_s": measuring.spread([times["wall_s"] for times in helps]),
        "help_cpu_s": measuring.spread([times["cpu_s"] for times in helps]),
        "help_mb": measuring.spread([times["mb"] for times in helps]),
    }


def fresh_analyses(records: Sequence[Path], bundle: Path, scratch: Path) -> dict[str, Any]:
    """Return seconds and peak memory of `fascicle analyze`, file to JSON, one process each."""
    found = []
    for path in measuring.progress(records, "fresh process"):
        out = scratch / "findings"
        end = ["--out", out, "--format", "json", "--bundle", bundle]
        found.append(fresh(["analyze", path, *end]))
        (out / f"{path.name}.json").unlink()  # fails where nothing was written
    return {
        "analyze_s": measuring.spread([times["wall_s"] for times in found]),
        "analyze_cpu_s": measuring.spread([times["cpu_s"] for times in found]),
        "analyze_mb": measuring.spread([times["mb"] for times in found]),
    }


def table(results: Mapping[str, Any]) -> str:
    body = []
    for title, part, wall, cpu, digits, target in LINES:
        figures = [results[part][key] if key else None for key in (wall, cpu)]
        if figures[0]:  # a quick run has no peer
            cells = [measuring.shown(figure, digits) if figure else "" for figure in figures]
            body.append([title, *cells, target])
    stages = results["stages_cpu_ms"]
    parts = ", ".join(f"{name} {measuring.shown(stages[name])}" for name in STAGES)
    bundle = results["bundle"]
    which = "" if bundle["trained"] else " (untrained: its marks mean nothing)"
    return "\n\n".join(
        [
            measuring.rows(["what", "wall", "processor", "target"], body),
            f"Where the processor milliseconds of one record go: {parts}.",
            f"Bundle {bundle['name']} {bundle['version']}, sha256 {bundle['sha256'][:12]}{which}. "
            + measuring.caption(results),
        ]
    )


if __name__ == "__main__":
    main()
