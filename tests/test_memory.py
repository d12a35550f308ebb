"""What was freed goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
from pathlib import Path
from fascicle.memory import give_back

def resident_kb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])

blocks = [bytearray(1000) for _ in range(100_000)]
kept = blocks[-1]
full = resident_kb()
del blocks
give_back()
print(full - resident_kb())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="tells it from /proc")
def test_memory_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 80_000
