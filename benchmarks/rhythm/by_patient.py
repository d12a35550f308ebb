"""Rhythms on all of MIT-BIH by duration, each patient by a net that has not seen it.

    python benchmarks/rhythm/by_patient.py --data DIR [--runs runs/delineation]

The nets are those of benchmarks/delineation/r_peaks.py; what is not trained yet is trained first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "delineation")]

import parts  # noqa: E402
import r_peaks  # noqa: E402
import run  # noqa: E402
from measuring import out_folder, progress, rows  # noqa: E402

from fascicle.evaluate import items_of  # noqa: E402

NAME = "by_patient"
HEAD = ("rhythm", "records with it", "reference (s)", "sensitivity (95 %)", "PPV (95 %)")


def main() -> None:
    options = parts.options(__doc__ or "")
    options.add_argument("--work", type=Path, default=Path("runs/rhythm-by-patient"))
    asked = options.parse_args()
    about = parts.start(asked)
    items = items_of("mitdb", asked.data, None)
    nets = r_peaks.fold_nets(items, asked)
    records = [
        run.found_in(nets[item.path.name], item, asked.work)
        for item in progress(items, "MIT-BIH, record")
    ]
    result = about | {
        "folds": r_peaks.FOLDS,
        "records": {record["name"]: run.of_record(record) for record in records},
        "all": run.scored(records),
    }
    folder = out_folder(asked, HERE)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    shown = table(result["all"], records)
    if folder == HERE:
        parts.put(HERE / "README.md", NAME, shown)
    print(shown)


def table(found: dict[str, Any], records: list[dict[str, Any]]) -> str:
    """Return the Markdown table of each kind's seconds."""
    body = []
    for kind in (*run.KINDS, "AF_or_flutter"):
        of_kind = {key: found["scores"][f"{kind}.{key}"] for key in ("sensitivity", "ppv")}
        names = kind.split("_or_")
        having = sum(any(s["kind"] in names for s in record["reference"]) for record in records)
        seconds = f"{found['scores'][f'{kind}.reference_s'][0]:.0f}"
        shown = [run.limits(of_kind[key]) for key in ("sensitivity", "ppv")]
        body.append([kind.replace("_", " "), f"{having}", seconds, *shown])
    return rows(HEAD, body)


if __name__ == "__main__":
    main()
