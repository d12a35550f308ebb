"""The tables of the page, from the results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from measuring import caption, rows, shown

TITLES = {
    "resnet18_se": "**`resnet18_se`**, 12 x 4096",
    "unet": "**`unet`**, three heads, 12 x 4096",
    "unet_2500": "**`unet`**, three heads, 12 x 2500",
    "resnet": "torch_ecg ResNet, 12 x 4096",
    "crnn": "torch_ecg CRNN, 12 x 4096",
}
READING = {
    "pack": "random windows from a training pack",
    "batch": "the same, as batches of the training",
    "fascicle": "`fascicle.io.read`",
    "wfdb": "`wfdb.rdrecord`",
}


def table(results: Mapping[str, Any]) -> str:
    parts = []
    for device, found in results["devices"].items():
        name = results["gpu"] if device == "cuda" else "one core"
        parts += [training(found, name), inference(found, name), sizes(found, name)]
    parts.append(scoring(results))
    if results["reading"]:
        parts.append(reading(results["reading"]))
    peer = results["peer_versions"] or {}
    versions = ", ".join(f"{name} {number}" for name, number in peer.items())
    parts.append(caption(results) + (f" torch_ecg's environment: {versions}." if peer else ""))
    if results["quick"]:
        parts.append("A quick run: our nets are narrowed, so that no figure means anything.")
    return "\n\n".join(parts)


def ratio(made: Mapping[str, Any], peer: str) -> str:
    faster = made["times_faster_than"].get(peer)
    return shown(faster, 2) if faster else ""


def share(figure: Mapping[str, float] | None, digits: int) -> str:
    """Return a share as "median % (lowest - highest)"."""
    if figure is None:
        return ""
    median, low, high = (
        f"{100 * figure[key]:.{digits}f}" for key in ("median", "lowest", "highest")
    )
    return f"{median} % ({low} - {high})"


def training(found: Mapping[str, Any], device: str) -> str:
    head = [
        f"training step, batch {found['batch']}, {device}",
        *("precision", "records/s", "records/processor s", "of the peak"),
        *("waiting for data", "x torch_ecg ResNet", "x torch_ecg CRNN"),
    ]
    body = [
        [
            *(TITLES[name], precision),
            *(shown(made["per_second"], 1), shown(made["per_cpu_second"], 1)),
            *(share(made.get("of_peak"), 0), share(made.get("waiting"), 2)),
            *(ratio(made, "resnet"), ratio(made, "crnn")),
        ]
        for name, precisions in found["training"].items()
        for precision, made in precisions.items()
    ]
    return rows(head, body)


def inference(found: Mapping[str, Any], device: str) -> str:
    batch = str(found["batch"])
    head = [f"inference, {device}", "precision", "batch 1, ms", *(["x ResNet", "x CRNN"])]
    head += [f"batch {batch}, records/s", "x ResNet", "x CRNN"]
    body = []
    for name, precisions in found["inference"].items():
        for precision, made in precisions.items():
            one, many = made["1"], made[batch]
            body.append(
                [
                    *(TITLES[name], precision, shown(one["ms"], 1)),
                    *(ratio(one, "resnet"), ratio(one, "crnn")),
                    speed(many["ms"], int(batch)),
                    *(ratio(many, "resnet"), ratio(many, "crnn")),
                ]
            )
    return rows(head, body)


def speed(ms: Mapping[str, float], batch: int) -> str:
    pairs = (("median", "median"), ("lowest", "highest"), ("highest", "lowest"))
    return shown({key: 1e3 * batch / ms[other] for key, other in pairs}, 1)


def sizes(found: Mapping[str, Any], device: str) -> str:
    """Return the nets' sizes, and the sentence on the peak and on making a batch."""
    body = []
    for name, net in found["nets"].items():
        parts = f" ({', '.join(net['parts'])})" if "parts" in net else ""
        work = "" if name == "crnn" else f"{net['operations'] / 1e9:.1f}"
        making = found["making_a_batch_ms"].get(name)
        cells = [f"{net['parameters']:,}", work, shown(making, 1) if making else ""]
        body.append([TITLES[name] + parts, *cells])
    work = "GFLOP of a training step for one record"
    made = rows(["net", "parameters", work, "making a batch, processor ms"], body)
    peaks = ", ".join(
        f"{precision} {shown({k: v / 1e9 for k, v in figure.items()})}"
        for precision, figure in found["peak_per_second"].items()
    )
    return f"{made}\n\nPeak, the best product of large matrices, {device}, GFLOP/s: {peaks}."


def scoring(results: Mapping[str, Any]) -> str:
    found = results["scoring"]
    head = ["five official scores, one core, s", "fascicle", "processor"]
    head += ["official program", "processor", "x faster"]
    body = []
    for what, count in found["records"].items():
        made = found[what]
        cells = [shown(made[f"fascicle_{clock}"], 2) for clock in ("wall_s", "cpu_s")]
        if "official_wall_s" in made:
            cells += [shown(made[f"official_{clock}"], 1) for clock in ("wall_s", "cpu_s")]
            cells.append(shown(made["times_faster"], 1))
        else:
            cells += [""] * 3
        body.append([f"{count:,} records x 26 classes, from {what}", *cells])
    return rows(head, body)


def reading(found: Mapping[str, Any]) -> str:
    head = [f"reading {found['source']}, one core", "records/s", "the pack is x faster"]
    body = []
    for way, title in READING.items():
        faster = found["pack_times_faster_than"].get(way)
        speed = shown(found["per_second"][way])
        body.append([title, speed, shown(faster) if faster else ""])
    return rows(head, body)
