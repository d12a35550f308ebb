"""Write bxb_cases.json: small annotation files and what WFDB's `bxb` answered to them.

    python make_bxb_cases.py BXB

BXB is the program of github.com/bemoody/wfdb (ours: commit de6b1d3). Beats are drawn so that
they crowd, stand at the learning period's end, in flutter and beyond the record's end.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from fascicle.io.marks import Mark, encode_marks

CASES = 48
ROWS = "NSVFQOX"
COMMON, ALL, OTHERS = "NNSVA", "NLRaVFJASEj/QB?enfr!", '~+|"^ptx'
SHARES = (
    "QRS sensitivity",
    "QRS positive predictivity",
    "VEB sensitivity",
    "VEB positive predictivity",
    "VEB false positive rate",
    "SVEB sensitivity",
    "SVEB positive predictivity",
)


def draw_marks(
    rng: np.random.Generator, times: NDArray[np.float64], rate_hz: float, flutter: bool
) -> list[Mark]:
    """Return beats at the times, one a sample, and now and then flutter and other marks."""
    marks: dict[int, Mark] = {}
    for time_s in times:
        sample = int(time_s * rate_hz)
        marks[sample] = Mark(sample, str(rng.choice(list(ALL if rng.random() < 0.4 else COMMON))))
    if flutter:
        first, last = np.sort(rng.choice(times, 2, replace=False))
        on, off = int(first * rate_hz) + 1, int(last * rate_hz) + 2
        marks |= {on: Mark(on, "["), off: Mark(off, "]")}
    for sample in rng.integers(1, int(times[-1] * rate_hz), 2).tolist():
        marks.setdefault(sample, Mark(sample, str(rng.choice(list(OTHERS)))))
    return [marks[sample] for sample in sorted(marks) if sample > 0]


def draw_case(rng: np.random.Generator, number: int) -> dict[str, object]:
    """Return a case without its answer."""
    rate_hz = float(rng.choice([100, 128, 250, 360, 500]))
    start_s = 300 if number % 6 == 0 else int(rng.integers(1, 4))
    end_s = start_s + rng.uniform(4, 10)
    gap_s = rng.choice([0.2, 0.4, 0.9])
    times = np.cumsum(gap_s * rng.uniform(0.3, 1.7, int(end_s / gap_s) + 2))
    times = times[(times > start_s - 2) & (times < end_s + 0.3)]
    more = rng.uniform(times[0], times[-1], 4)
    found = np.sort(np.concatenate([times[rng.random(times.size) < 0.9], more]))
    found = np.sort(np.abs(found + rng.normal(0, rng.choice([0.02, 0.08, 0.15]), found.size)))
    marks = {
        "reference": draw_marks(rng, times, rate_hz, number % 3 == 0),
        "estimate": draw_marks(rng, found, rate_hz, number % 5 == 0),
    }
    return {
        "rate_hz": rate_hz,
        "start_s": start_s,
        "samples": None if number % 4 == 0 else int(end_s * rate_hz),
        **{name: [[mark.sample, mark.symbol] for mark in part] for name, part in marks.items()},
    }


def answer(program: str, case: dict[str, object]) -> tuple[list[list[int]], dict[str, list[int]]]:
    """Return bxb's table (6, 6), shutdown added to "no beat", and each ratio's two counts."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        length = "" if case["samples"] is None else f" {case['samples']}"
        header = f"r 1 {case['rate_hz']:g}{length}\nr.dat 16 200 16 0 0 0 0 I\n"
        (folder / "r.hea").write_text(header)
        for suffix, part in (("atr", "reference"), ("qrs", "estimate")):
            marks = [Mark(sample, symbol) for sample, symbol in case[part]]  # type: ignore[attr-defined]
            (folder / f"r.{suffix}").write_bytes(encode_marks(marks, float(str(case["rate_hz"]))))
        command = [program, "-r", "r", "-a", "atr", "qrs", "-f", str(case["start_s"])]
        shown = [
            subprocess.run(
                [*command, form, "-"],
                cwd=folder,
                env={"WFDB": name},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for form in ("-s", "-S")
        ]
    table = np.zeros((6, 6), dtype=int)
    for line in re.findall(r"^ ([NSVFQOX]) \|(.*)$", shown[1], re.M):
        for column, count in enumerate(line[1].split()):
            table[min(ROWS.index(line[0]), 5), min(column, 5)] += int(count)
    shares = {}
    for share in SHARES:
        match = re.search(rf"^ *{share}:.*\((\d+)/(\d+)\)", "".join(shown), re.M)
        assert match, share
        shares[share] = [int(match[1]), int(match[2])]
    return table.tolist(), shares


def main(program: str) -> None:
    """Draw the cases, have them answered and write the file beside this script."""
    rng = np.random.default_rng(57)
    cases = [draw_case(rng, number) for number in range(CASES)]
    lines = []
    for case in cases:
        table, shares = answer(program, case)
        lines.append(json.dumps(case | {"table": table, "shares": shares}))
    text = "[\n" + ",\n".join(lines) + "\n]\n"
    Path(__file__).with_name("bxb_cases.json").write_text(text)


if __name__ == "__main__":
    main(sys.argv[1])
