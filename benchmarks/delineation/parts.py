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

DOCS = (measuring.ROOT / "docs" / "results.md", measuring.ROOT / "docs" / "decode.md")


def write(
    asked: argparse.Namespace, name: str, result: Mapping[str, Any], table: str, short: str = ""
) -> None:
    """Write a part's figures, and its table between its own markers of the pages.

    README.md must have the markers; the pages of docs that have them get the short table, if there
    is one.
    """
    folder = measuring.out_folder(asked, HERE)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results.json"
    whole = json.loads(path.read_text()) if path.exists() else {}
    parts = whole.get("parts", {}) | {name: {**result, "quick": asked.quick}}
    path.write_text(
        json.dumps({"schema": measuring.SCHEMA, "parts": parts}, indent=1) + "\n", encoding="utf-8"
    )
    page = folder / "README.md"
    if page.exists() and not put(page, name, table):
        raise SystemExit(f"{page.name}: markers of {name} expected")
    for page in DOCS if folder == HERE else ():
        put(page, name, short or table)
    sys.stdout.write(table + "\n")


def put(page: Path, name: str, table: str) -> bool:
    """Write a table between its markers; return whether the page has them."""
    begin, end = f"<!-- {name}: written by {name}.py -->", f"<!-- end of {name} -->"
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        return False
    page.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")
    return True


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
