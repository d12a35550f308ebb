from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb
from numpy.typing import NDArray

from fascicle.errors import BadFile
from fascicle.io.reading import read

Writer = Callable[..., Path]
Waveform = Callable[..., NDArray[np.int64]]


def test_millivolts_come_out_whatever_the_unit(write_record: Writer, waveform: Waveform) -> None:
    adu = waveform(2)
    volts = adu.astype(np.float32) / np.float32(200)
    for unit, factor in (
        ("mV", 1),
        ("uV", 1e-3),
        ("µV", 1e-3),
        ("V", 1e3),
        ("nV", 1e-6),
        ("adu", 1 / 200),
    ):
        record = read(write_record(adu, fields=f"16 200/{unit} 16 0"))
        np.testing.assert_allclose(record.signal, volts * factor, rtol=1e-6)
    assert "200 per mV" in record.warnings[0]


def test_a_given_unit_overrides_the_headers(write_record: Writer, waveform: Waveform) -> None:
    record = read(write_record(fields="16 200/mV 16 0"), unit="uV")
    np.testing.assert_allclose(record.signal, waveform(2) / 200e3, rtol=1e-6)


def test_signals_that_are_no_voltage_are_left_out(write_record: Writer, waveform: Waveform) -> None:
    path = write_record(leads=("I", "ABP"))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], lines[2].replace("/mV", "/mmHg")]))
    record = read(path)
    assert record.leads == ("I",)
    np.testing.assert_array_equal(record.signal[0], (waveform(2)[0] / 200).astype(np.float32))
    assert any("'ABP' in 'mmHg' is left out" in warning for warning in record.warnings)


def test_unknown_units_alone_are_refused(write_record: Writer) -> None:
    with pytest.raises(BadFile, match="furlong"):
        read(write_record(fields="16 200/furlong 16 0"))


def test_no_gain_takes_the_default_with_a_warning(write_record: Writer, waveform: Waveform) -> None:
    record = read(write_record(fields="16 0/mV 16 0"))
    np.testing.assert_array_equal(record.signal, (waveform(2) / 200).astype(np.float32))
    assert "no gain" in record.warnings[0]


@pytest.mark.parametrize("cut", [1, 2, 1000])
def test_a_truncated_file_is_refused(write_record: Writer, cut: int) -> None:
    path = write_record()
    data = path.with_suffix(".dat")
    data.write_bytes(data.read_bytes()[:-cut])
    with pytest.raises(BadFile, match=rf"expected 2400 bytes .* came {2400 - cut}"):
        read(path)


def test_empty_and_absent_signal_files_are_refused(write_record: Writer) -> None:
    path = write_record()
    path.with_suffix(".dat").write_bytes(b"")
    with pytest.raises(BadFile, match="empty"):
        read(path)
    path.with_suffix(".dat").unlink()
    with pytest.raises(BadFile, match=r"rec\.dat: expected a file, found none"):
        read(path)


def test_a_longer_file_is_a_warning(write_record: Writer) -> None:
    path = write_record(record_line="rec 2 500 300")
    record = read(path)
    assert record.samples == 300
    assert any("1200 bytes more" in warning for warning in record.warnings)


def test_no_length_takes_what_the_file_holds(write_record: Writer) -> None:
    record = read(write_record(record_line="rec 2 500"))
    assert record.samples == 600
    assert any("gives no length" in warning for warning in record.warnings)


def test_absurd_lengths_are_refused_before_anything_is_allocated(write_record: Writer) -> None:
    for line in ("rec 2 500 999999999999999", "rec 2 500 600"):
        fields = "16 200/mV 16 0" if "999" in line else "16x999999999 200/mV 16 0"
        with pytest.raises(BadFile, match="truncated, or the header is wrong"):
            read(write_record(record_line=line, fields=fields))


def test_a_header_that_disagrees_with_its_samples_is_a_warning(write_record: Writer) -> None:
    path = write_record()
    data = path.with_suffix(".dat")
    changed = bytearray(data.read_bytes())
    changed[0] ^= 1
    data.write_bytes(changed)
    warnings = read(path).warnings
    assert [w for w in warnings if "'I' has another checksum" in w]
    assert [w for w in warnings if "'I' has another first sample" in w]
    assert not [w for w in warnings if "'II'" in w]


@pytest.mark.parametrize("name", ["../rec.dat", "/etc/passwd", "C:rec.dat", "..\\rec.dat"])
def test_a_header_cannot_reach_other_folders(write_record: Writer, name: str) -> None:
    path = write_record()
    path.write_text(path.read_text().replace("rec.dat", name))
    with pytest.raises(BadFile, match="same folder"):
        read(path)


def test_formats_must_be_known_and_agree(write_record: Writer) -> None:
    with pytest.raises(BadFile, match="WFDB format, came 17"):
        read(write_record(fields="17 200/mV 16 0"))
    path = write_record()
    path.write_text(path.read_text().replace("rec.dat 16", "rec.dat 212", 1))
    with pytest.raises(BadFile, match="one format"):
        read(path)


def test_files_of_different_length_are_refused(write_record: Writer) -> None:
    path = write_record(record_line="rec 2 500")
    (path.parent / "b.dat").write_bytes(b"\1\0" * 50)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1], "b.dat 16 200/mV 16 0 1 50 0 II"]))
    with pytest.raises(BadFile, match="one length"):
        read(path)


def test_a_skewed_signal_is_moved_back(write_record: Writer, waveform: Waveform) -> None:
    path = write_record(fields="16:5 200/mV 16 0")
    record = read(path)
    np.testing.assert_array_equal(
        record.signal[:, :-5], (waveform(2)[:, 5:] / 200).astype(np.float32)
    )
    assert np.isnan(record.signal[:, -5:]).all()


def test_several_samples_per_frame(write_record: Writer, waveform: Waveform) -> None:
    adu = waveform(1, 600)
    path = write_record(adu, record_line="rec 1 250 300", fields="16x2 200/mV 16 0", leads=("II",))
    record = read(path)
    assert (record.rate_hz, record.samples) == (500, 600)
    np.testing.assert_array_equal(record.signal, (adu / 200).astype(np.float32))


def test_leads_of_two_rates_come_out_at_the_higher(tmp_path: Path) -> None:
    frames = np.array([[0, 1, 10], [2, 3, 20], [4, 5, 30]], "<i2")
    (tmp_path / "r.dat").write_bytes(frames.tobytes())
    (tmp_path / "r.hea").write_text(
        "r 2 250 3\nr.dat 16x2 1/mV 16 0 0 15 0 I\nr.dat 16 1/mV 16 0 10 60 0 II"
    )
    record = read(tmp_path / "r.hea")
    assert record.rate_hz == 500
    assert record.signal.tolist() == [[0, 1, 2, 3, 4, 5], [10, 15, 20, 25, 30, 30]]
    assert record.warnings == ("signal 'II' is slower than others: interpolated",)
    np.testing.assert_array_equal(
        wfdb.rdrecord(str(tmp_path / "r"), smooth_frames=False).e_p_signal[0], record.signal[0]
    )


def test_rates_too_far_apart_are_refused(tmp_path: Path) -> None:
    (tmp_path / "r.dat").write_bytes(bytes(2 * 34 * 3))
    (tmp_path / "r.hea").write_text(
        "r 2 25 3\nr.dat 16x33 1/mV 16 0 0 0 0 I\nr.dat 16 1/mV 16 0 0 0 0 II"
    )
    with pytest.raises(BadFile, match=r"r\.hea: .* 1 and 33 samples per frame"):
        read(tmp_path / "r.hea")


def mat4(rows: int, columns: int) -> bytes:
    return np.array([30, rows, columns, 0, 4], "<i4").tobytes() + b"val\0"


def test_matlab_files_are_read_past_their_24_bytes(tmp_path: Path, waveform: Waveform) -> None:
    adu = waveform(2)
    (tmp_path / "E1.mat").write_bytes(mat4(2, 600) + adu.T.astype("<i2").tobytes())
    signals = "".join(
        f"E1.mat 16+24 4880/mV 16 0 {r[0]} {r.sum()} 0 {n}\n"
        for r, n in zip(adu, ("I", "II"), strict=True)
    )
    (tmp_path / "E1.hea").write_text("E1.mat 2 500 600 05-May-2020 14:50:55\n" + signals)
    record = read(tmp_path / "E1.mat")
    assert (record.name, record.warnings) == ("E1", ())
    np.testing.assert_array_equal(record.signal, (adu / 4880).astype(np.float32))
    (tmp_path / "E1.mat").write_bytes(mat4(3, 400) + adu.T.astype("<i2").tobytes())
    with pytest.raises(BadFile, match="came 3 x 400"):
        read(tmp_path / "E1.mat")
    (tmp_path / "E1.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(3000))
    with pytest.raises(BadFile, match="MATLAB 5"):
        read(tmp_path / "E1.mat")


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (struct.pack("<5i", 0, 1, 1, 0, 3) + b"fs\0" + struct.pack("<d", 500.0), "came 1 x 1"),
        (struct.pack("<5i", 0, 2, 600, 0, 4) + b"val\0", "type 0"),
        (struct.pack("<5i", 30, 2, 600, 0, 6) + b"value\0", "begins at byte 24"),
        (b"MATLAB 7.3 MAT-file".ljust(600), "came MATLAB 7.3"),
    ],
)
def test_another_matlab_matrix_is_not_taken_for_samples(
    tmp_path: Path, first: bytes, reason: str
) -> None:
    lines = [f"E1.mat 16+24 1000/mV 16 0 0 0 0 {lead}" for lead in ("I", "II")]
    (tmp_path / "E1.hea").write_text("\n".join(["E1 2 500 600", *lines]))
    (tmp_path / "E1.mat").write_bytes(first + bytes(24000))
    with pytest.raises(BadFile, match=reason):
        read(tmp_path / "E1")


def test_what_holds_of_every_signal_is_said_once(write_record: Writer) -> None:
    path = write_record(fields="16 0/mV 16 0", leads=("I", "II"))
    (path.with_suffix(".dat")).write_bytes(bytes(2400))
    warnings = read(path).warnings
    assert [w for w in warnings if w.startswith("signals 'I', 'II' have no gain")]
    assert [w for w in warnings if w.startswith("signals 'I', 'II' have another first sample")]
    assert len(warnings) == 3
