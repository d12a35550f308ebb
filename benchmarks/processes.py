"""Processes that a benchmark starts: workers that answer, and single runs of the command line.

Whoever starts them must stay small: a child counts the memory of its parent until it is itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Times = dict[str, Any]


class Worker:
    """A process that answers each line with a line; it lives until the block ends."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.hello = self._read()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:  # closes its pipes and waits for its end
            pass

    def ask(self, path: Path, *, stages: bool = False) -> Times:
        return self.request({"path": str(path), "stages": stages})

    def request(self, what: Mapping[str, Any]) -> Times:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> Times:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args[1]}: stopped with {self.process.wait()}")
        answer: Times = json.loads(line)
        return answer


def fresh(arguments: Sequence[str | Path]) -> dict[str, float]:
    """Return wall and processor seconds and peak resident MB of one run of the command line."""
    with tempfile.TemporaryFile("w+") as said:
        begin = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "fascicle", *map(str, arguments)],
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        if process.returncode:
            raise SystemExit(f"fascicle {arguments[0]}: exit {process.returncode}: {said.read()}")
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "wall_s": wall_s,
        "cpu_s": used.ru_utime + used.ru_stime,
        "mb": used.ru_maxrss * unit / 1e6,
    }
