from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import fascicle.io
from fascicle.errors import BadFile, BadRequest
from fascicle.io.reading import READERS, read
from fascicle.record import Record

Writer = Callable[..., Path]
Waveform = Callable[..., NDArray[np.int64]]


@pytest.mark.parametrize("spelling", ["rec.hea", "rec.dat", "rec"])
def test_a_record_by_any_of_its_names(
    write_record: Writer, spelling: str, waveform: Waveform
) -> None:
    path = write_record(comments=("Age: 56", "Sex: Female", "Dx: 426783006,"))
    record = read(path.parent / spelling)
    assert (record.name, record.rate_hz, record.leads) == ("rec", 500, ("I", "II"))
    assert (record.age, record.sex) == (56, "F")
    assert record.labels == {"SNOMED-CT": {"426783006"}}
    assert record.source.endswith(spelling)
    assert record.warnings == ()
    np.testing.assert_array_equal(record.signal, (waveform(2) / 200).astype(np.float32))
    assert record.signal.dtype == np.float32
    assert read(str(path)).name == "rec"


def test_names_with_dots_and_capitals(write_record: Writer) -> None:
    path = write_record(name="a.b")
    assert read(path.parent / "a.b").name == "a.b"
    assert read(path.parent / "a.b.dat").name == "a.b"
    path.rename(path.with_suffix(".HEA"))
    assert read(path.with_suffix(".dat")).samples == 600


def test_nothing_known_is_said_as_nothing(write_record: Writer) -> None:
    record = read(write_record())
    assert (record.age, record.sex, record.labels, record.annotated) == (
        None,
        None,
        {},
        frozenset(),
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *[("none", "none.hea beside it"), ("none.dat", "none.hea"), ("none.hea", "found none")],
        *[("none.csv", "found none"), ("none.npz", "found none"), (".", "a folder")],
        *[
            ("x.edf", "x.edf: expected a WFDB record, a table or an array"),
            ("lonely.mat", "lonely.hea beside it"),
        ],
    ],
)
def test_what_is_not_there_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "x.edf").write_bytes(b"0")
    (tmp_path / "lonely.mat").write_bytes(b"0")
    with pytest.raises(BadFile, match=reason) as error:
        read(tmp_path / name)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("rate", ["0", "-500", "1e9", "0.001", "1e-300"])
def test_a_rate_at_which_no_ecg_is_sampled_is_refused(write_record: Writer, rate: str) -> None:
    path = write_record(record_line=f"rec 2 {rate} 600")
    with pytest.raises(BadFile, match="sampling rate of 20 to 100000 Hz"):
        read(path)
    assert read(path, rate_hz=500).rate_hz == 500


def test_a_given_rate_overrides_with_a_warning(write_record: Writer) -> None:
    path = write_record()
    record = read(path, rate_hz=250)
    assert record.rate_hz == 250
    assert record.warnings == ("the file says 500 Hz, 250 Hz was given and is used",)
    assert read(path, rate_hz=500).warnings == ()


@pytest.mark.parametrize(
    "arguments",
    [
        {"rate_hz": 0},
        {"rate_hz": float("nan")},
        {"rate_hz": -1},
        {"unit": "mmHg"},
        {"lead_names": ["I"]},
        {"lead_names": ["I", "I"]},
    ],
)
def test_impossible_arguments_are_refused(
    write_record: Writer, arguments: dict[str, object]
) -> None:
    with pytest.raises(BadRequest):
        read(write_record(), **arguments)  # type: ignore[arg-type]


def test_lead_names_override(write_record: Writer) -> None:
    assert read(write_record(), lead_names=["V1", "avr"]).leads == ("V1", "aVR")


def test_a_header_of_another_record_is_reported(write_record: Writer) -> None:
    path = write_record(record_line="other 2 500 600")
    assert read(path).warnings == ("the header is of a record named 'other'",)


def test_every_reader_is_listed() -> None:
    assert set(READERS) == {".hea", ".dat", ".mat", ".csv", ".tsv", ".txt", ".npy", ".npz"}
    assert fascicle.io.read is read
    assert isinstance(read.__doc__, str)


def test_reading_loads_no_heavy_library() -> None:
    code = (
        "import sys, fascicle.io; heavy = {'torch', 'wfdb', 'pandas', 'soundfile', 'matplotlib',"
        " 'scipy'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_record_is_a_record(write_record: Writer) -> None:
    assert isinstance(read(write_record()), Record)
