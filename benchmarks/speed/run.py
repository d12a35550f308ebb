"""How fast fascicle trains, answers, scores and reads, beside torch_ecg and other programs.

One core, one thread for every side, each in a process of its own; they take turns in one run. On a
machine with a GPU the nets are measured on it too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

import measuring  # noqa: E402
from processes import Worker  # noqa: E402
from tables import table  # noqa: E402

PACKAGES = ("fascicle", "numpy", "scipy", "torch")
PRECISIONS = ("fp32", "bf16")
OURS = ("resnet18_se", "unet", "unet_2500")
PEERS = ("resnet", "crnn")
WINDOW = 4096
TARGETS = {"waiting_share": 0.05, "scoring_s": 2.0}


@dataclass(frozen=True, slots=True)
class Amount:
    """How much one turn takes: steps and passes of a batch, passes of one record."""

    batch: int
    rounds: int
    steps: int
    passes: int
    single: int
    matrix: int


@dataclass(frozen=True, slots=True)
class Scored:
    """How many records are scored from arrays and from files, and how often."""

    records: int
    files: int
    rounds: int


FULL = {"cpu": Amount(32, 5, 2, 3, 20, 2048), "cuda": Amount(256, 5, 20, 20, 50, 8192)}
QUICK = {"cpu": Amount(4, 1, 1, 1, 1, 256), "cuda": Amount(4, 1, 1, 1, 1, 256)}


def main() -> None:
    options = measuring.parser(__doc__ or "", FOLDER)
    options.add_argument("--packs", type=Path, help="where packs of the data are kept, for reading")
    options.add_argument(
        "--peer-python", type=Path, help="Python that has torch_ecg; default: one is made"
    )
    options.add_argument(
        "--official", type=Path, help="folder of github.com/physionetchallenges/evaluation-2021"
    )
    asked = options.parse_args()
    measuring.limit_threads()
    core = measuring.pin(asked.core)
    results = measuring.describe(PACKAGES, core, asked.note)
    peer = asked.peer_python or (None if asked.quick else peer_environment())
    with tempfile.TemporaryDirectory() as scratch:
        results |= nets(peer, quick=asked.quick)
        results["scoring"] = scoring(asked.official, Path(scratch) / "files", quick=asked.quick)
        results["reading"] = reading(asked, core, Path(scratch) / "reading")
    results |= {"quick": asked.quick, "targets": TARGETS}
    measuring.write(measuring.out_folder(asked, FOLDER), results, table(results))


def left_out(what: str, how: str) -> None:
    sys.stderr.write(f"not measured: {what}; {how}\n")


def peer_environment() -> Path:
    """Return the Python of an environment with torch_ecg, made if it is not there."""
    folder = measuring.ROOT / "out" / "benchmarks" / "torch_ecg"
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists():
        sys.stderr.write("making an environment for torch_ecg\n")
        venv.create(folder, with_pip=True, clear=True)
        wanted = FOLDER / "requirements.txt"
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", wanted], check=True)
        ready.touch()
    return python


def nets(peer: Path | None, *, quick: bool) -> dict[str, Any]:
    """Return the figures of the nets on each device that there is."""
    if peer is None:
        left_out("torch_ecg", "a quick run needs --peer-python for it")
    found: dict[str, Any] = {"peer_versions": None, "gpu": None, "devices": {}}
    for device in ("cpu", "cuda"):
        if device == "cuda" and not found["gpu"]:
            continue
        amount = (QUICK if quick else FULL)[device]
        with ExitStack() as stack:
            size = "quick" if quick else "full"
            command = [sys.executable, FOLDER / "fascicle_worker.py", device, size]
            ours = stack.enter_context(Worker(command))
            workers = dict.fromkeys(OURS, ours)
            found["gpu"] = ours.hello["gpu"]
            if peer is not None:
                command = [peer, FOLDER / "torch_ecg_worker.py", device, str(WINDOW)]
                theirs = stack.enter_context(Worker(command))
                workers |= dict.fromkeys(PEERS, theirs)
                found["peer_versions"] = theirs.hello["versions"]
            found["devices"][device] = side_by_side(workers, amount)
    return found


def side_by_side(workers: Mapping[str, Worker], amount: Amount) -> dict[str, Any]:
    """Return what the nets do in turns; the order is reversed from round to round."""
    ours = workers[OURS[0]]
    known = {
        name: worker.request({"do": "count", "name": name, "batch": amount.batch})
        for name, worker in workers.items()
    }
    rounds = []
    for turn in measuring.progress(range(amount.rounds), "round"):
        found: dict[Any, dict[str, Any]] = {}
        for precision, name in turns(workers, reverse=bool(turn % 2)):
            if name is None:
                asked = {"do": "peak", "size": amount.matrix, "runs": 10, "precision": precision}
                found["peak", precision] = ours.request(asked)
                continue
            same = {"name": name, "precision": precision}
            found["train", name, precision] = workers[name].request(
                {"do": "train", "batch": amount.batch, "steps": amount.steps, **same}
            )
            for batch, runs in ((1, amount.single), (amount.batch, amount.passes)):
                found["infer", name, precision, batch] = workers[name].request(
                    {"do": "infer", "batch": batch, "runs": runs, **same}
                )
        for name in OURS:
            asked = {"do": "make", "name": name, "batch": amount.batch, "runs": amount.passes}
            found["make", name] = ours.request(asked)
        rounds.append(found)
    return summary(known, rounds, amount)


def turns(workers: Mapping[str, Worker], *, reverse: bool) -> Iterator[tuple[str, str | None]]:
    """Yield (precision, net), and (precision, None) for the product of matrices."""
    for precision in PRECISIONS:
        names = [None, *workers]
        yield from ((precision, name) for name in (reversed(names) if reverse else names))


def summary(
    known: Mapping[str, Any], rounds: list[dict[Any, dict[str, Any]]], amount: Amount
) -> dict[str, Any]:
    """Return the spread over the rounds of every figure, and of the ratios within a round."""

    def typical(*key: object, clock: str = "wall_s") -> list[float]:
        return [statistics.median(found[key][clock]) for found in rounds]

    def times_faster(*key: object) -> dict[str, Any]:
        kind, name, *rest = key
        mine = typical(*key)
        return {
            peer: measuring.ratios(mine, typical(kind, peer, *rest))
            for peer in PEERS
            if peer in known and name in OURS
        }

    def trained(name: str, precision: str) -> dict[str, Any]:
        key, size = ("train", name, precision), amount.batch
        made = {
            "per_second": measuring.spread([size / s for s in typical(*key)]),
            "per_cpu_second": measuring.spread([size / s for s in typical(*key, clock="cpu_s")]),
            "times_faster_than": times_faster(*key),
        }
        if name in OURS:
            made["of_peak"] = measuring.spread(
                [
                    known[name]["operations"] * size / seconds / found["peak", precision]["wall_s"]
                    for seconds, found in zip(typical(*key), rounds, strict=True)
                ]
            )
            made["waiting"] = measuring.spread(
                [sum(found[key]["wait_s"]) / sum(found[key]["wall_s"]) for found in rounds]
            )
        return made

    def answered(name: str, precision: str, batch: int) -> dict[str, Any]:
        key = ("infer", name, precision, batch)
        return {
            "ms": measuring.spread([1e3 * seconds for seconds in typical(*key)]),
            "cpu_ms": measuring.spread([1e3 * s for s in typical(*key, clock="cpu_s")]),
            "times_faster_than": times_faster(*key),
        }

    return {
        "batch": amount.batch,
        "nets": dict(known),
        "peak_per_second": {
            precision: measuring.spread([found["peak", precision]["wall_s"] for found in rounds])
            for precision in PRECISIONS
        },
        "making_a_batch_ms": {
            name: measuring.spread([1e3 * s for s in typical("make", name, clock="cpu_s")])
            for name in OURS
        },
        "training": {
            name: {precision: trained(name, precision) for precision in PRECISIONS}
            for name in known
        },
        "inference": {
            name: {
                precision: {
                    str(batch): answered(name, precision, batch) for batch in (1, amount.batch)
                }
                for precision in PRECISIONS
            }
            for name in known
        },
    }


def scoring(official: Path | None, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Return the seconds of either side, from arrays and from files; their scores must agree."""
    amount = Scored(300, 20, 1) if quick else Scored(100_000, 10_000, 3)
    command = [sys.executable, FOLDER / "scoring_worker.py", folder, str(amount.files)]
    times: dict[str, Any] = {"arrays": [], "files": []}
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(command))]
        if official is not None:
            workers.append(stack.enter_context(Worker([*command, official.resolve()])))
        else:
            left_out("the official program", "--official names the folder of its files")
        for _ in measuring.progress(range(amount.rounds), "scoring"):
            for what, records in (("arrays", amount.records), ("files", None)):
                found = [worker.request({"records": records}) for worker in workers]
                check_same([side["scores"] for side in found])
                times[what].append(found)
    return {
        "records": {"arrays": amount.records, "files": amount.files},
        **{what: compared(found) for what, found in times.items()},
    }


def check_same(scores: list[list[float]]) -> None:
    """Stop if the two sides' five figures differ."""
    for mine, other in zip(scores[0], scores[-1], strict=True):
        if not abs(mine - other) <= 1e-9:  # nor NaN
            raise SystemExit(f"the scores differ: {scores[0]} and {scores[-1]}")


def compared(found: list[list[dict[str, Any]]]) -> dict[str, Any]:
    sides = {
        clock: [[side[clock] for side in pair] for pair in found] for clock in ("wall_s", "cpu_s")
    }
    made: dict[str, Any] = {
        f"fascicle_{clock}": measuring.spread([pair[0] for pair in pairs])
        for clock, pairs in sides.items()
    }
    if len(found[0]) == 2:
        for clock, pairs in sides.items():
            made[f"official_{clock}"] = measuring.spread([pair[1] for pair in pairs])
        made["times_faster"] = measuring.ratios(*zip(*sides["wall_s"], strict=True))
    return made


def reading(asked: argparse.Namespace, core: int | None, out: Path) -> dict[str, Any] | None:
    """Return what benchmarks/reading finds in this run, None without data."""
    if asked.data is None:
        left_out("reading beside wfdb", "--data names the data sets")
        return None
    command = [sys.executable, FOLDER.parent / "reading" / "run.py", "--data", asked.data]
    command += ["--out", out, *(["--packs", asked.packs] if asked.packs else [])]
    command += ["--core", str(core)] if core is not None else []
    command += ["--quick"] if asked.quick else []
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    found = json.loads((out / "results.json").read_text())
    kept = ("source", "records", "per_second", "per_cpu_second", "pack_times_faster_than")
    return {key: found[key] for key in kept}


if __name__ == "__main__":
    main()
