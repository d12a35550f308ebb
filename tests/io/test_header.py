from __future__ import annotations

from pathlib import Path

import pytest

from fascicle.errors import BadFile
from fascicle.io.header import parse_header, read_header

GEORGIA = """E00271.mat 12 500 5000 05-May-2020 14:50:55
""" + "\n".join(f"E00271.mat 16+24 4880/mV 16 0 -{n} 7 0 V{n}" for n in range(12))
CINC_2017 = "A00001 1 300 9000 2013-10-01 00:00:00 \nA00001.mat 16+24 1000/mV 16 0 -127 0 0 ECG \n"


def test_every_field_of_a_signal_line_is_read() -> None:
    header = parse_header(
        "r 1 360/720(5) 650 12:00:01 1/2/2003\nr.dat 212x4:3+512 2e2(-7)/uV 11 4 5 -6 0 a b", "r"
    )
    line = header.signals[0]
    assert (header.name, header.rate_hz, header.samples) == ("r", 360, 650)
    assert (line.file, line.format, line.frame, line.skew, line.offset) == ("r.dat", 212, 4, 3, 512)
    assert (line.gain, line.baseline, line.unit) == (200, -7, "uV")
    assert (line.first, line.checksum, line.name) == (5, -6, "a b")


def test_absent_fields_take_the_defaults_of_wfdb() -> None:
    header = parse_header("r 1\nr.dat 16", "r")
    line = header.signals[0]
    assert (header.rate_hz, header.samples) == (250, None)
    assert (line.gain, line.baseline, line.unit, line.frame) == (200, 0, "mV", 1)
    assert (line.first, line.checksum, line.name) == (None, None, None)
    assert len(header.warnings) == 2


def test_baseline_is_the_zero_of_the_converter_unless_given() -> None:
    assert parse_header("r 1 360 9\nr.dat 16 200 11 1024 0 0 0 I", "r").signals[0].baseline == 1024
    assert parse_header("r 1 360 9\nr.dat 16 200(3) 11 1024", "r").signals[0].baseline == 3


@pytest.mark.parametrize(("text", "samples"), [(GEORGIA, 5000), (CINC_2017, 9000)])
def test_headers_that_other_readers_refuse_are_read(text: str, samples: int) -> None:
    header = parse_header(text, "x")
    assert header.samples == samples
    assert not header.warnings


def test_segments_are_read_in_order() -> None:
    header = parse_header("m/3 2 250 300\nlayout 0\na 100\n~ 200", "m")
    assert header.segments == (("layout", 0), ("a", 100), ("~", 200))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("#only a comment", "empty"),
        ("justaname", "record line"),
        ("r x 500 100", "record line"),
        ("r 1 500 10.5\nr.dat 16", "record line"),
        ("r 1 500 " + "9" * 40 + "\nr.dat 16", "record line"),
        ("r 0 500 100", "at least one signal"),
        ("r 2 500 100\nr.dat 16", "expected 2 signal lines, came 1"),
        ("r 1 500 100\nr.dat 16\nr.dat 16", "came one more"),
        ("r 999999 500 100\nr.dat 16", "at most 256"),
        ("r 1 500 100\nr.dat abc", "signal line"),
        ("r 1 500 100\nr.dat 16x0 200", "samples per frame"),
        ("r 1 500 100\nr.dat 16 1e-99", "gain"),
        ("r/2 1 500 100\na 100", "expected 2 segments"),
        ("r/0 1 500 100", "at least one"),
        ("r/1 1 500 100\na b c", "segment line"),
    ],
)
def test_what_breaks_the_grammar_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(BadFile, match=reason) as error:
        parse_header(text, "folder/x.hea")
    assert str(error.value).startswith("folder/x.hea: ")
    assert "\n" not in str(error.value)


def test_a_meaningless_line_is_a_warning() -> None:
    assert "means nothing" in parse_header("r 1 500 9\nr.dat 16 200\nhello!", "r").warnings[0]


def test_a_header_of_absurd_size_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "r.hea"
    with path.open("wb") as file:
        file.truncate(2**25)
    with pytest.raises(BadFile, match="at most"):
        read_header(path)
