"""A day of two leads from file to JSON: time, memory; and what spread statistics change.

The day is made of MIT-BIH's half-hours, one after another. `fascicle analyze` reads it in a process
of its own, which says how much memory it took, with one core and with two. Then half-hours are read
twice, with statistics of every ten seconds and as seldom as in a day, and the findings compared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

import measuring  # noqa: E402

if TYPE_CHECKING:
    from fascicle.predict import Model
    from fascicle.record import Record
    from fascicle.tasks import Outcome

TARGETS = {"times_real_time_on_two_cores": 1500, "peak_mb": 1500}
SPREAD = ("100", "105", "106", "119", "201", "203", "207", "222")
"""Half-hours in which statistics are compared: clean, noisy, with ectopic beats and with AF."""
GAIN = 200
NEAR_S = 0.15


def main() -> None:
    options = measuring.parser(__doc__ or "", FOLDER)
    options.add_argument("--bundle", type=Path, help="default: the one that ships")
    options.add_argument("--cores", default="0,1", help="of the run on several, one per thread")
    options.add_argument("--part", choices=("day", "spread"), help="measure one; keep the other")
    options.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.one:
        sys.stdout.write(json.dumps(analyze_here(*asked.one, asked.bundle)))
        return
    measuring.limit_threads()
    folder = measuring.out_folder(asked, FOLDER)
    known = folder / "results.json"
    results = json.loads(known.read_text()) if asked.part and known.exists() else {}
    results |= measuring.describe(("fascicle", "numpy", "scipy", "torch"), asked.core, asked.note)
    if asked.part != "spread":
        with tempfile.TemporaryDirectory() as scratch:
            results["day"] = read_days(asked, Path(scratch))
    if asked.part != "day":
        measuring.pin(asked.core)
        results["spread"] = compare(half_hours(asked), asked.bundle)
    results["targets"] = TARGETS
    measuring.write(folder, results, table(results))


def half_hours(asked: argparse.Namespace) -> list[Path]:
    """Return the records whose statistics are compared, without suffix; a quick run has none."""
    folder = asked.data or Path.home() / ".cache" / "fascicle" / "data"
    return [] if asked.quick else [folder / "mitdb" / name for name in SPREAD]


def make_day(asked: argparse.Namespace, path: Path) -> None:
    """Write a record of two leads at 360 Hz: all of MIT-BIH, or twenty synthetic minutes."""
    import numpy as np

    samples, firsts, sums = 0, (0, 0), np.zeros(2, dtype=np.int64)
    with path.with_suffix(".dat").open("wb") as file:
        for signal in signals(asked):
            counts = np.rint(np.nan_to_num(signal) * GAIN).astype("<i2")
            file.write(counts.T.tobytes())
            firsts = firsts if samples else tuple(counts[:, 0].tolist())
            samples, sums = samples + counts.shape[1], sums + counts.sum(axis=1)
    lines = [f"{path.name} 2 360 {samples}"]
    for lead, first, total in zip(("MLII", "V1"), firsts, sums.tolist(), strict=True):
        check = (total + 2**15) % 2**16 - 2**15
        lines.append(f"{path.name}.dat 16 {GAIN}/mV 12 0 {first} {check} 0 {lead}")
    path.with_suffix(".hea").write_text("\n".join(lines) + "\n", encoding="utf-8")


def signals(asked: argparse.Namespace) -> Any:
    """Yield signals (2, sample) in mV at 360 Hz."""
    if asked.quick:
        from fascicle.synth import synthesize

        for seed in range(20):
            yield synthesize(
                "pvc", seed=seed, duration_s=60.0, rate_hz=360.0, leads=("II", "V1")
            ).signal
        return
    from fascicle.io import read

    folder = asked.data or Path.home() / ".cache" / "fascicle" / "data"
    headers = sorted((folder / "mitdb").glob("*.hea"))
    if len(headers) != 48:
        raise SystemExit(f"48 records of MIT-BIH expected under --data, found {len(headers)}")
    for header in headers:
        yield read(header, annotations=False).signal


def read_days(asked: argparse.Namespace, scratch: Path) -> list[dict[str, Any]]:
    """Return what reading the day takes with one core and with several."""
    make_day(asked, scratch / "day")
    every = [int(core) for core in asked.cores.split(",")]
    chosen = {1: every[-1:], len(every): every}
    return [analyze(scratch, cores, asked.bundle) for cores in chosen.values()]


def analyze(scratch: Path, cores: Sequence[int], bundle: Path | None) -> dict[str, Any]:
    """Return what one run of the command takes, from its start to its end."""
    command = [sys.executable, __file__, "--one", scratch / "day", scratch / "out"]
    command += [",".join(map(str, cores))]
    if bundle:
        command += ["--bundle", bundle]
    environment = os.environ | dict.fromkeys(measuring.THREADS, str(len(cores)))
    begin = time.perf_counter()
    done = subprocess.run(
        list(map(str, command)), env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    wall_s = time.perf_counter() - begin
    row = {"threads": len(cores), **json.loads(done.stdout.splitlines()[-1]), "wall_s": wall_s}
    with (scratch / "out" / "day.json").open(encoding="utf-8") as file:
        found = json.load(file)
    row["duration_s"] = found["record"]["duration_s"]
    row |= {name: len(found[name]) for name in ("waves", "beats")}
    row["json_mb"] = (scratch / "out" / "day.json").stat().st_size / 1e6
    row["times_real_time"] = row["duration_s"] / wall_s
    return row


def analyze_here(path: str, out: str, cores: str, bundle: Path | None) -> dict[str, float]:
    """Analyze in this process; return its processor time and its peak resident memory."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    from fascicle.cli.app import app

    arguments = ["analyze", path, "--out", out, "--format", "json"]
    app(arguments + (["--bundle", str(bundle)] if bundle else []), standalone_mode=False)
    return {"cpu_s": time.process_time(), "peak_mb": measuring.peak_mb()}


def compare(paths: Sequence[Path], bundle: Path | None) -> list[dict[str, Any]]:
    """Return for each record what changes when its statistics are those of a day."""
    from fascicle.io import read
    from fascicle.predict import load

    model, rows = load(bundle, threads=1), []
    for path in measuring.progress(paths, "statistics"):
        record = read(path)
        every, some = outcome(model, record, 1e9), outcome(model, record, 60.0)
        rows.append({"record": path.name, **beat_changes(record, every, some)})
        rows[-1] |= wave_changes(every, some)
    return rows


def outcome(model: Model, record: Record, every_s: float) -> Outcome:
    """Return what is found where statistics of over `every_s` are spread: one window a minute."""
    from fascicle import outcomes, passing

    prepared = model.prepare(record)
    before, passing.EVERY_S = passing.EVERY_S, every_s
    try:
        return outcomes.outcome_by_blocks(
            model.network, model.tasks, prepared, model.bundle, chunk_s=passing.LONG_CHUNK_S
        )
    finally:
        passing.EVERY_S = before


def beat_changes(record: Record, every: Outcome, some: Outcome) -> dict[str, Any]:
    """Return beats that only one has, other kinds, and both beside the annotators."""
    from fascicle.metrics.beats import match_beats

    times = [[beat.time_s for beat in found.beats] for found in (every, some)]
    match = match_beats(*times, NEAR_S)
    pairs = zip(match.reference, match.estimate, strict=True)
    row: dict[str, Any] = {
        "beats": len(times[0]),
        "beats_lost": len(match.missed),
        "beats_new": len(match.extra),
        "other_kind": sum(every.beats[a].kind != some.beats[b].kind for a, b in pairs),
    }
    marks = [beat.time_s for beat in record.beats]
    for name, found in zip(("every", "some"), times, strict=True):
        against = match_beats(marks, found, NEAR_S)
        row[f"sensitivity_{name}"] = len(against.reference) / len(marks)
        row[f"ppv_{name}"] = len(against.reference) / len(found)
    return row


def wave_changes(every: Outcome, some: Outcome) -> dict[str, Any]:
    """Return waves that only one has, and how far boundaries move."""
    import numpy as np

    from fascicle.metrics.beats import match_beats

    lost = new = 0
    moved: list[float] = []
    either = (*every.waves, *some.waves)
    for lead, kind in sorted({(wave.lead or "", wave.kind) for wave in either}):
        own = [
            np.array(boundaries(found, lead, kind)).astype(np.float64).reshape(-1, 2)
            for found in (every, some)
        ]
        match = match_beats(own[0][:, 0], own[1][:, 0], NEAR_S)
        lost, new = lost + len(match.missed), new + len(match.extra)
        moved += np.abs(own[0][match.reference] - own[1][match.estimate]).ravel().tolist()
    return {
        "waves": len(every.waves),
        "waves_lost": lost,
        "waves_new": new,
        "boundary_mean_ms": 1000 * float(np.mean(moved)),
        "boundary_p99_ms": 1000 * float(np.quantile(moved, 0.99)),
    }


def boundaries(found: Outcome, lead: str, kind: str) -> list[tuple[float | None, float | None]]:
    """Return onset and offset of the waves of a kind in a lead."""
    own = [wave for wave in found.waves if (wave.lead, wave.kind) == (lead, kind)]
    return [(wave.onset_s, wave.offset_s) for wave in own]


def table(results: dict[str, Any]) -> str:
    """Return the tables of what was measured."""
    body = [
        (
            str(row["threads"]),
            f"{row['wall_s']:.1f}",
            f"{row['cpu_s']:.1f}",
            f"{row['times_real_time']:,.0f}",
            f"{row['peak_mb']:,.0f}",
            f"{row['waves']:,}",
            f"{row['beats']:,}",
            f"{row['json_mb']:.0f}",
        )
        for row in results.get("day", [])
    ]
    head = ("threads", "wall s", "cpu s", "x real time", "peak MB", "waves", "beats", "JSON MB")
    texts = [measuring.rows(head, body)] if body else []
    body = [
        (
            row["record"],
            f"{row['beats']} -{row['beats_lost']} +{row['beats_new']}",
            str(row["other_kind"]),
            f"{row['sensitivity_every']:.4f} / {row['sensitivity_some']:.4f}",
            f"{row['ppv_every']:.4f} / {row['ppv_some']:.4f}",
            f"{row['waves']} -{row['waves_lost']} +{row['waves_new']}",
            f"{row['boundary_mean_ms']:.2f} / {row['boundary_p99_ms']:.1f}",
        )
        for row in results.get("spread", [])
    ]
    head = (
        *("record", "beats", "other kind", "sensitivity, every / some", "PPV, every / some"),
        *("waves", "boundaries move, mean / 99 %, ms"),
    )
    if body:
        texts.append(measuring.rows(head, body))
    return "\n\n".join([*texts, measuring.caption(results)])


if __name__ == "__main__":
    main()
