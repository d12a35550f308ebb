"""NeuroKit2 on request: a line {"path": ...} comes in, a line with its times goes out.

Timed: `ecg_clean`, `ecg_peaks` and dwt `ecg_delineate` of every lead, at the file's own rate.
Reading the file is not timed.
"""

from __future__ import annotations

import json
import platform
import sys
import time
import warnings
from importlib.metadata import version

import neurokit2
import wfdb

FAILURES = (ValueError, IndexError, KeyError, TypeError, ZeroDivisionError)
"""What NeuroKit2 raises on leads where it finds too few beats."""


def main() -> None:
    warnings.simplefilter("ignore")
    packages = ("neurokit2", "numpy", "scipy", "pandas")
    hello = {name: version(name) for name in packages}
    say({"versions": {"python": platform.python_version(), **hello}})
    for line in sys.stdin:
        record = wfdb.rdrecord(json.loads(line)["path"])
        wall, cpu = time.perf_counter(), time.process_time()
        failed = sum(not delineated(lead, record.fs) for lead in record.p_signal.T)
        say(
            {
                "wall_ms": 1e3 * (time.perf_counter() - wall),
                "cpu_ms": 1e3 * (time.process_time() - cpu),
                "failed_leads": failed,
            }
        )


def delineated(lead: object, rate_hz: float) -> bool:
    """Return whether NeuroKit2 got through one lead."""
    try:
        cleaned = neurokit2.ecg_clean(lead, sampling_rate=rate_hz)
        _, peaks = neurokit2.ecg_peaks(cleaned, sampling_rate=rate_hz)
        neurokit2.ecg_delineate(cleaned, peaks["ECG_R_Peaks"], sampling_rate=rate_hz, method="dwt")
    except FAILURES:
        return False
    return True


def say(answer: dict[str, object]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
