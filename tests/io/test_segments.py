from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb
from numpy.typing import NDArray

from fascicle.errors import BadFile
from fascicle.io.folders import find_records
from fascicle.io.reading import read

Writer = Callable[..., Path]
Waveform = Callable[..., NDArray[np.int64]]


@pytest.fixture
def variable(tmp_path: Path, write_record: Writer, waveform: Waveform) -> Path:
    """A record of 600 samples, a gap of 100, and 400 samples in which II is replaced by V1."""
    write_record(waveform(2, 600, 1), "a", leads=("I", "II"))
    write_record(waveform(2, 400, 2), "b", leads=("V1", "I"))
    (tmp_path / "lay.hea").write_text(
        "lay 3 500 0\n" + "".join(f"~ 0 200/mV 16 0 0 0 0 {lead}\n" for lead in ("I", "II", "V1"))
    )
    path = tmp_path / "m.hea"
    path.write_text("m/4 3 500 1100\nlay 0\na 600\n~ 100\nb 400\n")
    return path


def test_variable_layout_equals_wfdb(variable: Path) -> None:
    record = read(variable)
    assert (record.leads, record.samples) == (("I", "II", "V1"), 1100)
    expected = wfdb.rdrecord(str(variable.with_suffix(""))).p_signal.T.astype(np.float32)
    np.testing.assert_array_equal(record.signal, expected)
    assert np.isnan(record.signal[:, 600:700]).all()


def test_fixed_layout_equals_wfdb(tmp_path: Path, write_record: Writer, waveform: Waveform) -> None:
    write_record(waveform(2, 600, 1), "a")
    write_record(waveform(2, 400, 2), "b")
    (tmp_path / "m.hea").write_text("m/2 2 500 1000\na 600\nb 400\n#Age: 40\n")
    record = read(tmp_path / "m")
    expected = wfdb.rdrecord(str(tmp_path / "m")).p_signal.T.astype(np.float32)
    np.testing.assert_array_equal(record.signal, expected)
    assert (record.age, record.warnings) == (40, ())


def test_segments_are_not_records_of_their_own(variable: Path) -> None:
    assert find_records(variable.parent) == [variable]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("m/1 2 500 600\nnone 600", "none"),
        ("m/1 2 500 500\na 500", "expected 500 samples as in the record, came 600"),
        ("m/1 2 250 600\na 600", "expected 250 Hz"),
        ("m/2 2 500 1200\na 600\na 600", "each segment once"),
        ("m/1 2 500 600\nm2 600", "segments itself"),
        ("m/1 2 500 600\n~ 600", "signals of one rate"),
        ("m/1 2 500 600\n../a 600", "same folder"),
        ("m/2 2 500 999999999600\na 600\n~ 999999999000", "fill in part"),
    ],
)
def test_segments_that_cannot_be_joined_are_refused(variable: Path, text: str, reason: str) -> None:
    (variable.parent / "m2.hea").write_text("m2/1 2 500 600\na 600")
    variable.write_text(text)
    with pytest.raises(BadFile, match=reason):
        read(variable)


def test_a_wrong_sum_of_lengths_is_a_warning(variable: Path) -> None:
    variable.write_text(variable.read_text().replace("1100", "1200"))
    record = read(variable)
    assert record.samples == 1100
    assert any("1100 samples long, the header says 1200" in w for w in record.warnings)


def test_a_segment_without_any_voltage_is_a_gap(variable: Path) -> None:
    path = variable.parent / "b.hea"
    path.write_text(path.read_text().replace("/mV", "/mmHg"))
    record = read(variable)
    assert record.leads == ("I", "II")
    assert np.isnan(record.signal[:, 600:]).all()
