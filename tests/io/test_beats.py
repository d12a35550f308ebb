from __future__ import annotations

from pathlib import Path

import pytest

from fascicle.errors import BadFile, BadRequest
from fascicle.io.beats import pair_files, read_beat_files
from fascicle.io.marks import Mark, encode_marks


def write(path: Path, marks: str, rate_hz: float = 360.0, stated: bool = True) -> Path:
    """Write a mark per letter at 100, 200, ... samples, with or without their rate."""
    path.parent.mkdir(parents=True, exist_ok=True)
    placed = [Mark(100 * n, symbol) for n, symbol in enumerate(marks, 1) if symbol != " "]
    data = encode_marks(placed, rate_hz)
    note = encode_marks([], rate_hz)[:-2]
    path.write_bytes(data if stated else data.removeprefix(note))
    return path


def write_header(path: Path, line: str = "360 650000") -> None:
    path.write_text(f"{path.stem} 1 {line}\n{path.stem}.dat 16 200 16 0 0 0 0 I\n")


def test_reads_classes_on_one_clock(tmp_path: Path) -> None:
    write_header(tmp_path / "100.hea")
    files = read_beat_files(
        write(tmp_path / "100.atr", "NLRaVFJASEj/QB?enfr+", stated=False),
        write(tmp_path / "out" / "100.qrs", "N~V", rate_hz=180.0),
    )
    assert (files.name, files.rate_hz, files.length) == ("100", 360.0, 650000)
    assert files.reference.samples == tuple(range(100, 2000, 100))
    assert "".join(kind or "!" for kind in files.reference.kinds) == "NNNSVFSSSVNQQNQNNQV"
    assert files.estimate.samples == (200, 600)
    assert files.estimate.kinds == ("N", "V")


def test_escape_beats_may_be_supraventricular(tmp_path: Path) -> None:
    path = write(tmp_path / "a.atr", "ejnNA")
    assert read_beat_files(path, path).reference.kinds == ("N", "N", "N", "N", "S")
    assert read_beat_files(path, path, escape="S").reference.kinds == ("S", "S", "S", "N", "S")


def test_nothing_inside_flutter_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.atr", "N[!!V]N!")
    marks = read_beat_files(path, path).reference
    assert marks.samples == (100, 700, 800)
    assert marks.kinds == ("N", "N", None)
    assert marks.flutter == ((200, 600),)


def test_flutter_without_an_end_lasts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.atr", "N[VV")
    marks = read_beat_files(path, path).reference
    assert marks.samples == (100,)
    assert marks.flutter[0][0] == 200
    assert marks.flutter[0][1] > 10**12


def test_the_header_beside_each_file_tells_its_clock(tmp_path: Path) -> None:
    write_header(tmp_path / "a.hea", "360 1000")
    (tmp_path / "slow").mkdir()
    write_header(tmp_path / "slow" / "a.hea", "120 500")
    reference = write(tmp_path / "a.atr", "N", stated=False)
    slow = write(tmp_path / "slow" / "a.qrs", "N", stated=False)
    other = write(tmp_path / "other" / "a.qrs", "N", stated=False)
    assert read_beat_files(reference, slow).estimate.samples == (300,)
    assert read_beat_files(reference, other).estimate.samples == (100,)


def test_a_rate_is_needed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.atr", "N", stated=False)
    with pytest.raises(BadFile, match=r"no sampling rate: expected a\.hea beside it"):
        read_beat_files(path, path)


@pytest.mark.parametrize("line", ["0 100", "1e9 100"])
def test_an_impossible_rate_is_refused(line: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.atr", "N", stated=False)
    write_header(tmp_path / "a.hea", line)
    with pytest.raises(BadFile, match="1 to 1e\\+06 samples per second"):
        read_beat_files(path, path)
    odd = write(tmp_path / "b.atr", "N", rate_hz=0.0)
    with pytest.raises(BadFile, match="samples per second, came 0"):
        read_beat_files(odd, odd)


def test_other_files_are_refused(tmp_path: Path) -> None:
    good = write(tmp_path / "a.atr", "N")
    bad = tmp_path / "a.qrs"
    bad.write_bytes(b"no annotations at all")
    with pytest.raises(BadFile, match=r"a\.qrs: not an annotation file"):
        read_beat_files(good, bad)
    with pytest.raises(BadFile, match="absent"):
        read_beat_files(good, tmp_path / "absent.qrs")


class TestPairs:
    def test_two_files(self, tmp_path: Path) -> None:
        a, b = tmp_path / "100.atr", tmp_path / "found.ann"
        assert pair_files(a, b) == ([(a, b)], [])

    def test_folders(self, tmp_path: Path) -> None:
        ref, out = tmp_path / "ref", tmp_path / "out"
        for name in ("100", "101", "102"):
            write(ref / f"{name}.atr", "N")
        for name in ("102", "100"):
            write(out / f"{name}.qrs", "N")
        (out / "100.json").write_text("{}")
        pairs, left = pair_files(ref, out)
        assert pairs == [(ref / f"{n}.atr", out / f"{n}.qrs") for n in ("100", "102")]
        assert left == ["101"]

    def test_one_folder_holds_both(self, tmp_path: Path) -> None:
        write(tmp_path / "100.atr", "N")
        write(tmp_path / "100.qrs", "N")
        write_header(tmp_path / "100.hea")
        assert pair_files(tmp_path, tmp_path)[0] == [(tmp_path / "100.atr", tmp_path / "100.qrs")]

    def test_several_kinds_need_a_name(self, tmp_path: Path) -> None:
        for suffix in ("atr", "qrs", "wqrs"):
            write(tmp_path / f"100.{suffix}", "N")
        with pytest.raises(BadRequest, match=r"found \.qrs, \.wqrs; name it with --suffix"):
            pair_files(tmp_path, tmp_path)
        for suffix in ("wqrs", ".wqrs"):
            (pair,), _ = pair_files(tmp_path, tmp_path, suffix)
            assert pair[1].name == "100.wqrs"

    def test_refusals(self, tmp_path: Path) -> None:
        ref, out = tmp_path / "ref", tmp_path / "out"
        path = write(ref / "100.atr", "N")
        out.mkdir()
        with pytest.raises(BadRequest, match="two files or two folders"):
            pair_files(path, out)
        with pytest.raises(BadRequest, match="found none"):
            pair_files(ref, out)
        with pytest.raises(BadFile, match=r"annotation files \(\.qrs\), found none"):
            pair_files(ref, out, ".qrs")
        with pytest.raises(BadFile, match=r"annotation files \(\.atr\), found none"):
            pair_files(out, ref)
        write(out / "999.qrs", "N")
        with pytest.raises(BadFile, match=r"expected its reference 999\.atr"):
            pair_files(ref, out)
