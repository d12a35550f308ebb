from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fascicle.data.check import Fault, check, recognise
from fascicle.data.checksums import SUMS
from fascicle.data.header_sizes import signal_file_sizes
from fascicle.errors import BadData, BadRequest

NAMES = ("100", "201", "202")
BEATS = np.array([1 << 10 | 90, 5 << 10 | 110, 0], "<u2").tobytes()


def write_record(folder: Path, name: str) -> None:
    signal = np.tile(np.arange(360, dtype="<i2")[:, None], (1, 2))
    total = int(signal[:, 0].sum(dtype="<i2"))
    lines = [f"{name} 2 360 360"]
    lines += [f"{name}.dat 16 200/mV 16 0 0 {total} 0 {lead}" for lead in ("MLII", "V1")]
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")
    (folder / f"{name}.dat").write_bytes(signal.tobytes())
    (folder / f"{name}.atr").write_bytes(BEATS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        write_record(tmp_path, name)
    return tmp_path


def write_sums(folder: Path, **others: str) -> None:
    sums = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.name != SUMS
    }
    lines = [f"{digest} {name}\n" for name, digest in {**sums, **others}.items()]
    (folder / SUMS).write_text("".join(lines))


def faults(folder: Path) -> dict[str, str]:
    return {fault.path: fault.reason for fault in check(folder, "mitdb").faults}


def test_a_sound_part_of_a_set_is_fine(folder: Path) -> None:
    report = check(folder, "mitdb")
    assert report.ok
    assert report.partial
    assert (report.records, report.expected, report.patients, report.verified) == (3, 48, 2, 0)
    assert (report.name, report.folder, report.faults) == ("mitdb", folder, ())


def test_checksums_are_compared_where_they_are_listed(folder: Path) -> None:
    write_sums(folder, **{"101.hea": "0" * 64, "101.dat": "0" * 64, "x.htm": "0" * 64})
    report = check(folder, "mitdb")
    assert (report.ok, report.verified) == (True, 9)
    (folder / "100.atr").write_bytes(BEATS[:2] + bytes(2))
    report = check(folder, "mitdb")
    assert (report.ok, report.verified) == (False, 8)
    (fault,) = report.faults
    assert fault.path == "100.atr"
    assert fault.reason.startswith("expected SHA-256 ")


@pytest.mark.parametrize("missing", ["100.dat", "100.atr"])
def test_a_missing_file_of_a_record_is_a_fault(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    assert faults(folder) == {missing: "is not there"}


def test_a_missing_header_is_seen_by_the_list(folder: Path) -> None:
    write_sums(folder)
    (folder / "100.hea").unlink()
    assert faults(folder) == {"100.hea": "is not there"}


@pytest.mark.parametrize(("keep", "more"), [(1439, b""), (0, b""), (1440, b"x")])
def test_a_size_that_differs_from_the_header_is_a_fault(
    folder: Path, keep: int, more: bytes
) -> None:
    path = folder / "201.dat"
    path.write_bytes(path.read_bytes()[:keep] + more)
    found = keep + len(more)
    assert faults(folder) == {"201.dat": f"expected 1440 bytes by its header, got {found}"}


@pytest.mark.parametrize(
    "text", ["", "100\n", "100 2 360 x\n", "100 2 360 360\n100.dat 16\n", "100/2 2 360 360\n"]
)
def test_a_header_that_is_none_is_a_fault(folder: Path, text: str) -> None:
    (folder / "100.hea").write_text(text)
    assert list(faults(folder)) == ["100.hea"]


def test_a_record_that_cannot_be_read_is_a_fault(folder: Path) -> None:
    header = folder / "100.hea"
    header.write_text(header.read_text().replace("100 2 360", "100 2 0"))
    (fault,) = check(folder, "mitdb").faults
    assert fault.path == "100"
    assert fault.reason
    assert check(folder, "mitdb", read=False).ok


def test_every_fault_is_listed_once(folder: Path) -> None:
    write_sums(folder)
    (folder / "100.dat").write_bytes(b"")
    (folder / "201.atr").unlink()
    (folder / "202.dat.part").touch()
    assert check(folder, "mitdb").faults == (
        Fault("202.dat.part", "left by a download that did not end"),
        Fault("100.dat", "expected 1440 bytes by its header, got 0"),
        Fault("201.atr", "is not there"),
    )


def test_progress_counts_records_and_checksums(folder: Path) -> None:
    write_sums(folder)
    steps: list[tuple[int, int, str]] = []
    check(folder, "mitdb", progress=lambda done, total, what: steps.append((done, total, what)))
    assert [done for done, _, _ in steps] == list(range(1, 13))
    assert {total for _, total, _ in steps} == {12}
    assert [what for _, _, what in steps[2:5]] == ["mitdb/202", "100.atr", "100.dat"]


def test_a_damaged_list_of_checksums_is_refused(folder: Path) -> None:
    (folder / SUMS).write_text("no list\n")
    with pytest.raises(BadData, match=r"SHA256SUMS\.txt line 1"):
        check(folder, "mitdb")


def test_other_folders_and_sources_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"ludb\.csv"):
        check(folder, "ludb")
    with pytest.raises(BadRequest, match="unknown source 'x', expected one of mitdb"):
        check(folder, "x")


def test_a_folder_is_recognised_by_its_records(folder: Path, tmp_path: Path) -> None:
    assert recognise(folder) == ("mitdb",)
    (tmp_path / "empty").mkdir()
    assert recognise(tmp_path / "empty") == ()


@pytest.mark.parametrize(
    ("signals", "sizes"),
    [
        (["a.dat 16", "a.dat 16"], {"a.dat": 4000}),
        (["a.dat 212", "b.dat 212"], {"a.dat": 1500, "b.dat": 1500}),
        (["a.mat 16+24 1000/mV", "a.mat 16x1+24 1000/mV"], {"a.mat": 4024}),
        (["a.dat 80x4:2+8"], {"a.dat": 4008}),
        (["a.dat 24", "b.dat 32"], {"a.dat": 3000, "b.dat": 4000}),
        (["a.flac 516"], {"a.flac": None}),
        (["a.dat strange"], {"a.dat": None}),
    ],
)
def test_sizes_follow_from_the_header(
    tmp_path: Path, signals: list[str], sizes: dict[str, int | None]
) -> None:
    header = tmp_path / "a.hea"
    header.write_text(
        "\n".join(["# first", f"a {len(signals)} 500 1000", "", *signals, "# Age: 1"])
    )
    assert signal_file_sizes(header) == {tmp_path / name: n for name, n in sizes.items()}


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80), st.integers(0, 60), st.integers(0, 20))
def test_any_damage_to_a_header_is_a_size_or_a_refusal(
    tmp_path: Path, more: bytes, start: int, cut: int
) -> None:
    sound = b"a 2 500 1000\na.dat 16x2+8 200/mV\na.dat 212:3 200/mV\n# Age: 1\n"
    header = tmp_path / "a.hea"
    header.write_bytes(sound[:start] + more + sound[start + cut :])
    try:
        sizes = signal_file_sizes(header)
    except BadData:
        return
    assert all(size is None or size >= 0 for size in sizes.values())


def test_an_odd_number_of_12_bit_samples_is_rounded_up(tmp_path: Path) -> None:
    (tmp_path / "a.hea").write_text("a 1 500 999\na.dat 212\n")
    assert signal_file_sizes(tmp_path / "a.hea") == {tmp_path / "a.dat": 1499}


def test_without_a_number_of_samples_no_size_is_expected(tmp_path: Path) -> None:
    (tmp_path / "a.hea").write_text("a 1 500\na.dat 16\n")
    assert signal_file_sizes(tmp_path / "a.hea") == {tmp_path / "a.dat": None}


def test_signal_files_may_stand_in_a_folder_below(tmp_path: Path) -> None:
    (tmp_path / "a.hea").write_text("a 1 500 1000\nb/a.dat 16\n")
    assert signal_file_sizes(tmp_path / "a.hea") == {tmp_path / "b" / "a.dat": 2000}


@pytest.mark.parametrize("name", ["../a.dat", "/a.dat", "b/../../a.dat", "a" * 300, "b/" * 700])
def test_signal_files_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.hea").write_text(f"a 1 500 1000\n{name} 16\n")
    with pytest.raises(BadData, match="no plain path in the folder"):
        signal_file_sizes(tmp_path / "a.hea")
