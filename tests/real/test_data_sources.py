"""The public sets as they are: every record is listed, sound, and loaded with its labels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fascicle.data.check import check, recognise
from fascicle.data.sources import SOURCES, Item
from fascicle.labels import LUDB, SCP, SNOMED, SUPERCLASS, scp_statements

HERE = ("mitdb", "ludb", "ptbxl", "cinc2021")


def some(items: list[Item], count: int = 25) -> list[Item]:
    return items[:: max(1, len(items) // count)]


@pytest.mark.parametrize("name", HERE)
def test_the_folder_is_recognised_and_sound(data_dir: Path, name: str) -> None:
    folder = data_dir / name
    assert name in recognise(folder)
    report = check(folder, name, read=False)
    assert report.faults == ()
    assert 0 < report.records <= report.expected
    assert report.patients <= report.records


@pytest.mark.parametrize("name", HERE)
def test_records_are_loaded(data_dir: Path, name: str) -> None:
    items = SOURCES[name].index(data_dir / name)
    for item in some(items, 5 if name == "mitdb" else 25):
        record = SOURCES[name].load(item)
        assert record.samples > 0
        assert record.name.removesuffix("_hr") == item.path.name.removesuffix("_hr")


def test_keys_are_unique_and_join_ptbxl_with_cinc(data_dir: Path) -> None:
    keys = {name: [item.key for item in SOURCES[name].index(data_dir / name)] for name in HERE}
    for name in HERE:
        assert len(set(keys[name])) == len(keys[name])
    shared = set(keys["cinc2021"]) & set(keys["ptbxl"])
    named = [key for key in keys["cinc2021"] if key.startswith("ptbxl/")]
    assert named
    assert shared <= set(named)


def test_a_shared_recording_is_the_same_in_both_sets(data_dir: Path) -> None:
    ptbxl = {item.key: item for item in SOURCES["ptbxl"].index(data_dir / "ptbxl")}
    pairs = [
        (ptbxl[item.key], item)
        for item in SOURCES["cinc2021"].index(data_dir / "cinc2021")
        if item.key in ptbxl
    ]
    if not pairs:
        pytest.skip("no recording is in both samples")
    for ours, theirs in pairs:
        one, two = SOURCES["ptbxl"].load(ours), SOURCES["cinc2021"].load(theirs)
        assert (one.age, one.sex) == (two.age, two.sex)
        assert abs(one.signal - two.signal).max() < 0.002


def test_mitdb_holds_its_folds(data_dir: Path) -> None:
    items = SOURCES["mitdb"].index(data_dir / "mitdb")
    assert Counter(item.fold for item in items) == {0: 4, 1: 22, 2: 22}


def test_ludb_folds_share_atrial_fibrillation_out(data_dir: Path) -> None:
    items = SOURCES["ludb"].index(data_dir / "ludb")
    records = [SOURCES["ludb"].load(item) for item in items]
    fibrillating = Counter(
        item.fold
        for item, record in zip(items, records, strict=True)
        if "atrial fibrillation" in record.labels[LUDB]
    )
    assert sum(fibrillating.values()) >= 11
    assert max(fibrillating.values()) - min(fibrillating[fold] for fold in range(5)) <= 1
    assert all(record.age is not None and record.sex is not None for record in records)


def test_ptbxl_patients_stay_in_one_fold(data_dir: Path) -> None:
    folds: dict[str, set[int]] = {}
    for item in SOURCES["ptbxl"].index(data_dir / "ptbxl"):
        folds.setdefault(item.patient, set()).add(item.fold)
    assert all(len(found) == 1 for found in folds.values())


def test_ptbxl_statements_are_known(data_dir: Path) -> None:
    known = {term.code for term in scp_statements().terms}
    for item in some(SOURCES["ptbxl"].index(data_dir / "ptbxl"), 60):
        record = SOURCES["ptbxl"].load(item)
        assert record.report
        assert record.labels[SCP]
        assert record.labels[SCP] <= known
        assert record.labels.get(SUPERCLASS, frozenset()) <= {"NORM", "MI", "STTC", "CD", "HYP"}


def test_cinc_records_carry_their_codes(data_dir: Path) -> None:
    for item in SOURCES["cinc2021"].index(data_dir / "cinc2021"):
        assert SOURCES["cinc2021"].load(item).labels[SNOMED]
