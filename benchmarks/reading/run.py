"""How fast training windows come out of a pack, beside reading the same records from their files.

Full run: PTB-XL (compared) and further packs (drawn from only). One process, one core, page cache
warm. The four ways take turns in every round; ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

import measuring  # noqa: E402

measuring.limit_threads()  # numpy reads it at its import

import numpy as np  # noqa: E402
import wfdb  # noqa: E402
from synthetic import write_records  # noqa: E402

from fascicle.cli.places import data_folder, packs_folder  # noqa: E402
from fascicle.data.batch import Group, draw_rows, make_batch  # noqa: E402
from fascicle.data.pack import Pack, draw_windows, open_pack, write_pack  # noqa: E402
from fascicle.data.packing import pack_source  # noqa: E402
from fascicle.data.sources import SOURCES  # noqa: E402
from fascicle.io import read  # noqa: E402
from fascicle.signal.chain import Preprocessing, prepare  # noqa: E402

WINDOW = 2500
BATCH = 64
FURTHER = ("cinc2021", "ludb", "mitdb")
FROM_FILES = ("wfdb", "fascicle", "prepare")
PACKAGES = ("fascicle", "numpy", "scipy", "torch", "wfdb")
TARGET = 5000
WAYS = {
    "pack": "`draw_windows` from the pack: 12 x 2500, prepared at 250 Hz",
    "batch": "`draw_rows` + `make_batch`, as training does, not augmented",
    "wfdb": "`wfdb.rdrecord(..., return_res=32)`: 12 x 5000 at 500 Hz, not prepared",
    "fascicle": "`fascicle.io.read`: the same, checked, with age, sex and codes",
    "prepare": "`fascicle.io.read` + `prepare`: what the pack holds, without a pack",
}


@dataclass(frozen=True, slots=True)
class Amount:
    """How much one round takes: windows of the pack ways, records of the file ways."""

    rounds: int
    windows: int
    records: int


def main() -> None:
    options = measuring.parser(__doc__ or "", FOLDER)
    options.add_argument("--packs", type=Path, help="where packs are kept, made if need be")
    asked = options.parse_args()
    core = measuring.pin(asked.core)
    about = measuring.describe(PACKAGES, core, asked.note)
    with tempfile.TemporaryDirectory() as scratch:
        if asked.quick:
            paths, packs = quick_input(Path(scratch))
            amount = Amount(rounds=2, windows=BATCH, records=4)
        else:
            paths, packs = full_input(asked)
            amount = Amount(rounds=15, windows=40 * BATCH, records=40)
        results = {**about, **measure(paths, packs, amount)}
    measuring.write(measuring.out_folder(asked, FOLDER), results, table(results))


def full_input(asked: argparse.Namespace) -> tuple[list[Path], dict[str, Pack]]:
    """Return the PTB-XL records' paths, and the packs by source with PTB-XL first."""
    data, packs = data_folder(asked.data), packs_folder(asked.packs)

    def progress(shards: Any, title: str) -> Any:
        return measuring.progress(list(shards), title)

    opened = {
        name: pack_source(name, data, packs, Preprocessing(), progress)
        for name in ("ptbxl", *FURTHER)
    }
    return [item.path for item in SOURCES["ptbxl"].index(data / "ptbxl")], opened


def quick_input(scratch: Path) -> tuple[list[Path], dict[str, Pack]]:
    """Return four synthetic records and their pack."""
    paths = write_records(scratch, 4)
    items = [(path.name, path.name, "synthetic", 0) for path in paths]
    write_pack(scratch / "pack", items, lambda place: read(paths[place]), Preprocessing())
    return paths, {"synthetic": open_pack(scratch / "pack")}


def measure(paths: Sequence[Path], packs: dict[str, Pack], amount: Amount) -> dict[str, Any]:
    """Return windows and records a second, the ways in turn, after a warm round."""
    rng = np.random.default_rng(1)
    first, *others = packs
    for pack in packs.values():
        warm(pack)
    ways = ways_of(packs[first], paths, rng)
    for name in others:
        ways[name] = partial(draw, packs[name], rng)
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    cpu_speeds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in measuring.progress(range(amount.rounds + 1), "round"):
        for name, way in ways.items():
            count = amount.records if name in FROM_FILES else amount.windows
            wall_s, cpu_s = seconds(way, count)
            if turn:  # the first round warms caches
                speeds[name].append(count / wall_s)
                cpu_speeds[name].append(count / cpu_s)
    return {
        "source": first,
        "records": len(packs[first].entries),
        "pack_mb": {name: round(size_mb(pack), 1) for name, pack in packs.items()},
        "batch": BATCH,
        "per_second": {name: measuring.spread(values) for name, values in speeds.items()},
        "per_cpu_second": {name: measuring.spread(values) for name, values in cpu_speeds.items()},
        "pack_times_faster_than": {
            name: measuring.ratios(speeds[name], speeds["pack"]) for name in FROM_FILES
        },
        "target_windows_per_second": TARGET,
    }


def ways_of(
    pack: Pack, paths: Sequence[Path], rng: np.random.Generator
) -> dict[str, Callable[[int], None]]:
    """Return name -> what takes so many windows or records, chosen at random."""

    def batches(count: int) -> None:
        group = [Group(pack, pack.entries, (), BATCH)]
        for _ in range(count // BATCH):
            rows = draw_rows(group, WINDOW, (1, int(rng.integers(2**32))))
            made = make_batch(rows, WINDOW, {}).signal
            assert made.shape == (BATCH, 12, WINDOW)

    def some(count: int) -> list[Path]:
        return [paths[place] for place in rng.integers(len(paths), size=count)]

    def with_wfdb(count: int) -> None:
        for path in some(count):
            wfdb.rdrecord(str(path), return_res=32)

    def with_fascicle(count: int) -> None:
        for path in some(count):
            read(path)

    def with_prepare(count: int) -> None:
        for path in some(count):
            record = read(path)
            prepare(record.signal, record.rate_hz, pack.preprocessing)

    return {
        "pack": partial(draw, pack, rng),
        "batch": batches,
        "wfdb": with_wfdb,
        "fascicle": with_fascicle,
        "prepare": with_prepare,
    }


def draw(pack: Pack, rng: np.random.Generator, count: int) -> None:
    for _ in range(count // BATCH):
        made = draw_windows(pack, BATCH, WINDOW, rng)
        assert made.shape == (BATCH, 12, WINDOW)
        assert made.dtype == np.float32


def warm(pack: Pack) -> None:
    """Bring every page of the pack into the page cache."""
    for shard in pack.shards.values():
        shard.sum(dtype=np.int64)


def size_mb(pack: Pack) -> float:
    return sum(shard.nbytes for shard in pack.shards.values()) / 1e6


def seconds(way: Callable[[int], None], count: int) -> tuple[float, float]:
    """Return wall and processor seconds; they differ where others use the core."""
    wall, cpu = time.perf_counter(), time.process_time()
    way(count)
    return time.perf_counter() - wall, time.process_time() - cpu


def table(results: dict[str, Any]) -> str:
    further = {name: f"`draw_windows` from the pack of {name}" for name in results["per_second"]}
    body = []
    for name, title in (further | WAYS).items():
        speeds = [results[key][name] for key in ("per_second", "per_cpu_second")]
        faster = results["pack_times_faster_than"].get(name)
        body.append(
            [title, *map(measuring.shown, speeds), measuring.shown(faster) if faster else ""]
        )
    head = [
        f"{results['records']:,} records of {results['source']}",
        "a second",
        "a processor second",
        "the pack is x faster",
    ]
    return measuring.rows(head, body) + "\n\n" + measuring.caption(results)


if __name__ == "__main__":
    main()
