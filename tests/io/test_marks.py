from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb

from fascicle.io.marks import BEATS, SYMBOLS, Mark, decode_marks, encode_marks

MARKS = [
    Mark(0, "N"),
    Mark(5, "+", aux="(AFIB"),
    Mark(1028, "(", num=1),
    Mark(1029, "V", num=1, aux="odd"),
    Mark(1029, ")", num=-3),
    Mark(5_000_000, "/"),
]
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # wfdb on pandas


def test_encode_then_decode_is_identity() -> None:
    marks, rate_hz = decode_marks(encode_marks(MARKS, 257.5))
    assert rate_hz == 257.5
    assert marks[0].symbol == '"'
    assert [m for m in marks[1:] if m.symbol != ")"] == [m for m in MARKS if m.symbol != ")"] or (
        [(m.sample, m.symbol, m.num, m.aux) for m in marks[1:]]
        == [(m.sample, m.symbol, m.num, m.aux) for m in MARKS]
    )


def test_wfdb_reads_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "r.atr").write_bytes(encode_marks(MARKS, 500))
    found = wfdb.rdann(str(tmp_path / "r"), "atr")
    assert found.fs == 500
    assert found.sample.tolist() == [mark.sample for mark in MARKS]
    assert found.symbol == [mark.symbol for mark in MARKS]
    assert found.num.tolist() == [mark.num for mark in MARKS]
    assert found.aux_note == [mark.aux for mark in MARKS]


def test_what_wfdb_writes_is_read(tmp_path: Path) -> None:
    sample = np.array([3, 50, 40_000, 40_001])
    wfdb.wrann(
        "r",
        "atr",
        sample,
        ["N", "+", "A", "~"],
        subtype=np.array([0, 0, 1, 2]),
        chan=np.array([0, 1, 1, 0]),
        num=np.array([0, 7, 7, 1]),
        aux_note=["", "(VT", "", ""],
        fs=360,
        write_dir=str(tmp_path),
    )
    marks, rate_hz = decode_marks((tmp_path / "r.atr").read_bytes())
    assert rate_hz == 360
    assert marks[1:] == [
        Mark(3, "N"),
        Mark(50, "+", 7, "(VT"),
        Mark(40_000, "A", 7),
        Mark(40_001, "~", 1),
    ]


def test_symbols_and_beats_are_those_of_wfdb() -> None:
    table = wfdb.io.annotation.ann_label_table
    assert {
        int(row.label_store): row.symbol for row in table.itertuples() if row.symbol != " "
    } == SYMBOLS
    qrs = {SYMBOLS[code] for code, beat in enumerate(wfdb.io.annotation.is_qrs) if beat}
    assert qrs - {"!"} == BEATS  # a flutter wave has no AAMI class


@pytest.mark.parametrize("cut", [1, 2, 3, 5])
def test_a_file_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match="ends"):
        decode_marks(encode_marks(MARKS, 500)[:-cut])
    with pytest.raises(ValueError, match="ends"):
        decode_marks(b"")


def test_a_note_cut_short_is_refused() -> None:
    with pytest.raises(ValueError, match="inside a note"):
        decode_marks(b"\x01\x58\x20\xfchello")


def test_a_mark_before_the_record_is_refused() -> None:
    with pytest.raises(ValueError, match="before the first"):
        decode_marks(b"\x00\xec\xff\xff\x00\x00\x01\x04\x00\x00")


def test_unknown_codes_are_passed_over() -> None:
    marks, _ = decode_marks(b"\x05\x04" + (50 << 10 | 4).to_bytes(2, "little") + b"\x01\x04\0\0")
    assert marks == [Mark(5, "N"), Mark(10, "N")]


def test_marks_must_be_in_order() -> None:
    with pytest.raises(ValueError, match="order"):
        encode_marks([Mark(5, "N"), Mark(4, "N")], 500)
