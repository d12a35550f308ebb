"""Tiny WFDB records for quick runs, where no data set is at hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import wfdb

from fascicle.synth import Noise, synthesize


def write_records(folder: Path, count: int, seconds: float = 10.0) -> list[Path]:
    """Return the paths, without suffix, of synthetic 12-lead records at 500 Hz in `folder`."""
    paths = []
    for number in range(count):
        record = synthesize("sinus", seed=number, rate_hz=500.0, duration_s=seconds, noise=Noise())
        name = f"synthetic{number}"
        wfdb.wrsamp(
            name,
            fs=500,
            units=["mV"] * len(record.leads),
            sig_name=list(record.leads),
            p_signal=np.ascontiguousarray(record.signal.T, dtype=np.float64),
            fmt=["16"] * len(record.leads),
            adc_gain=[1000.0] * len(record.leads),
            baseline=[0] * len(record.leads),
            write_dir=str(folder),
        )
        paths.append(folder / name)
    return paths


if __name__ == "__main__":
    write_records(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
