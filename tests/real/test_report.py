from __future__ import annotations

from pathlib import Path

import pytest

from fascicle.io import read
from fascicle.record import BundleInfo, Findings
from fascicle.report import write_findings

RECORDS = (
    "ludb/data/1.hea",
    "ptbxl/records500/01000/01001_hr.hea",
    "mitdb/208.hea",
    "cinc2021/chapman_ningbo/JS01048.hea",
)


@pytest.mark.parametrize("name", RECORDS)
def test_reference_annotations_are_drawn_and_written(
    data_dir: Path, tmp_path: Path, name: str
) -> None:
    record = read(data_dir / name)
    findings = Findings(
        name=record.name,
        leads=record.leads,
        rate_hz=record.rate_hz,
        duration_s=record.duration_s,
        age=record.age,
        sex=record.sex,
        bundle=BundleInfo("reference", "1", ""),
        waves=record.waves,
        beats=record.beats,
        warnings=record.warnings,
    )
    paths = write_findings(record, findings, tmp_path, ("json", "png", "svg", "pdf", "atr"))
    assert all(path.stat().st_size > 0 for path in paths)
    assert len(list(tmp_path.iterdir())) == 5
