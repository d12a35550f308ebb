from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
import wfdb
from numpy.typing import NDArray

from fascicle.io import formats
from fascicle.io.formats import bytes_needed, decode, decode_flac, samples_held
from fascicle.io.reading import read

Waveform = Callable[..., NDArray[np.int64]]


pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # wfdb on pandas


def packed(flat: NDArray[np.int64], fmt: int) -> bytes:
    """Return one signal's samples in a format, written from the text of signal(5)."""
    rest = np.zeros(-len(flat) % 6, np.int64)
    flat = np.append(flat, rest)
    if fmt == 8:
        return np.diff(flat, prepend=0).astype("i1").tobytes()
    if fmt in (80, 160):
        return (flat + (128 if fmt == 80 else 32768)).astype("u1" if fmt == 80 else "<u2").tobytes()
    if fmt in (16, 32, 61):
        return flat.astype({16: "<i2", 32: "<i4", 61: ">i2"}[fmt]).tobytes()
    if fmt == 24:
        return flat.astype("<i4").view("u1").reshape(-1, 4)[:, :3].tobytes()
    if fmt == 212:
        a, b = (flat & 0xFFF).reshape(-1, 2).T
        return np.stack([a & 255, a >> 8 | b >> 8 << 4, b & 255], 1).astype("u1").tobytes()
    a, b, c = (flat & 0x3FF).reshape(-1, 3).T
    if fmt == 311:
        return (a | b << 10 | c << 20).astype("<u4").tobytes()
    return np.stack([a << 1 | (c & 31) << 11, b << 1 | c >> 5 << 11], 1).astype("<u2").tobytes()


@pytest.mark.parametrize("fmt", [8, 16, 24, 32, 61, 80, 160, 212, 310, 311])
@pytest.mark.parametrize("samples", [600, 601, 602])
def test_samples_equal_those_of_wfdb(
    tmp_path: Path, fmt: int, samples: int, waveform: Waveform
) -> None:
    adu = waveform(1, samples)[0]
    if fmt != 8:
        adu[7] = -(2 ** {80: 7, 310: 9, 311: 9, 212: 11, 24: 23, 32: 31}.get(fmt, 15))
    data = packed(adu, fmt)
    (tmp_path / "r.dat").write_bytes(data[: bytes_needed(fmt, samples)])
    (tmp_path / "r.hea").write_text(
        f"r 1 500 {samples}\nr.dat {fmt} 199.5(12)/mV 12 0 {adu[0] if fmt != 8 else 0} "
        f"{(int(adu.sum()) + 32768) % 65536 - 32768} 0 II\n"
    )
    expected = wfdb.rdrecord(str(tmp_path / "r")).p_signal.T.astype(np.float32)
    record = read(tmp_path / "r")
    np.testing.assert_array_equal(record.signal, expected)
    assert record.warnings == ()
    assert np.isnan(record.signal[0, 7]) == (fmt != 8)
    keep = np.arange(samples) != 7
    np.testing.assert_array_equal(record.signal[0, keep], ((adu - 12) / 199.5)[keep].astype("f4"))


@pytest.mark.parametrize("fmt", ["16", "24", "32", "80", "212"])
def test_records_of_wfdb_are_read(tmp_path: Path, fmt: str, waveform: Waveform) -> None:
    adu = waveform(3, 601).T
    wfdb.wrsamp(
        "rec",
        fs=500,
        units=["mV"] * 3,
        sig_name=["I", "II", "V1"],
        d_signal=adu,
        fmt=[fmt] * 3,
        adc_gain=[200.0, 199.5, 1000.0],
        baseline=[0, 12, -5],
        comments=["Age: 50"],
        write_dir=str(tmp_path),
    )
    record = read(tmp_path / "rec")
    expected = ((adu - [0, 12, -5]) / [200.0, 199.5, 1000.0]).T.astype(np.float32)
    np.testing.assert_array_equal(record.signal, expected)
    assert (record.leads, record.age, record.warnings) == (("I", "II", "V1"), 50, ())


@pytest.mark.parametrize("fmt", [16, 24, 212, 310, 311])
def test_needed_and_held_samples_agree(fmt: int) -> None:
    for count in range(1, 30):
        assert samples_held(fmt, bytes_needed(fmt, count)) >= count
        assert samples_held(fmt, bytes_needed(fmt, count) - 1) < count


def test_extreme_values_keep_their_sign() -> None:
    assert decode(b"\xff\xff\x7f\x00\x00\x80", 24, 2).tolist() == [2**23 - 1, -(2**23)]
    assert decode(b"\xff\x07\x00\x00\x80\x00", 212, 3).tolist() == [2047, 0, 0]
    assert decode(b"\x00\x08\x00", 212, 1).tolist() == [-2048]


@pytest.mark.parametrize("fmt", [24, 212, 310, 311])
@pytest.mark.parametrize("count", [0, 1, 11, 12, 13, 30])
def test_groups_taken_apart_a_few_at_a_time_are_the_same(
    fmt: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = np.random.default_rng(fmt).bytes(bytes_needed(fmt, count))
    at_once = decode(data, fmt, count)
    assert at_once.shape == (count,)
    monkeypatch.setattr(formats, "AT_ONCE", 2)
    np.testing.assert_array_equal(decode(data, fmt, count), at_once)


def flac(values: NDArray[Any], subtype: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, values, 500, format="FLAC", subtype=subtype)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("fmt", "subtype", "shift", "dtype"),
    [(508, "PCM_S8", 8, "int16"), (516, "PCM_16", 0, "int16"), (524, "PCM_24", 8, "int32")],
)
def test_flac_equals_wfdb(
    tmp_path: Path, fmt: int, subtype: str, shift: int, dtype: str, waveform: Waveform
) -> None:
    adu = waveform(2, 500)
    (tmp_path / "r.dat").write_bytes(flac((adu.T << shift).astype(dtype), subtype))
    (tmp_path / "r.hea").write_text(
        "r 2 500 500\n" + "".join(f"r.dat {fmt} 200(3)/mV 8 0 0 0 0 {x}\n" for x in ("I", "II"))
    )
    expected = wfdb.rdrecord(str(tmp_path / "r")).p_signal.T.astype(np.float32)
    np.testing.assert_array_equal(read(tmp_path / "r").signal, expected)
    np.testing.assert_array_equal(expected, ((adu - 3) / 200).astype(np.float32))


def test_flac_that_is_none_or_another_is_refused(waveform: Waveform) -> None:
    stream = flac(waveform(2, 500).T.astype("int16"), "PCM_16")
    for data, channels, fmt in [
        (b"RIFF", 2, 516),
        (stream, 3, 516),
        (stream, 2, 508),
        (stream[:40], 2, 516),
    ]:
        with pytest.raises(ValueError, match=r"FLAC|channels"):
            decode_flac(data, fmt, channels, 0, 500)
    assert decode_flac(stream, 516, 2, 100, None).shape == (400, 2)
    with pytest.raises(ValueError, match="at most"):
        decode_flac(stream, 516, 2, 0, 2**40)
