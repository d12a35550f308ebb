"""Draw docs/pictures/delineation_*.png: `python docs/draw_delineation.py DATA [name ...]`.

Real records that the development bundle has not learnt from (PTB-XL fold 9, MIT-BIH DS2, LUDB
fold 0), as `fascicle analyze` shows them. DATA holds ptbxl, mitdb and ludb.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from fascicle.data.sources import SOURCES
from fascicle.evaluate import items_of
from fascicle.predict import choose_leads, load
from fascicle.record import Record
from fascicle.report.page import save_page

ROOT = Path(__file__).parents[1]
BUNDLE = ROOT / "benchmarks" / "development" / "bundle.safetensors"
PICTURES = ROOT / "docs" / "pictures"
COLOURS = 128


@dataclass(frozen=True, slots=True)
class Case:
    """A record of a source, which ten seconds of it, and which leads."""

    source: str
    name: str
    start_s: float | None = None
    lead_set: str | None = None


CASES = {
    "af": Case("ptbxl", "09879_hr"),
    "lbbb": Case("ptbxl", "06589_hr"),
    "inverted_t": Case("ptbxl", "12903_hr"),
    "tachycardia": Case("ptbxl", "07954_hr"),
    "noise": Case("mitdb", "228", start_s=1470.0),
    "single_lead": Case("ludb", "22", lead_set="1"),
}


def read_case(case: Case, data: Path) -> Record:
    """Return the record, without its own labels, or ten seconds of it."""
    item = next(i for i in items_of(case.source, data, None) if i.path.name == case.name)
    record = choose_leads(SOURCES[case.source].load(item), case.lead_set)
    signal = record.signal
    if case.start_s is not None:
        first = round(case.start_s * record.rate_hz)
        signal = signal[:, first : first + round(10 * record.rate_hz)]
    return replace(
        record, signal=np.ascontiguousarray(signal), waves=(), beats=(), rhythms=(), labels={}
    )


def main(data: Path, names: list[str]) -> None:
    """Write the named pictures, or all."""
    model = load(BUNDLE, threads=1)
    for name in names or list(CASES):
        case = CASES[name]
        record = read_case(case, data)
        findings = model.analyze(record)
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "page.png"
            save_page(record, findings, page)
            with Image.open(page) as picture:
                small = picture.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
                small.save(PICTURES / f"delineation_{name}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
