from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fascicle.errors import BadFile
from fascicle.io.arrays import parse_npy
from fascicle.io.reading import read
from fascicle.record import LEADS

MV = np.sin(np.arange(24000).reshape(12, 2000) / 9)


def npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "f2", "<i2", ">u4", "i1", "<U5", "S3"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_equal_numpys(dtype: str, order: str) -> None:
    array = np.array([[1, 2, 3], [4, 5, 60]]).astype(dtype)
    array = np.asfortranarray(array) if order == "F" else array
    parsed = parse_npy(npy(array), "x")
    assert parsed.dtype == array.dtype
    np.testing.assert_array_equal(parsed, array)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_format(version: tuple[int, int]) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.arange(6.0), version=version)
    np.testing.assert_array_equal(parse_npy(buffer.getvalue(), "x"), np.arange(6.0))


def test_a_plain_array(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    for array in (MV, MV.T, MV.T.astype(np.float32), np.asfortranarray(MV)):
        np.save(path, array)
        record = read(path, rate_hz=500)
        assert (record.name, record.leads, record.rate_hz) == ("x", LEADS, 500)
        np.testing.assert_array_equal(record.signal, MV.astype(np.float32))
    np.save(path, np.round(MV * 1000).astype(np.int16))
    with pytest.raises(BadFile, match="too much for mV"):
        read(path, rate_hz=500)
    np.testing.assert_allclose(read(path, rate_hz=500, unit="uV").signal, MV, atol=6e-4)
    np.testing.assert_allclose(read(path, rate_hz=500, unit="1000/mV").signal, MV, atol=6e-4)
    with pytest.raises(BadFile, match="no sampling rate"):
        read(path, unit="uV")


def test_a_single_lead(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", MV[0])
    record = read(tmp_path / "x.npy", rate_hz=500)
    assert (record.leads, record.samples) == (("I",), 2000)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_archive(tmp_path: Path, save: object) -> None:
    path = tmp_path / "x.npz"
    assert callable(save)
    save(path, signal=MV[:2] * 1000, rate_hz=250, leads=["II", "v1"], unit="uV", more=[{"a": 1}])
    record = read(path)
    assert (record.leads, record.rate_hz, record.warnings) == (("II", "V1"), 250, ())
    np.testing.assert_allclose(record.signal, MV[:2], atol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"ecg": MV}, "named signal, found ecg"),
        ({"signal": MV, "rate_hz": [1, 2]}, "one number"),
        ({"signal": MV, "rate_hz": "fast"}, "one number"),
        ({"signal": MV, "rate_hz": 0}, "sampling rate"),
        ({"signal": MV, "rate_hz": np.nan}, "sampling rate"),
        ({"signal": MV, "rate_hz": 500, "leads": ["I"]}, "12 leads, came 1"),
        ({"signal": MV, "rate_hz": 500, "leads": 7}, "leads to be text"),
        ({"signal": MV, "rate_hz": 500, "unit": "mmHg"}, "unit of voltage"),
        ({"signal": MV * 1j, "rate_hz": 500}, "numbers or text"),
        ({"signal": MV > 0, "rate_hz": 500}, "numbers or text"),
        ({"signal": np.array([{"a": 1}]), "rate_hz": 500}, "numbers or text"),
        ({"signal": np.array(["a", "b"]), "rate_hz": 500}, "array of numbers"),
        ({"signal": MV.reshape(3, 4, -1), "rate_hz": 500}, "two axes"),
        ({"signal": np.zeros((2, 0)), "rate_hz": 500}, "lead, sample"),
    ],
)
def test_archives_that_lack_something_are_refused(
    tmp_path: Path, arrays: dict[str, object], reason: str
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(BadFile, match=reason):
        read(tmp_path / "x.npz")


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(80)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x07\x00" + bytes(100),
        npy(MV)[:-1],
        npy(MV) + b"\0",
        npy(MV)[:60],
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999,)}"),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -10)}"),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (True,)}"),
        header("{'descr': '<f8', 'fortran_order': 0, 'shape': (10,)}"),
        header("{'descr': '|O', 'fortran_order': False, 'shape': (10,)}"),
        header("{'descr': '<U0', 'fortran_order': False, 'shape': (10,)}"),
        header("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (10,)}"),
        header("[" * 5000),
        header("__import__('os')"),
    ],
)
def test_bytes_that_are_no_array_are_refused(data: bytes) -> None:
    with pytest.raises(BadFile, match="x: expected"):
        parse_npy(data, "x")


def test_archives_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    for data in (b"", b"PK\x03\x04 and more", b"hello"):
        path.write_bytes(data)
        with pytest.raises(BadFile, match="archive"):
            read(path)


def test_an_archive_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("signal.npy", npy(MV))
    data = path.read_bytes()
    size = len(npy(MV)).to_bytes(4, "little")
    assert data.count(size) == 2
    path.write_bytes(data.replace(size, b"\xff\xff\xff\xf0"))
    with pytest.raises(BadFile, match="under 2 GB"):
        read(path)


def test_an_archive_that_packs_as_no_ecg_does_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    signal = np.round(np.cumsum(rng.normal(size=(12, 5000)), axis=1) * 5).astype(np.int16)
    np.savez_compressed(tmp_path / "ecg.npz", signal=signal, rate_hz=500, unit="adu")
    np.savez_compressed(tmp_path / "bomb.npz", signal=signal * 0, rate_hz=500, unit="adu")
    assert read(tmp_path / "bomb.npz").samples == 5000  # small enough to do no harm
    monkeypatch.setattr("fascicle.io.arrays.MOST_PACKED", 1000)
    assert read(tmp_path / "ecg.npz").samples == 5000
    with pytest.raises(BadFile, match=r"signal: expected an ECG, came 120128 bytes that pack to"):
        read(tmp_path / "bomb.npz")
