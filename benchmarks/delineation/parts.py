"""The parts of this benchmark: each has its place in results.json and in README.md.

Writing one leaves the others as they are.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import measuring  # noqa: E402


def write(asked: argparse.Namespace, name: str, result: Mapping[str, Any], table: str) -> None:
    """Write a part's figures, and its table between its own markers of the page."""
    folder = measuring.out_folder(asked, HERE)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results.json"
    whole = json.loads(path.read_text()) if path.exists() else {}
    parts = whole.get("parts", {}) | {name: {**result, "quick": asked.quick}}
    path.write_text(
        json.dumps({"schema": measuring.SCHEMA, "parts": parts}, indent=1) + "\n", encoding="utf-8"
    )
    page = folder / "README.md"
    if page.exists():
        begin, end = f"<!-- {name}: written by {name}.py -->", f"<!-- end of {name} -->"
        text = page.read_text(encoding="utf-8")
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise SystemExit(f"{page.name}: markers {begin} and {end} expected")
        page.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")
    sys.stdout.write(table + "\n")


def options(purpose: str) -> argparse.ArgumentParser:
    """Return the options that all parts have."""
    made = measuring.parser(purpose.splitlines()[0], HERE)
    made.add_argument("--runs", type=Path, default=Path("runs/delineation"), help="trained nets")
    made.add_argument("--packs", type=Path, help="packs of training; default: in --runs")
    made.add_argument("--peer-python", type=Path, help="Python that has NeuroKit2")
    return made


def start(asked: argparse.Namespace) -> dict[str, Any]:
    """Bind this process to one core and one thread; return what that is, and the commit."""
    import torch

    core = measuring.pin(asked.core)
    torch.set_num_threads(1)
    about = measuring.describe((), core, asked.note)
    return {"processor": about["machine"]["processor"], "commit": about["commit"]} | {
        key: about[key] for key in ("load_at_start", "note") if about[key]
    }
