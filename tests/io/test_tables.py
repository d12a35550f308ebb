from __future__ import annotations

import codecs
from pathlib import Path

import numpy as np
import pytest

from fascicle.errors import BadFile
from fascicle.io.reading import read
from fascicle.record import LEADS

MV = np.round(np.sin(np.arange(40).reshape(20, 2) / 3), 4)
EXPECTED = MV.T.astype(np.float32)


def table(tmp_path: Path, text: str | bytes, name: str = "x.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def rows(separator: str = ",", factor: float = 1, decimal: str = ".") -> str:
    return "\n".join(
        separator.join(f"{v * factor:.4f}".replace(".", decimal) for v in row) for row in MV
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("I,II\n" + rows(), "x.csv"),
        ("I\tII\n" + rows("\t"), "x.tsv"),
        ("I II\n" + rows("   "), "x.txt"),
        ("I;II\n" + rows(";", decimal=","), "x.csv"),
        ("\ufeffI,II\r\n" + rows().replace("\n", "\r\n") + "\r\n", "X.CSV"),
        ("# made by hand\n\n'I' , \"II\"\n" + rows(" , ") + "\n\n", "x.csv"),
        ("I (uV),II [uV]\n" + rows(factor=1000), "x.csv"),
        ("I_uV,II_mV\n" + "\n".join(f"{a * 1000:.4f},{b:.4f}" for a, b in MV), "x.csv"),
        (",I,II\n" + "\n".join(f"{n},{a:.4f},{b:.4f}" for n, (a, b) in enumerate(MV)), "x.csv"),
        ("I,II\nmV,mV\n" + rows(), "x.csv"),
        ("I,II,\n" + rows().replace("\n", ",\n") + ",", "x.csv"),
        (("I\tII\n" + rows("\t")).encode("utf-16"), "x.csv"),
        (codecs.BOM_UTF16_BE + ("I,II\n" + rows()).encode("utf-16-be"), "x.csv"),
        (("I,II\n" + rows()).encode("utf-32"), "x.csv"),
    ],
)
def test_every_spelling_of_a_table_reads_alike(
    tmp_path: Path, text: str | bytes, name: str
) -> None:
    record = read(table(tmp_path, text, name), rate_hz=500)
    assert (record.leads, record.rate_hz) == (("I", "II"), 500)
    np.testing.assert_allclose(record.signal, EXPECTED, atol=2e-7)


@pytest.mark.parametrize(
    ("head", "step"),
    [("time", 1 / 360), ("time_ms", 1000 / 360), ("Time (s)", 1 / 360), ("t [ms]", 1000 / 360)],
)
def test_a_time_column_gives_the_rate(tmp_path: Path, head: str, step: float) -> None:
    lines = [f"{n * step:.4f},{a},{b}" for n, (a, b) in enumerate(MV)]
    record = read(table(tmp_path, f"{head},I,II\n" + "\n".join(lines)))
    assert record.rate_hz == 360
    np.testing.assert_array_equal(record.signal, EXPECTED)
    assert "given and is used" in read(tmp_path / "x.csv", rate_hz=500).warnings[-1]


@pytest.mark.parametrize("times", ["0 .01 .02 .05", "3 2 1 0", "0 0 0 0", "0 nan 1 2"])
def test_a_time_column_that_is_no_clock_gives_no_rate(tmp_path: Path, times: str) -> None:
    lines = [f"{t},0.1,0.2" for t in times.split()]
    path = table(tmp_path, "time,I,II\n" + "\n".join(lines))
    with pytest.raises(BadFile, match=r"rate.*the time column is not used"):
        read(path)
    record = read(path, rate_hz=500)
    assert (record.leads, record.rate_hz) == (("I", "II"), 500)
    assert any("the time column is not used" in warning for warning in record.warnings)


@pytest.mark.parametrize("head", ["Elapsed time,I,II\nhh:mm:ss.mmm,mV,mV\n", "time,I,II\n"])
@pytest.mark.parametrize("hours", ["", "0:", "13:"])
def test_times_of_a_clock_give_the_rate(tmp_path: Path, head: str, hours: str) -> None:
    lines = [f"{hours}59:{59 + n / 360:06.3f},{a},{b}" for n, (a, b) in enumerate(MV)]
    record = read(table(tmp_path, head + "\n".join(lines)))
    assert record.rate_hz == pytest.approx(360, rel=0.01)
    np.testing.assert_array_equal(record.signal, EXPECTED)


def test_a_time_is_no_voltage(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"line 3, column 2: expected a number, came '0:01'"):
        read(table(tmp_path, "time,I\n0,1\n1,0:01"))


def test_the_errors_of_a_spreadsheet_are_missing_samples(tmp_path: Path) -> None:
    text = "I,II\n# by hand\n#N/A,0.1\n0.2,#DIV/0!\n"
    record = read(table(tmp_path, text), rate_hz=500, unit="mV")
    np.testing.assert_array_equal(
        record.signal, np.array([[np.nan, 0.2], [0.1, np.nan]], np.float32)
    )


def test_missing_cells_are_nan(tmp_path: Path) -> None:
    text = "I,II\n0.1,\nNaN,0.2\nna,-\n1e999,-inf\n0.5,0.5"
    record = read(table(tmp_path, text), rate_hz=500, unit="mV")
    n = np.nan
    expected = [[0.1, n, n, n, 0.5], [n, 0.2, n, n, 0.5]]
    np.testing.assert_array_equal(record.signal, np.array(expected, np.float32))
    assert any("2 infinite" in warning for warning in record.warnings)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("# nothing\n\n", "empty"),
        ("I,II\n", "below the names, came none"),
        ("I,II\n1,2\n1,2,3", "line 3: expected 2 cells, came 3"),
        ("I,II\n1,2\n\n1,x", "line 4, column 2: expected a number, came 'x'"),
        ("I,II\n1,2\n1,1_0", "came '1_0'"),
        ("time,index\n0,1\n1,2", "column of samples"),
        ("I (mmHg)\n1\n2", "voltage"),
        (b"\x00\x01\x02", "binary"),
        ("I,II\n" + rows(factor=1000), "too much for mV"),
        ("I,II\n" + rows(), "no sampling rate"),
    ],
)
def test_what_is_no_table_is_refused_with_its_place(
    tmp_path: Path, text: str | bytes, reason: str
) -> None:
    with pytest.raises(BadFile, match=reason) as error:
        read(table(tmp_path, text))
    assert "x.csv: " in str(error.value)
    assert "\n" not in str(error.value)


def test_a_table_without_names(tmp_path: Path) -> None:
    record = read(table(tmp_path, rows()), rate_hz=500)
    assert record.leads == ("channel 1", "channel 2")
    assert any("mV assumed" in warning for warning in record.warnings)
    np.testing.assert_allclose(record.signal, EXPECTED)
    wide = "\n".join(",".join(f"{v}" for v in np.linspace(0, 1, 30) + n) for n in range(12))
    record = read(table(tmp_path, wide), rate_hz=500)
    assert (record.leads, record.samples) == (LEADS, 30)


def test_latin_1_is_understood(tmp_path: Path) -> None:
    text = ("I (µV),II (µV)\n" + rows(factor=1000)).encode("latin-1")
    record = read(table(tmp_path, text), rate_hz=500)
    np.testing.assert_allclose(record.signal, EXPECTED, atol=2e-7)


def test_columns_that_are_no_voltage_are_left_out(tmp_path: Path) -> None:
    record = read(table(tmp_path, "I (mV),BP (mmHg)\n" + rows()), rate_hz=500)
    assert record.leads == ("I",)
    assert "'BP' in 'mmHg' is left out" in record.warnings[0]
