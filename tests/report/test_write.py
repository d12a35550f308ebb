from __future__ import annotations

import csv
import json
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fascicle.errors import BadFile, BadRequest
from fascicle.record import Beat, Findings, Record, Wave
from fascicle.report import FORMATS, summary_row, write_findings, write_summary
from fascicle.report import page as page_module
from fascicle.report.write import file_stem, findings_json


def names(folder: Path) -> list[str]:
    """Every file of a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


def test_writes_json_and_page(record: Record, findings: Findings, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    paths = write_findings(record, findings, folder)
    assert paths == [folder / "rec-1.json", folder / "rec-1.png"]
    assert names(folder) == ["rec-1.json", "rec-1.png"]
    assert json.loads(paths[0].read_text(encoding="utf-8")) == findings.to_dict()


def test_writes_what_is_asked(record: Record, findings: Findings, tmp_path: Path) -> None:
    formats = ("svg", "json", "svg", "pdf")
    paths = write_findings(record, findings, tmp_path, formats)
    assert [path.name for path in paths] == ["rec-1.svg", "rec-1.json", "rec-1.pdf"]


def test_replaces_older_findings(record: Record, findings: Findings, tmp_path: Path) -> None:
    write_findings(record, findings, tmp_path, ["json"])
    write_findings(record, replace(findings, warnings=("new",)), tmp_path, ["json"])
    assert json.loads((tmp_path / "rec-1.json").read_text())["warnings"] == ["new"]


def test_wfdb_reads_the_annotations(record: Record, findings: Findings, tmp_path: Path) -> None:
    write_findings(record, findings, tmp_path, ["atr"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wfdb 4.3 uses what pandas 3.1 deprecates
        import wfdb

        annotation = wfdb.rdann(str(tmp_path / "rec-1"), "atr")
    at: dict[str, list[float]] = {symbol: [] for symbol in annotation.symbol}
    for sample, symbol in zip(annotation.sample, annotation.symbol, strict=True):
        at[symbol].append(sample / findings.rate_hz)
    assert at["V"] == pytest.approx([findings.beats[4].time_s], abs=0.002)
    others = [beat.time_s for beat in findings.beats if beat.kind == "N"]
    assert at["N"] == pytest.approx(others, abs=0.002)
    peaks = [w.peak_s for w in findings.waves if w.lead is None and w.kind == "T"]
    assert at["t"] == pytest.approx(peaks, abs=0.002)


@pytest.mark.parametrize("existing", [True, False])
def test_spares_the_reference(
    record: Record, findings: Findings, tmp_path: Path, existing: bool
) -> None:
    (tmp_path / "rec-1.hea").write_text("rec-1 1 250 10\n")
    if existing:
        (tmp_path / "rec-1.atr").write_bytes(b"by a cardiologist")
    with pytest.raises(BadRequest, match="reference"):
        write_findings(record, findings, tmp_path, ["json", "atr"])
    assert names(tmp_path) == ["rec-1.atr", "rec-1.hea"][not existing :]
    if existing:
        assert (tmp_path / "rec-1.atr").read_bytes() == b"by a cardiologist"


def test_other_formats_may_lie_beside_the_record(
    record: Record, findings: Findings, tmp_path: Path
) -> None:
    (tmp_path / "rec-1.hea").write_text("rec-1 1 250 10\n")
    assert write_findings(record, findings, tmp_path, ["json"])


@pytest.mark.parametrize("formats", [["gif"], ["json", "JSON"], [""]])
def test_refuses_an_unknown_format(
    record: Record, findings: Findings, tmp_path: Path, formats: Sequence[str]
) -> None:
    with pytest.raises(BadRequest, match=f"known: {', '.join(FORMATS)}"):
        write_findings(record, findings, tmp_path, formats)
    assert names(tmp_path) == []


def test_full_disk_leaves_the_older_files(
    record: Record, findings: Findings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_findings(record, findings, tmp_path, ["json"])
    before = (tmp_path / "rec-1.json").read_bytes()

    def fill_up(record: Record, findings: Findings, path: Path) -> None:
        path.write_bytes(b"\x89PNG half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(page_module, "save_page", fill_up)
    with pytest.raises(BadFile, match="No space left on device") as caught:
        write_findings(record, replace(findings, warnings=("new",)), tmp_path, ["json", "png"])
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["rec-1.json"]
    assert (tmp_path / "rec-1.json").read_bytes() == before


def test_any_other_failure_leaves_nothing(
    record: Record, findings: Findings, tmp_path: Path
) -> None:
    broken = replace(findings, beats=(Beat(float("nan"), "N"),))
    with pytest.raises(ValueError, match="JSON"):
        write_findings(record, broken, tmp_path, ["svg", "json"])
    assert names(tmp_path) == []


def test_a_file_where_the_folder_should_be(
    record: Record, findings: Findings, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(BadFile, match="out"):
        write_findings(record, findings, tmp_path / "out", ["json"])
    with pytest.raises(BadFile, match="out"):
        write_summary([], tmp_path / "out" / "summary.csv")


def test_files_have_the_usual_permissions(
    record: Record, findings: Findings, tmp_path: Path
) -> None:
    (tmp_path / "usual").write_text("")
    (path,) = write_findings(record, findings, tmp_path, ["json"])
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_json_takes_numpy_numbers(findings: Findings) -> None:
    beat = Beat(np.float32(0.5), "N", np.float64(0.25))  # type: ignore[arg-type]
    assert '{"time_s": 0.5, "kind": "N", "probability": 0.25}' in findings_json(
        replace(findings, beats=(beat,))
    )


@pytest.mark.parametrize(
    "wave",
    [
        Wave("II", "QRS", 0.1, 0.125, 1 / 3, 0.875),
        Wave(None, "P", 1e-7, 1e22, 2.0, 1.0),
        Wave('a"}, {"', "T", 0.0, None, 5.0, 1),
        Wave("I", "T", np.float32(0.5), np.float64(0.7), 3, 1.0),  # type: ignore[arg-type]
    ],
)
def test_json_of_a_wave_is_what_the_library_writes(findings: Findings, wave: Wave) -> None:
    text = json.dumps(wave.to_dict(), ensure_ascii=False, default=float)
    assert f"    {text}\n" in findings_json(replace(findings, waves=(wave,)))


def test_json_refuses_waves_that_are_not_finite(findings: Findings) -> None:
    for wave in (Wave("I", "P", 0.0, 0.1, float("inf")), Wave("I", "P", 0.0, 0.1, 0.2, np.nan)):
        with pytest.raises(ValueError, match="JSON"):
            findings_json(replace(findings, waves=(wave,)))


def test_json_has_a_line_per_beat(findings: Findings) -> None:
    lines = findings_json(findings).splitlines()
    assert sum('"time_s"' in line for line in lines) == len(findings.beats)


def test_json_of_a_name_that_is_not_unicode(
    record: Record, findings: Findings, tmp_path: Path
) -> None:
    odd = replace(findings, name="b\udcff")
    (path,) = write_findings(record, odd, tmp_path, ["json"])
    assert json.loads(path.read_bytes())["record"]["name"] == "b\udcff"


@pytest.mark.parametrize("name", ["rec-1", "100", "E00271.mat", "Müller_2", "00001_hr"])
def test_ordinary_names_stay(name: str) -> None:
    assert file_stem(name) == name


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "..", "", "a\\b", "x" * 300, "a\nb", "~"])
def test_dangerous_names_stay_in_the_folder(
    record: Record, findings: Findings, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "out"
    (path,) = write_findings(record, replace(findings, name=name), folder, ["json"])
    assert path.parent == folder
    assert names(tmp_path) == ["out"]
    assert names(folder) == [path.name]


@given(st.text(max_size=300), st.text(max_size=300))
def test_stems_are_safe_and_differ(first: str, second: str) -> None:
    stems = [file_stem(name) for name in (first, second)]
    for stem in stems:
        assert stem == Path(stem).name
        assert not stem.startswith(".")
        assert len(stem.encode()) < 200
    assert (stems[0] == stems[1]) == (first == second)


def test_summary_table(findings: Findings, tmp_path: Path) -> None:
    rows = [
        summary_row("rec-1", findings),
        summary_row("rec, 2", None, 'expected 12 leads, found "0"'),
    ]
    path = write_summary(rows, tmp_path / "new" / "summary.csv")
    with path.open(encoding="utf-8", newline="") as file:
        good, bad = csv.DictReader(file)
    assert good["status"] == "ok"
    assert good["heart_rate_bpm"] == "75"
    assert good["qt_ms"] == ""
    assert good["diagnoses"] == (
        "Conduction disturbance; ventricular premature complex; sinus rhythm"
    )
    assert good["warnings"] == "1"
    assert bad["name"] == "rec, 2"
    assert bad["status"] == "failed"
    assert bad["error"] == 'expected 12 leads, found "0"'
    assert names(path.parent) == ["summary.csv"]


def test_json_alone_never_loads_matplotlib() -> None:
    code = "import sys, fascicle.report; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
