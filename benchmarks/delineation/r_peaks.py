"""R peaks on all of MIT-BIH by folds of patients, beside xqrs, gqrs and NeuroKit2.

    python benchmarks/delineation/r_peaks.py --data DIR --peer-python NEUROKIT2
    python benchmarks/delineation/r_peaks.py --data DIR --train

What is found goes into annotation files under out/, so that an interrupted run goes on, and
`fascicle score --beats` can check it. Counts are those of `bxb`: 150 ms, no flutter.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import parts
import wfdb
import wfdb.processing
from folds import shared_start, trained
from measuring import ROOT, progress, rows
from numpy.typing import NDArray
from processes import Worker

from fascicle.data.sources import Item
from fascicle.decode.beats import find_beats
from fascicle.evaluate import items_of
from fascicle.io import read
from fascicle.io.beats import read_beat_files
from fascicle.metrics.beats import LEARNING_S, confusion, detection_scores
from fascicle.metrics.bootstrap import sums_interval
from fascicle.metrics.ec57 import match_as_bxb
from fascicle.predict import Array, Model, Prepared, choose_leads, load, outcome
from fascicle.record import Beat, Record
from fascicle.signal.leads import select_leads
from fascicle.signal.quality import assess

RECIPE = ROOT / "recipes" / "r-peaks.toml"
FOLDS = 4
STARTS = {"0:00": 0.0, "5:00": LEARNING_S}
TARGET = 0.998
PEER = "NeuroKit2"
Samples = NDArray[np.int64]


def main() -> None:
    options = parts.options(__doc__ or "")
    options.add_argument("--train", action="store_true", help="train the nets of the folds only")
    asked = options.parse_args()
    about = parts.start(asked)
    if asked.quick:
        folder = synthetic(ROOT / "out" / "benchmarks" / "delineation" / "mitdb")
        items = [Item(f"mitdb/{name}", folder / name, name, 1) for name in ("100", "101")]
        nets = dict.fromkeys(("100", "101"), load(threads=1))
    else:
        items = items_of("mitdb", asked.data, None)
        nets = fold_nets(items, asked)
    if not asked.train:
        result = about | measure(items, nets, asked)
        parts.write(asked, "r_peaks", result, table(result))


def fold_nets(items: Sequence[Item], asked: argparse.Namespace) -> dict[str, Model]:
    """Return by record the net that has not seen its patient."""
    fold = dealt(items)
    nets = {}
    start = shared_start(asked)
    for held in range(FOLDS):
        taught = [item.path.name for item in items if fold[item.path.name] != held]
        print(f"fold {held}: {len(taught)} records teach", flush=True)
        change = f"groups.0.records={taught}"
        folder = asked.runs / f"{RECIPE.stem}-{held}"
        bundle = trained(RECIPE, [change], folder, asked, start)
        model = load(bundle, threads=1)
        nets |= {i.path.name: model for i in items if fold[i.path.name] == held}
    return nets


def dealt(items: Sequence[Item]) -> dict[str, int]:
    """Return the fold of each record; those of one patient are in one."""
    patients = sorted({item.patient for item in items})
    return {item.path.name: patients.index(item.patient) % FOLDS for item in items}


def measure(
    items: Sequence[Item], nets: dict[str, Model], asked: argparse.Namespace
) -> dict[str, Any]:
    """Return the scores and times of every detector."""
    cache = ROOT / "out" / "delineation" / ("quick" if asked.quick else "r-peaks")
    prints = hashlib.sha256("".join(net.bundle.weights_sha256 for net in nets.values()).encode())
    mark = prints.hexdigest()[:12]
    detectors: dict[str, Callable[[Item], Samples]] = {
        "ours, both leads": lambda item: ours(nets[item.path.name], read, item),
        "ours, beats head alone": lambda item: head_alone(nets[item.path.name], item),
        "ours, first lead alone": lambda item: ours(nets[item.path.name], first_lead, item),
        "xqrs": xqrs,
        "gqrs": gqrs,
    }
    worker = None
    if asked.peer_python:
        script = Path(__file__).with_name("neurokit_worker.py")
        worker = Worker([asked.peer_python, script])
        detectors[PEER] = lambda item: neurokit(worker, item)
    found = {}
    for title, detect in detectors.items():
        own = f"@{mark}" if title.startswith("ours") else ""
        folder = cache / f"{title.replace(', ', '-').replace(' ', '-')}{own}"
        seconds = [kept(detect, item, folder) for item in progress(items, title)]
        found[title] = scores(items, folder) | {"cpu_s": statistics.median(seconds)}
    if worker:
        with worker:
            pass
    return {"records": len(items), "folds": FOLDS, "detectors": found}


def kept(detect: Callable[[Item], Samples], item: Item, folder: Path) -> float:
    """Write the annotation file of a record if it is not there; return the processor time, s."""
    folder.mkdir(parents=True, exist_ok=True)
    name, clock = item.path.name, folder / f"{item.path.name}.seconds"
    if not clock.exists():
        begin = time.process_time()
        peaks = detect(item)
        seconds = getattr(detect, "seconds", time.process_time() - begin)
        wfdb.wrann(name, "qrs", peaks, ["N"] * len(peaks), fs=360, write_dir=str(folder))
        clock.write_text(str(seconds))
    return float(clock.read_text())


def ours(net: Model, seen: Callable[[Path], Record], item: Item) -> Samples:
    """Return the beats that the product finds, in samples of the file."""
    record, prepared, arrays = answers(net, seen, item)
    return samples_of(outcome(prepared, arrays, net.bundle, net.tasks).beats, record)


def head_alone(net: Model, item: Item) -> Samples:
    """Return the beats that the beats head finds when no QRS is asked."""
    record, _, arrays = answers(net, read, item)
    rate_hz = net.bundle.recipe.preprocessing.rate_hz
    return samples_of(find_beats(arrays["beats"][0], arrays["beats"][1:], rate_hz), record)


def answers(
    net: Model, seen: Callable[[Path], Record], item: Item
) -> tuple[Record, Prepared, dict[str, Array]]:
    record = choose_leads(seen(item.path), None)
    prepared = net.prepare(record, assess(record))
    return record, prepared, net.probabilities(prepared)


def samples_of(beats: Sequence[Beat], record: Record) -> Samples:
    times = np.array([beat.time_s for beat in beats])
    return np.unique(np.rint(times * record.rate_hz).astype(np.int64))


def first_lead(path: Path) -> Record:
    record = read(path)
    return select_leads(record, record.leads[:1])


def signal_of(item: Item) -> tuple[NDArray[np.float64], float]:
    record = wfdb.rdrecord(str(item.path), channels=[0])
    return np.nan_to_num(record.p_signal[:, 0]), record.fs


def xqrs(item: Item) -> Samples:
    signal, rate_hz = signal_of(item)
    return np.asarray(wfdb.processing.xqrs_detect(signal, rate_hz, verbose=False), dtype=np.int64)


def gqrs(item: Item) -> Samples:
    signal, rate_hz = signal_of(item)
    peaks = wfdb.processing.gqrs_detect(signal, rate_hz, adc_gain=200.0, adc_zero=0)
    return np.asarray(peaks, dtype=np.int64)


def neurokit(worker: Worker | None, item: Item) -> Samples:
    assert worker is not None
    return np.array(worker.request({"path": str(item.path), "peaks": True})["peaks"], np.int64)


def scores(items: Sequence[Item], folder: Path) -> dict[str, Any]:
    """Return sensitivity and PPV from 0:00 and from 5:00, their limits, and the worst records."""
    told: dict[str, Any] = {}
    for start, start_s in STARTS.items():
        tables = np.stack([counts(item, folder, start_s) for item in items]).astype(np.float64)
        told[start] = limits(tables, [item.patient for item in items])
        errors = tables[:, :5, 5].sum(axis=1), tables[:, 5, :5].sum(axis=1)
        told[start] |= {"missed": int(errors[0].sum()), "extra": int(errors[1].sum())}
        if start == "0:00":
            worst = np.argsort(-(errors[0] + errors[1]), kind="stable")[:6]
            told["worst"] = {
                items[place].path.name: [int(errors[0][place]), int(errors[1][place])]
                for place in worst.tolist()
            }
    return told


def counts(item: Item, folder: Path, start_s: float) -> NDArray[np.int64]:
    name = item.path.name
    files = read_beat_files(item.path.with_suffix(".atr"), folder / f"{name}.qrs")
    match = match_as_bxb(
        files.reference.samples,
        files.estimate.samples,
        files.rate_hz,
        start_s=start_s,
        samples=files.length,
        flutter=files.reference.flutter,
    )
    return confusion(files.reference.kinds, files.estimate.kinds, match)


def limits(tables: NDArray[np.float64], patients: Sequence[str]) -> dict[str, Any]:
    def both(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        made = detection_scores(sums)
        return np.stack([made["sensitivity"], made["ppv"]], axis=-1)

    value = both(tables.sum(axis=0))
    low, high = sums_interval(both, tables, patients, rng=np.random.default_rng(0))
    return {
        key: [float(value[place]), float(low[place]), float(high[place])]
        for place, key in enumerate(("sensitivity", "ppv"))
    }


def table(result: dict[str, Any]) -> str:
    head = ["detector", "sensitivity", "PPV", "missed, extra", "from 5:00", "s per half hour"]
    body = []
    for name, found in result["detectors"].items():
        first, later = found["0:00"], found["5:00"]
        body.append(
            [
                name,
                shown(first["sensitivity"]),
                shown(first["ppv"]),
                f"{first['missed']}, {first['extra']}",
                f"{later['sensitivity'][0]:.4f}, {later['ppv'][0]:.4f}",
                f"{found['cpu_s']:.2f}" if name != PEER else "not measured",  # in its own process
            ]
        )
    body.append(["to reach", str(TARGET), str(TARGET), "", "", ""])
    return rows(head, body)


def shown(figure: Sequence[float]) -> str:
    return "{:.4f} ({:.4f} to {:.4f})".format(*figure)


def synthetic(folder: Path) -> Path:
    """Return a folder with two minutes of two synthetic records and their beats."""
    from fascicle.synth import Noise, synthesize

    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(("100", "101")):
        made = synthesize("pvc", seed=seed, rate_hz=360.0, duration_s=400.0, noise=Noise())
        two = select_leads(made, ("II", "V1"))
        signal = np.ascontiguousarray(two.signal.T, dtype=np.float64)
        wfdb.wrsamp(
            name,
            fs=360,
            units=["mV"] * 2,
            sig_name=["MLII", "V1"],
            p_signal=signal,
            fmt=["16"] * 2,
            adc_gain=[200.0] * 2,
            baseline=[0] * 2,
            write_dir=str(folder),
        )
        samples = np.rint([beat.time_s * 360 for beat in made.beats]).astype(np.int64)
        symbols = [beat.kind for beat in made.beats]
        wfdb.wrann(name, "atr", samples, symbols, fs=360, write_dir=str(folder))
    return folder


if __name__ == "__main__":
    main()
