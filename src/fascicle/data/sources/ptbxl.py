"""PTB-XL 1.0.3: 21 799 ten-second 12-lead records at 500 Hz and 100 Hz with SCP-ECG statements.

Folds are the set's `strat_fold`, 1 .. 10, by patient. As in the PTB-XL benchmark (Strodthoff et al.
2021) every stated code counts, whatever its likelihood: diagnostic codes carry 0 .. 100 %, form and
rhythm codes carry 0 for "not given". A record without any diagnostic code has no superclass label.
SNOMED-CT codes follow from the statements and the heart axis through our crosswalks.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from fascicle.data.checksums import is_plain_path
from fascicle.data.sources.source import (
    Item,
    Row,
    Source,
    parse_age,
    parse_sex,
    read_table,
    row_of,
)
from fascicle.errors import BadData
from fascicle.io import read
from fascicle.labels import HEART_AXIS, SCP, SNOMED, SUPERCLASS, translate
from fascicle.record import Record, Sex

DATABASE = "ptbxl_database.csv"
LISTS = (DATABASE, "scp_statements.csv", "RECORDS", "LICENSE.txt")
COLUMNS = ("patient_id", "age", "sex", "report", "scp_codes", "strat_fold")
UNREADABLE = (
    ValueError,
    TypeError,
    AttributeError,
    SyntaxError,
    OverflowError,
    RecursionError,
    MemoryError,
)
SEX: Mapping[str, Sex] = {"0": "M", "1": "F"}


def index(folder: Path, column: str) -> list[Item]:
    """Return the records of one rate, `column` "filename_hr" or "filename_lr", by number.

    Raises
    ------
    BadData
        If the folder is not PTB-XL or has no record at this rate.
    """
    table = read_table(folder / DATABASE, "ecg_id")
    first = next(iter(table.values()), {})
    missing = [name for name in (*COLUMNS, column) if name not in first]
    if missing:
        raise BadData(f"{folder / DATABASE}: no rows with a column {missing[0]!r}")
    there = _headers(folder, {row[column] for row in table.values()})
    items = [_item(folder, row, column) for row in table.values() if row[column] in there]
    if not items:
        raise BadData(f"{folder}: expected PTB-XL records such as {first[column]}.hea, found none")
    return sorted(items, key=lambda item: item.key)


def _headers(folder: Path, names: set[str]) -> set[str]:
    """Names whose header is there: one listing per folder instead of 21 799 questions."""
    odd = [name for name in names if not is_plain_path(name)]
    if odd:
        raise BadData(f"{folder / DATABASE}: {odd[0][:80]!r} is no plain path in the folder")
    parents = {name.rpartition("/")[0] for name in names}
    return {
        f"{parent}/{path.stem}" for parent in parents for path in (folder / parent).glob("*.hea")
    }


def _item(folder: Path, row: Row, column: str) -> Item:
    try:
        number, patient = int(row["ecg_id"]), int(float(row["patient_id"]))
        fold = int(row["strat_fold"])
    except (ValueError, OverflowError) as error:
        raise BadData(f"{folder / DATABASE} ecg_id {row['ecg_id']}: {error}") from error
    return Item(f"ptbxl/{number:05d}", folder / row[column], f"ptbxl/p{patient}", fold)


def load(item: Item) -> Record:
    """Return the record with report, age, sex, and SCP-ECG, superclass and SNOMED-CT labels."""
    folder = item.path.parents[2]
    path = folder / DATABASE
    row = row_of(item, read_table(path, "ecg_id"), str(int(item.key.rpartition("/")[2])), path)
    where = f"{path} ecg_id {row['ecg_id']}"
    stated = frozenset(parse_statements(row["scp_codes"], where))
    record = read(item.path)
    return replace(
        record,
        age=parse_age(row["age"], where),
        sex=parse_sex(row["sex"], SEX, where),
        labels={**record.labels, **_labels(stated, row.get("heart_axis", "").strip())},
        report=row["report"].strip(),
    )


def parse_statements(text: str, where: str) -> dict[str, float]:
    """Return code -> likelihood in percent from a cell such as "{'NORM': 100.0, 'SR': 0.0}"."""
    try:
        statements = ast.literal_eval(text)
        if not all(isinstance(code, str) for code in statements):
            raise TypeError("codes are words")
        return {code: float(likelihood) for code, likelihood in statements.items()}
    except UNREADABLE as error:
        raise BadData(f"{where}: scp_codes {text[:60]!r} cannot be read") from error


def _labels(stated: frozenset[str], axis: str) -> dict[str, frozenset[str]]:
    axes = frozenset({axis} if axis else ())
    classes = translate(stated, SCP, SUPERCLASS)
    labels = {
        SCP: stated,
        SNOMED: translate(stated, SCP, SNOMED) | translate(axes, HEART_AXIS, SNOMED),
    }
    if axes:
        labels[HEART_AXIS] = axes
    if classes:
        labels[SUPERCLASS] = classes
    return labels


def _source(name: str, rate_hz: int, column: str) -> Source:
    return Source(
        name=name,
        title=f"PTB-XL 1.0.3 at {rate_hz} Hz",
        licence="CC BY 4.0",
        citation="Wagner P et al. PTB-XL, a large publicly available electrocardiography dataset. "
        "Sci Data 7:154, 2020. doi:10.13026/kfzx-aw45",
        url="https://physionet.org/files/ptb-xl/1.0.3/",
        records=21799,
        include=(f"records{rate_hz}/*", *LISTS),
        annotations=(),
        index=partial(index, column=column),
        load=load,
    )


PTBXL = _source("ptbxl", 500, "filename_hr")
PTBXL100 = _source("ptbxl100", 100, "filename_lr")
