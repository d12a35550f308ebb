"""The nets of the folds beside NeuroKit2, on the same records of LUDB with the same metric.

    python benchmarks/delineation/peers.py --data DIR --peer-python NEUROKIT2

What NeuroKit2 finds is kept under out/, record by record, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import parts
from folds import Held, held_out
from measuring import ROOT, progress, rows
from processes import Worker

from fascicle.io.leads import standard_name
from fascicle.record import WAVE_KINDS, Wave
from fascicle.tasks import Outcome, Resampling, make_task

F1 = ("f1_150", "f1_40")
METHODS = ("dwt", "cwt", "peak", "prominence")
CITED: dict[str, Any] = {
    "records": 50,
    "f1_150": (0.934, 0.995, 0.991),
    "f1_40": (0.915, 0.987, 0.858),
    "sd": ((17, 14), (10, 11), (32, 25)),
    "dice": (0.84, 0.92, 0.88),
    "cpu_s": 0.235,
}
"""A public U-Net, trained for nine minutes, on 50 records that it did not see: measured before this
benchmark was, by the same conventions."""
U_NET = "plain U-Net, other run, 50 records"
OURS = "fascicle, five folds"


def main() -> None:
    asked = parts.options(__doc__ or "").parse_args()
    about = parts.start(asked)
    result = about | measure(held_out(asked), asked)
    parts.write(asked, "peers", result, table(result), short=summary(result))


def measure(held: Sequence[Held], asked: argparse.Namespace) -> dict[str, Any]:
    """Return the scores of each delineator and its processor time per record."""
    found = {OURS: scores(held, [one.found for one in held])}
    found[OURS]["cpu_s"] = statistics.median(one.seconds for one in held)
    versions = None
    if asked.peer_python and not asked.quick:
        with Worker([asked.peer_python, Path(__file__).with_name("neurokit_worker.py")]) as worker:
            versions = worker.hello["versions"]
            for method in METHODS:
                found[f"NeuroKit2 {method}"] = neurokit(worker, method, held, asked.data)
    return {
        "records": len(held),
        "peer_versions": versions,
        "delineators": found,
        "cited": {U_NET: CITED},
    }


def scores(held: Sequence[Held], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the figures of `fascicle evaluate` for these waves, with limits over records."""
    task = make_task("waves")
    names = [one.reference.name for one in held]
    found = task.score(
        [one.reference for one in held], outcomes, task.vocabulary, Resampling(names)
    )
    return {
        key.removeprefix("waves."): None if value != value else round(value, 6)
        for key, value in found.items()
    }


def neurokit(worker: Worker, method: str, held: Sequence[Held], data: Path) -> dict[str, Any]:
    """Return its scores, time, and how many leads it gives up on."""
    outcomes, seconds, failed = [], [], 0
    for one in progress(held, f"NeuroKit2 {method}"):
        number = one.reference.name.rpartition("/")[2]
        answer = kept(worker, method, data / "ludb" / "data" / number)
        failed += sum(waves is None for waves in answer["waves"].values())
        seconds.append(answer["cpu_s"])
        outcomes.append(Outcome(waves_of(answer["waves"], one.reference.rate_hz)))
    more = {"cpu_s": statistics.median(seconds), "failed_leads": failed}
    return scores(held, outcomes) | more


def kept(worker: Worker, method: str, path: Path) -> dict[str, Any]:
    """Return what NeuroKit2 finds in a record, from the cache where it is there."""
    folder = ROOT / "out" / "delineation" / f"neurokit2-{worker.hello['versions']['neurokit2']}"
    cache = folder / method / f"{path.name}.json"
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(json.dumps(worker.request({"path": str(path), "method": method})))
    answer: dict[str, Any] = json.loads(cache.read_text())
    return answer


def waves_of(found: Mapping[str, Any], rate_hz: float) -> tuple[Wave, ...]:
    made = []
    for lead, waves in found.items():
        for kind, onset, offset in waves or ():
            times = [None if sample is None else sample / rate_hz for sample in (onset, offset)]
            made.append(Wave(standard_name(lead), kind, times[0], None, times[1]))
    return tuple(made)


def table(result: Mapping[str, Any]) -> str:
    """Return the summary, then F1 of each boundary with its limits."""
    every = result["delineators"]
    made = [summary(result)]
    for title, suffix in (("F1 at 150 ms", "f1_150"), ("F1 at 40 ms", "f1_40")):
        body = [
            [
                side,
                *(limits(found, f"{side.replace(' ', '.')}.{suffix}") for found in every.values()),
            ]
            for side in (f"{kind} {end}" for kind in WAVE_KINDS for end in ("onset", "offset"))
        ]
        made.append(rows([title, *every], body))
    return "\n\n".join(made)


def summary(result: Mapping[str, Any]) -> str:
    """Return F1 of both sides, SD, Dice and time of each delineator; P, QRS and T in a cell."""
    body = []
    for name, found in result["delineators"].items():
        dice = (found[f"{kind}.dice"] for kind in WAVE_KINDS)
        body.append(
            [
                name,
                *(together(found[f"{kind}.{key}"] for kind in WAVE_KINDS) for key in F1),
                ", ".join(spreads(found, kind) for kind in WAVE_KINDS),
                together(dice),
                f"{found['cpu_s']:.2f}",
            ]
        )
    spread = ", ".join(f"{on}/{off}" for on, off in CITED["sd"])
    others = [together(CITED[key]) for key in (*F1, "dice")]
    body.append([U_NET, *others[:2], spread, others[2], f"{CITED['cpu_s']:.2f}"])
    head = ["P, QRS, T", "F1 at 150 ms", "at 40 ms", "SD, onset/offset, ms", "Dice", "s a record"]
    return rows(head, body)


def together(values: Iterable[float | None]) -> str:
    return " ".join(map(figure, values))


def figure(value: float | None) -> str:
    return f"{value:.3f}".replace("0.", ".", 1) if value else "none"


def spreads(found: Mapping[str, Any], kind: str) -> str:
    values = [found[f"{kind}.{side}.error_sd_ms_150"] for side in ("onset", "offset")]
    return "/".join("none" if value is None else f"{value:.0f}" for value in values)


def limits(found: Mapping[str, Any], key: str) -> str:
    if found[key] in (None, 0):
        return "none"
    return f"{figure(found[key])} ({figure(found[key + '.low'])} to {figure(found[key + '.high'])})"


if __name__ == "__main__":
    main()
