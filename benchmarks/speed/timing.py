"""What both sides' workers do alike: clocks, repeated calls, matrix products, lines of JSON.

Needs torch alone, so that the peer's environment can import it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
Clock = tuple[float, float]


def start(name: str) -> torch.device:
    """Return the device; a GPU's worker may use every core, and computes fp32 as fp32."""
    device = torch.device(name)
    if device.type == "cuda":
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    else:
        torch.set_num_threads(1)
    return device


def answer(hello: Mapping[str, Any], ways: Mapping[str, Callable[..., Any]]) -> None:
    """Say hello, then answer each line {"do": way, ...} with a line, until there are no more."""
    print(json.dumps(hello), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(ways[request.pop("do")](**request)), flush=True)


def clock(device: torch.device) -> Clock:
    """Return wall and processor seconds, once the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter(), time.process_time()


def between(stamps: list[Clock]) -> dict[str, list[float]]:
    """Return wall and processor seconds of each step between two stamps."""
    pairs = list(pairwise(stamps))
    return {
        "wall_s": [after[0] - before[0] for before, after in pairs],
        "cpu_s": [after[1] - before[1] for before, after in pairs],
    }


def autocast(device: torch.device, precision: str) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def infer(
    forward: Callable[[], Any], device: torch.device, precision: str, runs: int
) -> dict[str, list[float]]:
    """Return the seconds of each of so many forward passes, after one that is not counted."""
    with torch.inference_mode(), autocast(device, precision):
        forward()
        stamps = [clock(device)]
        for _ in range(runs):
            forward()
            stamps.append(clock(device))
    return between(stamps)


def operations(work: Callable[[], Any]) -> int:
    """Return the floating-point operations of the convolutions and products in this work."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def multiply(device: torch.device, precision: str, size: int, runs: int) -> dict[str, float]:
    """Return the operations a second of a square matrix product: the best way, its best run.

    On a CPU torch.mm may go to MKL, which is half as fast on some of them as the library that
    computes the convolutions (oneDNN): both are tried.
    """
    generator = torch.Generator().manual_seed(1)
    one, other = (
        torch.randn(size, size, generator=generator).to(device, PRECISIONS[precision])
        for _ in range(2)
    )
    ways: list[Callable[[], Any]] = [lambda: torch.mm(one, other)]
    has = precision == "fp32" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if device.type == "cpu" and has and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        linear = torch.ops.mkldnn._linear_pointwise
        ways.append(lambda: linear(one, other, None, "none", [], ""))
    found = [infer(way, device, "fp32", runs) for way in ways]
    return {
        clock: 2 * size**3 / min(second for times in found for second in times[clock])
        for clock in ("wall_s", "cpu_s")
    }
