from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fascicle.errors import BadFile
from fascicle.io.folders import find_records
from fascicle.io.reading import read

Writer = Callable[..., Path]


def test_every_record_at_every_level_once_and_sorted(tmp_path: Path, write_record: Writer) -> None:
    write_record(name="b", folder=tmp_path / "deep" / "er")
    write_record(name="a", folder=tmp_path / "deep")
    (tmp_path / "a.mat").write_bytes(b"")
    (tmp_path / "c.csv").write_text("I,II\n1,2\n")
    (tmp_path / "d.TSV").write_text("# by hand\nI\tII\nmV\tmV\n1\t2\n")
    np.save(tmp_path / "e.npy", np.zeros(3))
    np.savez(tmp_path / "deep" / "f.npz", signal=np.zeros(3))
    (tmp_path / "notes.txt").write_text("not a record")
    (tmp_path / "patients.csv").write_text("id,sex\n1,F\n2,M\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "._c.csv").write_text("I\n1\n")
    write_record(name="h", folder=tmp_path / ".hidden")
    found = [str(path.relative_to(tmp_path)) for path in find_records(tmp_path)]
    assert found == [
        *["c.csv", "d.TSV", "deep/a.hea", "deep/er/b.hea", "deep/f.npz", "e.npy", "empty.csv"]
    ]
    assert find_records(str(tmp_path)) == find_records(tmp_path)


def test_a_header_that_cannot_be_read_is_still_found(tmp_path: Path) -> None:
    (tmp_path / "x.hea").write_bytes(b"\xff\xfe")
    (tmp_path / "y.hea").write_bytes(b"")
    assert [path.name for path in find_records(tmp_path)] == ["x.hea", "y.hea"]


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="expected a folder"):
        find_records(tmp_path / "none")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    assert find_records(tmp_path) == [tmp_path / "pipe.csv"]
    with pytest.raises(BadFile, match=r"pipe\.csv: expected a file, found a device or a pipe"):
        read(tmp_path / "pipe.csv", rate_hz=500)


def test_tables_of_any_encoding_and_of_clock_times_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("I,II\n1,2\n3,4\n".encode("utf-16"))
    (tmp_path / "b.csv").write_bytes("I,II\n1,2\n3,4\n".encode("utf-16-le"))  # fails by name
    (tmp_path / "c.csv").write_text("Elapsed time,I\nhh:mm:ss.mmm,mV\n0:00.000,1\n0:00.004,2\n")
    (tmp_path / "names.csv").write_bytes("id,name\n1,Ada\n2,Bob\n".encode("utf-16"))
    assert [path.name for path in find_records(tmp_path)] == ["a.csv", "b.csv", "c.csv"]


def test_a_folder_that_may_not_be_searched_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "c.csv").write_text("I,II\n1,2\n")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert find_records(tmp_path) == [tmp_path / "c.csv", tmp_path / "closed"]
    with pytest.raises(BadFile, match=r"closed: expected a file, found a folder"):
        read(tmp_path / "closed")
