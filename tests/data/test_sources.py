from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from fascicle.data.sources import SOURCES
from fascicle.data.sources.mitdb import DS1, DS2, PACED
from fascicle.data.sources.ptbxl import parse_statements
from fascicle.data.sources.source import hash_fold, parse_age, parse_sex, read_table
from fascicle.errors import BadData
from fascicle.record import LEADS, Record

LUDB_COLUMNS = [
    "ID",
    "Sex",
    "Age",
    "Rhythms",
    "Electric axis of the heart",
    "Conduction abnormalities",
    "Extrasystolies",
    "Hypertrophies",
    "Cardiac pacing",
    "Ischemia",
    "Non-specific repolarization abnormalities",
    "Other states",
]
PTBXL_COLUMNS = [
    "ecg_id",
    "patient_id",
    "age",
    "sex",
    "report",
    "scp_codes",
    "heart_axis",
    "strat_fold",
    "filename_lr",
    "filename_hr",
]


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def write_record(
    base: Path, leads: Sequence[str] = LEADS, comments: Sequence[str] = (), rate_hz: int = 500
) -> None:
    base.parent.mkdir(parents=True, exist_ok=True)
    phase = np.arange(rate_hz)[:, None] / 9 + np.arange(len(leads))
    signal = np.round(1000 * np.sin(phase)).astype("<i2")
    sums = signal.sum(axis=0, dtype="<i2")
    lines = [f"{base.name} {len(leads)} {rate_hz} {rate_hz}"]
    for lead, first, total in zip(leads, signal[0], sums, strict=True):
        lines.append(f"{base.name}.dat 16 1000/mV 16 0 {first} {total} 0 {lead}")
    lines += [f"# {comment}" for comment in comments]
    base.with_suffix(".hea").write_text("\n".join(lines) + "\n")
    base.with_suffix(".dat").write_bytes(signal.tobytes())


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as out:
        table = csv.DictWriter(out, columns, restval="")
        table.writeheader()
        table.writerows(rows)


def ludb_row(name: object, rhythm: str = "Sinus rhythm", **cells: str) -> dict[str, object]:
    return {"ID": name, "Sex": "F\n", "Age": "51\n", "Rhythms": rhythm, **cells}


def ptbxl_row(number: int, **cells: object) -> dict[str, object]:
    return {
        "ecg_id": number,
        "patient_id": 15000.0 + number,
        "age": 56.0,
        "sex": 1,
        "report": "sinusrhythmus",
        "scp_codes": "{'NORM': 100.0, 'SR': 0.0}",
        "heart_axis": "",
        "strat_fold": number % 10 + 1,
        "filename_lr": f"records100/00000/{number:05d}_lr",
        "filename_hr": f"records500/00000/{number:05d}_hr",
        **cells,
    }


def write_ptbxl(folder: Path, rows: Sequence[Mapping[str, object]]) -> None:
    write_table(folder / "ptbxl_database.csv", PTBXL_COLUMNS, rows)
    for row in rows:
        touch(folder / f"{row['filename_hr']}.hea")


def test_every_source_is_told_by_name_licence_and_place() -> None:
    assert list(SOURCES) == ["mitdb", "ludb", "ptbxl", "ptbxl100", "cinc2021"]
    for name, source in SOURCES.items():
        assert source.name == name
        assert source.url.startswith("https://physionet.org/files/")
        assert source.url.endswith("/")
        assert source.title
        assert "10.13026/" in source.citation
        assert source.licence in {"ODC-BY 1.0", "CC BY 4.0"}


@pytest.mark.parametrize("name", SOURCES)
def test_a_foreign_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadData, match="expected"):
        SOURCES[name].index(tmp_path)
    with pytest.raises(BadData, match="expected"):
        SOURCES[name].index(tmp_path / "nowhere")


def test_mitdb_has_the_folds_of_de_chazal_and_one_patient_twice(tmp_path: Path) -> None:
    for name in ("100", "102", "201", "202", "x_108", "999"):
        touch(tmp_path / f"{name}.hea")
    items = {item.key: item for item in SOURCES["mitdb"].index(tmp_path)}
    assert list(items) == ["mitdb/100", "mitdb/102", "mitdb/201", "mitdb/202"]
    assert [item.fold for item in items.values()] == [2, 0, 1, 2]
    assert items["mitdb/202"].patient == items["mitdb/201"].patient == "mitdb/201"
    assert items["mitdb/202"].path == tmp_path / "202"


def test_mitdb_splits_cover_48_records_once() -> None:
    assert len(DS1) == len(DS2) == 22
    assert len({*DS1, *DS2, *PACED}) == 48


def test_mitdb_record_is_loaded_with_its_beats(tmp_path: Path) -> None:
    write_record(tmp_path / "100", ("MLII", "V5"), rate_hz=360)
    steps = np.array([1 << 10 | 90, 5 << 10 | 110, 0], "<u2")  # N at 90, V 110 samples later
    (tmp_path / "100.atr").write_bytes(steps.tobytes())
    (item,) = SOURCES["mitdb"].index(tmp_path)
    record = SOURCES["mitdb"].load(item)
    assert [beat.kind for beat in record.beats] == ["N", "V"]
    assert record.beats[0].time_s == pytest.approx(0.25)


def test_ludb_folds_share_every_rhythm_out(tmp_path: Path) -> None:
    rhythms = [*["Sinus rhythm"] * 4, "Atrial fibrillation"] * 6 + ["Sinus tachycardia"] * 5
    write_table(
        tmp_path / "ludb.csv",
        LUDB_COLUMNS,
        [ludb_row(n, rhythm) for n, rhythm in enumerate(rhythms, start=1)],
    )
    for number in range(1, len(rhythms) + 1):
        touch(tmp_path / "data" / f"{number}.hea")
    items = SOURCES["ludb"].index(tmp_path)
    assert [item.key for item in items[:3]] == ["ludb/1", "ludb/2", "ludb/3"]
    assert Counter(item.fold for item in items) == dict.fromkeys(range(5), 7)
    for rhythm in set(rhythms):
        shares = Counter(
            item.fold for item, other in zip(items, rhythms, strict=True) if other == rhythm
        )
        assert max(shares.values()) - min(shares[fold] for fold in range(5)) <= 1
    (tmp_path / "data" / "2.hea").unlink()
    assert SOURCES["ludb"].index(tmp_path) == [item for item in items if item.key != "ludb/2"]


def test_ludb_record_is_loaded_with_what_its_table_says(tmp_path: Path) -> None:
    two = "Left atrial hypertrophy\nLeft ventricular hypertrophy"
    row = ludb_row(7, "Atrial fibrillation", Age=">89\n", Hypertrophies=two)
    write_table(tmp_path / "ludb.csv", LUDB_COLUMNS, [row])
    write_record(tmp_path / "data" / "7", [lead.lower() for lead in LEADS])
    (item,) = SOURCES["ludb"].index(tmp_path)
    record = SOURCES["ludb"].load(item)
    assert (item.patient, record.age, record.sex) == ("ludb/7", 90.0, "F")
    assert record.report.splitlines() == ["Atrial fibrillation", *two.splitlines()]
    assert len(record.labels["LUDB"]) == 3
    assert "atrial fibrillation" in record.labels["LUDB"]


@pytest.mark.parametrize(
    ("columns", "rows", "said"),
    [
        (["ID", "Sex"], [{"ID": 1, "Sex": "F"}], "no column 'Rhythms'"),
        (["Number"], [{"Number": 1}], "column 'ID'"),
        (LUDB_COLUMNS, [ludb_row("one")], "'one' is not a number"),
        (LUDB_COLUMNS, [ludb_row(1), ludb_row(1)], "ID 1 repeats"),
        (LUDB_COLUMNS, [ludb_row(1)], "found none"),
    ],
)
def test_ludb_with_a_wrong_table_is_refused(
    tmp_path: Path, columns: Sequence[str], rows: list[dict[str, object]], said: str
) -> None:
    write_table(tmp_path / "ludb.csv", columns, rows)
    with pytest.raises(BadData, match=said):
        SOURCES["ludb"].index(tmp_path)


def test_ptbxl_folds_and_patients_come_from_its_table(tmp_path: Path) -> None:
    rows = [ptbxl_row(2, patient_id=7.0), ptbxl_row(1, patient_id=7.0), ptbxl_row(3)]
    write_ptbxl(tmp_path, rows)
    (tmp_path / "records500/00000/00003_hr.hea").unlink()
    items = SOURCES["ptbxl"].index(tmp_path)
    assert [(item.key, item.patient, item.fold) for item in items] == [
        ("ptbxl/00001", "ptbxl/p7", 2),
        ("ptbxl/00002", "ptbxl/p7", 3),
    ]
    assert items[0].path == tmp_path / "records500/00000/00001_hr"


def test_ptbxl_rates_are_two_sources_with_the_same_keys(tmp_path: Path) -> None:
    write_ptbxl(tmp_path, [ptbxl_row(1)])
    with pytest.raises(BadData, match="00001_lr"):
        SOURCES["ptbxl100"].index(tmp_path)
    touch(tmp_path / "records100/00000/00001_lr.hea")
    (high,) = SOURCES["ptbxl"].index(tmp_path)
    (low,) = SOURCES["ptbxl100"].index(tmp_path)
    assert low.key == high.key
    assert low.path.name == "00001_lr"


def load_ptbxl(folder: Path, **cells: object) -> Record:
    write_ptbxl(folder, [ptbxl_row(1, **cells)])
    write_record(folder / "records500/00000/00001_hr")
    (item,) = SOURCES["ptbxl"].index(folder)
    return SOURCES["ptbxl"].load(item)


def test_ptbxl_labels_count_every_stated_code(tmp_path: Path) -> None:
    codes = "{'IMI': 15.0, 'ASMI': 0.0, 'LVH': 100.0, 'SR': 0.0, 'ABQRS': 0.0}"
    record = load_ptbxl(
        tmp_path, scp_codes=codes, age=300.0, sex=0, report=" alte narbe ", heart_axis="LAD"
    )
    assert (record.age, record.sex, record.report) == (90.0, "M", "alte narbe")
    snomed = record.labels["SNOMED-CT"]
    assert {"426783006", "39732003"} <= snomed
    assert record.labels == {
        "SCP-ECG": {"IMI", "ASMI", "LVH", "SR", "ABQRS"},
        "PTB-XL superclass": {"MI", "HYP"},
        "PTB-XL heart axis": {"LAD"},
        "SNOMED-CT": snomed,
    }


def test_ptbxl_without_a_diagnosis_has_no_superclass(tmp_path: Path) -> None:
    record = load_ptbxl(tmp_path, scp_codes="{'AFIB': 0.0}", age="", sex="")
    assert (record.age, record.sex) == (None, None)
    assert set(record.labels) == {"SCP-ECG", "SNOMED-CT"}


def test_ptbxl_record_without_a_row_is_refused(tmp_path: Path) -> None:
    write_ptbxl(tmp_path, [ptbxl_row(1), ptbxl_row(2)])
    item = SOURCES["ptbxl"].index(tmp_path)[1]
    write_ptbxl(tmp_path, [ptbxl_row(1)])
    with pytest.raises(BadData, match="no row for ptbxl/00002"):
        SOURCES["ptbxl"].load(item)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"strat_fold": "five"}, "five"),
        ({"patient_id": ""}, "could not convert"),
        ({"patient_id": "inf"}, "cannot convert"),
        ({"filename_hr": "../../elsewhere/00001_hr"}, "no plain path"),
        ({"filename_hr": ""}, "no plain path"),
        ({"filename_hr": "/elsewhere/00001_hr"}, "no plain path"),
    ],
)
def test_ptbxl_with_a_wrong_row_is_refused(
    tmp_path: Path, cells: dict[str, object], said: str
) -> None:
    write_table(tmp_path / "ptbxl_database.csv", PTBXL_COLUMNS, [ptbxl_row(1, **cells)])
    touch(tmp_path / "records500/00000/00001_hr.hea")
    with pytest.raises(BadData, match=said):
        SOURCES["ptbxl"].index(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "{", "['NORM']", "{'NORM': 'yes'}", "{1: 2}", "{[1]: 2}", "(" * 9999]
)
def test_statements_that_are_no_table_are_refused(text: str) -> None:
    with pytest.raises(BadData, match="here: scp_codes"):
        parse_statements(text, "here")


def test_cinc_records_are_found_at_any_depth(tmp_path: Path) -> None:
    names = ["A0001", "Q0001", "I0001", "S0001", "E00001", "JS00001", "HR00001"]
    for name in names:
        touch(tmp_path / "training" / "g1" / f"{name}.hea")
    touch(tmp_path / "E00002.hea")
    for other in ("100.hea", "E0001.hea", "HR00001.mat", "XE00001.hea"):
        touch(tmp_path / other)
    items = SOURCES["cinc2021"].index(tmp_path)
    keys = {f"cinc2021/{name}" for name in [*names[:-1], "E00002"]} | {"ptbxl/00001"}
    assert {item.key for item in items} == {item.patient for item in items} == keys
    assert {item.fold for item in items} <= set(range(10))


def test_cinc_record_in_two_places_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "2020" / "E00001.hea")
    touch(tmp_path / "2021" / "E00001.hea")
    with pytest.raises(BadData, match="two places"):
        SOURCES["cinc2021"].index(tmp_path)


def test_cinc_codes_come_from_the_header(tmp_path: Path) -> None:
    comments = ["Age: 61", "Sex: Female", "Dx: 426783006,270492004"]
    write_record(tmp_path / "E00001", comments=comments)
    (item,) = SOURCES["cinc2021"].index(tmp_path)
    record = SOURCES["cinc2021"].load(item)
    assert record.labels["SNOMED-CT"] == {"426783006", "270492004"}
    assert (record.age, record.sex) == (61.0, "F")


def test_hash_folds_never_change() -> None:
    keys = ["cinc2021/A0001", "cinc2021/E00001", "cinc2021/JS00001", "ptbxl/00001"]
    assert [hash_fold(key, 10) for key in keys] == [8, 6, 7, 0]


def test_a_table_is_parsed_once_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_table(path, ["key", "value"], [{"key": "a", "value": "1"}])
    first = read_table(path, "key")
    assert read_table(path, "key") is first
    write_table(path, ["key", "value"], [{"key": "a", "value": "22"}])
    assert read_table(path, "key")["a"]["value"] == "22"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"key,value\na\n", "number of columns"),
        (b"key,value\na,b,c\n", "number of columns"),
        (b"key,value\na,\xff\n", "not a readable table"),
        (b'key,value\na,"b\n', "not a readable table"),
        (b"", "column 'key'"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(text)
    with pytest.raises(BadData, match=said):
        read_table(path, "key")


@pytest.mark.parametrize(
    ("text", "age"),
    [("56.0", 56.0), (" 51\n", 51.0), (">89\n", 90.0), ("300.0", 90.0), ("", None), ("nan", None)],
)
def test_ages_as_the_sets_write_them(text: str, age: float | None) -> None:
    assert parse_age(text, "here") == age


@pytest.mark.parametrize("text", ["old", "-1", "131", "inf"])
def test_impossible_ages_are_refused(text: str) -> None:
    with pytest.raises(BadData, match="here: age"):
        parse_age(text, "here")


def test_sex_outside_the_code_is_refused() -> None:
    assert parse_sex(" F\n", {"F": "F"}, "here") == "F"
    assert parse_sex("", {"F": "F"}, "here") is None
    with pytest.raises(BadData, match="here: sex 'x', expected one of F"):
        parse_sex("x", {"F": "F"}, "here")
