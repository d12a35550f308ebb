"""Eight made records in MIT-BIH's form, for quick runs: every class several times in each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import wfdb

RATE_HZ = 360
SECONDS = 400.0
OTHERS = ("100", "101")
NAMES = ("106", "114", "119", "201", "203", "205", *OTHERS)
RHYTHMS = (("N", 20.0), ("VT", 10.0), ("SVTA", 20.0), ("AFIB", 20.0), ("AFL", 20.0), ("N", 10.0))
"""Four times in a row."""


def write_records(folder: Path) -> None:
    """Write the records: narrow beats N, wide ones V, the rhythms one after the other."""
    folder.mkdir(parents=True)
    for seed, name in enumerate(NAMES):
        rng = np.random.default_rng(seed)
        times = np.arange(0.5, SECONDS - 0.5, 0.8)
        wide = np.arange(len(times)) % 5 == 0
        clock = np.arange(int(SECONDS * RATE_HZ)) / RATE_HZ
        signal = 0.02 * rng.standard_normal((len(clock), 2))
        for time_s, is_wide in zip(times, wide, strict=True):
            bump = np.exp(-0.5 * ((clock - time_s) / (0.06 if is_wide else 0.02)) ** 2)
            signal += bump[:, None]
        wfdb.wrsamp(
            name,
            fs=RATE_HZ,
            units=["mV", "mV"],
            sig_name=["MLII", "V1"],
            p_signal=signal,
            fmt=["212", "212"],
            adc_gain=[200.0, 200.0],
            baseline=[0, 0],
            write_dir=str(folder),
        )
        marks = [
            (round(t * RATE_HZ), "V" if w else "N", "") for t, w in zip(times, wide, strict=True)
        ]
        begin = 0.0
        for rhythm, length in 4 * RHYTHMS:
            marks.append((round(begin * RATE_HZ) + 1, "+", f"({rhythm}"))
            begin += length
        marks.sort()
        samples, symbols, notes = zip(*marks, strict=True)
        wfdb.wrann(
            name,
            "atr",
            np.array(samples),
            list(symbols),
            aux_note=list(notes),
            write_dir=str(folder),
        )
