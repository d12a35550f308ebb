"""All tables of this benchmark but the first, which `run.py` makes with the nets that it trains.

python benchmarks/delineation/tables.py --data DIR --peer-python NEUROKIT2 [PART ...]
"""

from __future__ import annotations

import subprocess
import sys

from parts import HERE

PARTS = ("peers", "global_intervals", "scatter", "ablation", "r_peaks", "rhythms", "invented_p")


def main() -> None:
    named = [word for word in sys.argv[1:] if word in PARTS]
    passed = [word for word in sys.argv[1:] if word not in PARTS]
    for part in named or PARTS:
        print(f"== {part}", flush=True)
        subprocess.run([sys.executable, HERE / f"{part}.py", *passed], check=True)


if __name__ == "__main__":
    main()
