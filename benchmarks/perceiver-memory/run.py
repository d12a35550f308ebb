"""How the memory of the Perceiver head grows with the length of a record, from 10 s to 24 h.

Each length is read by a process of its own, which says how much its peak resident memory rose while
the head ran. Frames and logits are made up: what they hold changes neither memory nor time. The
records have a beat a second; logits of waves take no memory here (predict holds them anyway).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

import measuring  # noqa: E402

measuring.limit_threads()

STEP = 64
SHAPES = {
    "paper": {"channels": 512, "rate_hz": 500.0, "latents": 64, "width": 256},
    "small": {"channels": 128, "rate_hz": 250.0, "latents": 32, "width": 128},
}
SECONDS = (10, 60, 600, 3600, 6 * 3600, 24 * 3600)
QUICK = (10, 3600, 2 * 3600, 4 * 3600)


def read_once(shape: str, seconds: int) -> dict[str, float]:
    """Return frames, megabytes that they take, megabytes that reading them took, and seconds."""
    import torch

    from fascicle.models.perceiver import PerceiverHead
    from fascicle.models.unet import Features

    torch.manual_seed(0)
    settings: dict[str, Any] = dict(SHAPES[shape])
    channels = int(settings.pop("channels"))
    rate_hz = settings["rate_hz"]
    samples = round(seconds * rate_hz)
    frames = torch.randn(1, channels, -(-samples // STEP))
    beats = torch.full((1, 1, samples), -1.0)
    beats[..., :: round(rate_hz)] = 1.0
    needed = {"waves": torch.zeros(1, 1, 4, 1).expand(1, 1, 4, samples), "beats": beats}
    signal = torch.zeros(1, 1, 1).expand(1, 1, samples)
    present, valid = torch.ones(1, 1, dtype=torch.bool), torch.tensor([samples])
    head = PerceiverHead(channels, 26, **settings).eval()
    before, begun = measuring.peak_mb(), time.process_time()
    with torch.inference_mode():
        head(
            Features(frames, STEP, frames, STEP), signal, present, valid, torch.zeros(1, 6), needed
        )
    return {
        "frames": frames.shape[-1],
        "frames_mb": frames.numel() * 4 / 1e6,
        "head_mb": measuring.peak_mb() - before,
        "cpu_s": time.process_time() - begun,
    }


def measure(lengths: Sequence[int]) -> list[dict[str, Any]]:
    """Return a row for each shape and length."""
    rows = []
    jobs = [(shape, seconds) for shape in SHAPES for seconds in lengths]
    for shape, seconds in measuring.progress(jobs, "lengths"):
        command = [sys.executable, __file__, "--one", shape, str(seconds)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows.append({"shape": shape, "seconds": seconds, **json.loads(said)})
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as a table."""
    lines = [
        "| head | record | frames | they take, MB | the head adds, MB | bytes per frame | cpu s |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        minutes = row["seconds"] / 60
        length = f"{row['seconds']} s" if minutes < 1 else f"{minutes:g} min"
        length = f"{minutes / 60:g} h" if minutes >= 60 else length
        each = row["head_mb"] * 1e6 / row["frames"]
        lines.append(
            f"| {row['shape']} | {length} | {row['frames']} | {row['frames_mb']:.1f} | "
            f"{row['head_mb']:.1f} | {each:.0f} | {row['cpu_s']:.2f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write results.json and the table."""
    parser = measuring.parser(__doc__ or "", FOLDER)
    parser.add_argument("--one", nargs=2, metavar=("SHAPE", "SECONDS"), help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.one:
        sys.stdout.write(json.dumps(read_once(asked.one[0], int(asked.one[1]))))
        return
    core = measuring.pin(asked.core)
    rows = measure(QUICK if asked.quick else SECONDS)
    described = measuring.describe(("fascicle", "torch"), core, asked.note)
    folder = measuring.out_folder(asked, FOLDER)
    measuring.write(folder, {**described, "rows": rows}, table(rows))


if __name__ == "__main__":
    main()
