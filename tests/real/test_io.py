"""No reader refuses an unmutated file of the four public sets, and values equal wfdb's."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from fascicle.io import find_records, read
from fascicle.io.marks import decode_marks
from fascicle.record import LEADS, Record

with warnings.catch_warnings():  # wfdb calls pandas in a way that warns; not ours to mend
    warnings.simplefilter("ignore")
    import wfdb

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # wfdb on pandas


def read_all(folder: Path, step: int = 1) -> list[Record]:
    records = [read(path) for path in find_records(folder)[::step]]
    assert all(np.isfinite(record.signal).mean() > 0.9 for record in records)
    assert all(0.01 < np.nanstd(record.signal) < 3 for record in records)
    return records


def warned(records: list[Record]) -> set[str]:
    return {warning for record in records for warning in record.warnings}


def test_cinc2021(data_dir: Path) -> None:
    records = read_all(data_dir / "cinc2021")
    assert len(records) == 112
    assert all(record.leads == LEADS for record in records)
    assert all(record.labels["SNOMED-CT"] for record in records)
    assert all(record.sex in ("F", "M") for record in records)
    assert sum(record.age is not None for record in records) >= 110
    assert not warned(records)
    georgia = next(record for record in records if record.name == "E00018")
    assert (georgia.age, georgia.sex) == (82, "F")
    assert georgia.labels["SNOMED-CT"] == {"445118002", "426177001"}
    assert georgia.signal[0, 0] == np.float32(263 / 4880)


def test_mitdb(data_dir: Path) -> None:
    records = read_all(data_dir / "mitdb")
    assert len(records) == 48
    assert all(record.annotated == {"beats", "rhythms"} for record in records)
    assert warned(records) == {"lead 'MLII' is a modified lead, read as II"}
    by_name = {record.name: record for record in records}
    assert (by_name["100"].age, by_name["100"].sex) == (69, "M")
    assert by_name["114"].leads == ("V5", "II")
    afib = [span for record in records for span in record.rhythms if span.kind == "AFIB"]
    assert len(afib) == 107
    paced = ("102", "104", "107", "217")
    kinds = [beat.kind for record in records if record.name not in paced for beat in record.beats]
    counts = {kind: kinds.count(kind) for kind in set(kinds)}
    assert counts == {"N": 90125, "S": 2781, "V": 7009, "F": 803, "Q": 15}


def test_ludb(data_dir: Path) -> None:
    records = read_all(data_dir / "ludb")
    assert len(records) == 150
    assert all(record.leads == LEADS for record in records)
    assert all(record.annotated == {"waves"} for record in records)
    assert all({wave.lead for wave in record.waves} == set(LEADS) for record in records)
    waves = [wave for record in records for wave in record.waves]
    whole = [wave for wave in waves if wave.onset_s is not None and wave.offset_s is not None]
    assert 0.997 < len(whole) / len(waves) < 1
    assert all(record.age is not None for record in records)


def test_ptbxl(data_dir: Path) -> None:
    records = read_all(data_dir / "ptbxl", step=10)
    assert len(records) == 267
    assert all(record.leads == LEADS and record.rate_hz == 500 for record in records)
    assert not warned(records)


@pytest.mark.parametrize(
    ("folder", "step"),
    [
        ("cinc2021/ptb-xl", 5),
        ("cinc2021/cpsc_2018_extra", 3),
        ("mitdb", 9),
        ("ludb", 20),
        ("ptbxl", 200),
    ],
)
def test_samples_equal_wfdbs(data_dir: Path, folder: str, step: int) -> None:
    paths = find_records(data_dir / folder)[::step]
    assert len(paths) >= 4
    for path in paths:
        expected = wfdb.rdrecord(str(path.with_suffix(""))).p_signal.T.astype(np.float32)
        np.testing.assert_array_equal(read(path, annotations=False).signal, expected)


def test_marks_equal_wfdbs(data_dir: Path) -> None:
    files = [
        *sorted(data_dir.glob("mitdb/*.atr"))[::6],
        *sorted(data_dir.glob("ludb/data/*.v3"))[::10],
    ]
    assert len(files) >= 20
    for path in files:
        marks, _ = decode_marks(path.read_bytes())
        expected = wfdb.rdann(str(path.with_suffix("")), path.suffix[1:])
        assert [mark.sample for mark in marks] == expected.sample.tolist()
        assert [mark.symbol for mark in marks] == expected.symbol
        assert [mark.aux for mark in marks] == [note.rstrip("\0") for note in expected.aux_note]
