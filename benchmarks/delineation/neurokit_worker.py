"""NeuroKit2 on request: a line {"path": ...} comes in, a line with what it found goes out.

With "peaks" the R peaks of the first lead, with "method" the waves of every lead by that method, in
samples; either with the processor time. Reading the file is not timed.
"""

from __future__ import annotations

import json
import math
import platform
import sys
import time
import warnings
from importlib.metadata import version
from typing import Any

import neurokit2
import numpy
import wfdb

FAILURES = (ValueError, IndexError, KeyError, TypeError, ZeroDivisionError)
"""What NeuroKit2 raises on leads where it finds too few beats."""
KINDS = {"P": "P", "QRS": "R", "T": "T"}


def main() -> None:
    warnings.simplefilter("ignore")
    packages = ("neurokit2", "numpy", "scipy", "pandas")
    hello = {name: version(name) for name in packages}
    say({"versions": {"python": platform.python_version(), **hello}})
    for line in sys.stdin:
        asked = json.loads(line)
        record = wfdb.rdrecord(asked["path"])
        signal = numpy.nan_to_num(record.p_signal)
        begin = time.process_time()
        if asked.get("peaks"):
            found: dict[str, Any] = {"peaks": r_peaks(signal[:, 0], record.fs)[1]}
        else:
            leads = zip(record.sig_name, signal.T, strict=True)
            found = {"waves": {n: waves(s, record.fs, asked["method"]) for n, s in leads}}
        say(found | {"cpu_s": time.process_time() - begin})


def r_peaks(lead: Any, rate_hz: float) -> tuple[Any, list[int]]:
    cleaned = neurokit2.ecg_clean(lead, sampling_rate=rate_hz)
    _, peaks = neurokit2.ecg_peaks(cleaned, sampling_rate=rate_hz)
    return cleaned, [int(peak) for peak in peaks["ECG_R_Peaks"]]


def waves(lead: Any, rate_hz: float, method: str) -> list[list[Any]] | None:
    """Return kind, onset and offset of each wave, None where there is none; None if it fails."""
    try:
        cleaned, peaks = r_peaks(lead, rate_hz)
        _, found = neurokit2.ecg_delineate(
            cleaned, numpy.array(peaks), sampling_rate=rate_hz, method=method
        )
    except FAILURES:
        return None
    made = []
    for kind, key in KINDS.items():
        onsets = [number(x) for x in found.get(f"ECG_{key}_Onsets", [])]
        offsets = [number(x) for x in found.get(f"ECG_{key}_Offsets", [])]
        if len(onsets) == len(offsets):  # one of each per beat
            pairs = list(zip(onsets, offsets, strict=True))
        else:
            pairs = [(x, None) for x in onsets] + [(None, x) for x in offsets]
        made += [[kind, on, off] for on, off in pairs if on is not None or off is not None]
    return made


def number(value: float) -> int | None:
    return None if math.isnan(value) else int(value)


def say(answer: dict[str, object]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
