from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb
from numpy.typing import NDArray

from fascicle.io.annotations import write_annotations
from fascicle.io.marks import Mark, encode_marks
from fascicle.io.reading import read
from fascicle.record import Beat, Rhythm, Wave

Writer = Callable[..., Path]
Waveform = Callable[..., NDArray[np.int64]]


pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # wfdb on pandas


def marks(text: str) -> list[Mark]:
    """Return marks from "5:N 9:+(AFIB", samples and symbols."""
    pairs = [item.split(":", 1) for item in text.split()]
    return [Mark(int(sample), mark[0], aux=mark[1:]) for sample, mark in pairs]


def beside(path: Path, suffix: str, text: str, rate_hz: float = 500) -> None:
    path.with_suffix(suffix).write_bytes(encode_marks(marks(text), rate_hz))


def test_beats_carry_class_and_symbol(write_record: Writer) -> None:
    path = write_record()
    beside(path, ".atr", "10:N 50:L 100:A 150:V 200:F 250:/ 300:~ 350:! 400:x 450:j")
    record = read(path)
    assert [(round(b.time_s * 500), b.kind, b.symbol) for b in record.beats] == [
        (10, "N", "N"),
        (50, "N", "L"),
        (100, "S", "A"),
        (150, "V", "V"),
        (200, "F", "F"),
        (250, "Q", "/"),
        (450, "N", "j"),
    ]
    assert record.annotated == {"beats"}
    assert record.rhythms == ()


def test_rhythms_last_until_the_next_or_the_end(write_record: Writer) -> None:
    path = write_record()
    beside(path, ".atr", "5:+(N 100:+(AFIB 100:+(VT 200:+noise 250:+(N")
    record = read(path)
    assert record.rhythms == (Rhythm(0.01, 0.2, "N"), Rhythm(0.2, 0.5, "VT"), Rhythm(0.5, 1.2, "N"))
    assert record.annotated == {"rhythms"}


def test_a_beat_without_aami_class_is_q_and_reported(write_record: Writer) -> None:
    path = write_record()
    beside(path, ".atr", "10:N 20:B 30:r")
    record = read(path)
    assert [beat.kind for beat in record.beats] == ["N", "Q", "Q"]
    assert "beats marked B r have no AAMI class: taken as Q" in record.warnings


def test_the_clock_is_the_files_own_else_the_headers(write_record: Writer) -> None:
    path = write_record()
    beside(path, ".atr", "90:N", rate_hz=360)
    assert read(path).beats[0].time_s == 0.25
    content = encode_marks(marks("90:N"), 360)
    note = content.index(b"\0\0", 4) + 2
    path.with_suffix(".atr").write_bytes(content[-4:] if note else b"")
    assert read(path).beats[0].time_s == 90 / 500
    assert read(path, rate_hz=250).beats[0].time_s == 90 / 250


def test_marks_count_frames_not_samples(write_record: Writer, waveform: Waveform) -> None:
    path = write_record(
        waveform(1), record_line="rec 1 250 300", fields="16x2 200/mV 16 0", leads=("II",)
    )
    path.with_suffix(".atr").write_bytes(b"\x64\x04\0\0")
    assert read(path).beats[0].time_s == 100 / 250


def test_marks_after_the_end_are_left_out_with_a_warning(write_record: Writer) -> None:
    path = write_record()
    beside(path, ".atr", "10:N 600:N 7000:N")
    record = read(path)
    assert len(record.beats) == 1
    assert "rec.atr has 2 marks after the record's end" in record.warnings


def test_a_damaged_file_is_left_out_with_a_warning(write_record: Writer) -> None:
    path = write_record()
    beside(path, ".atr", "10:N 600:N 7000:N")
    file = path.with_suffix(".atr")
    file.write_bytes(file.read_bytes()[:-2])
    record = read(path)
    assert record.beats == ()
    assert record.annotated == frozenset()
    assert "rec.atr is left out: it ends without its end mark" in record.warnings


def test_annotations_can_be_left_unread(write_record: Writer) -> None:
    path = write_record()
    beside(path, ".atr", "10:N")
    beside(path, ".ii", "10:( 20:N 30:)")
    record = read(path, annotations=False)
    assert (record.beats, record.waves, record.annotated) == ((), (), frozenset())


@pytest.mark.parametrize(
    ("text", "waves"),
    [
        ("10:( 20:p 30:) 40:( 50:N 60:)", [("P", 10, 20, 30), ("QRS", 40, 50, 60)]),
        ("20:N 30:) 40:( 50:t 60:)", [("QRS", None, 20, 30), ("T", 40, 50, 60)]),
        ("10:( 20:N 40:( 50:t 60:)", [("QRS", 10, 20, None), ("T", 40, 50, 60)]),
        ("20:N 21:( 60:)", [("QRS", 21, 20, 60)]),
        ("10:( 20:) 21:N", [("QRS", 10, 21, 20)]),
        ("10:( 14:( 18:( 30:t 34:t 38:t 50:) 54:) 58:)", [("T", 14, 34, 54)]),
        ("10:p 20:N 30:t", [("P", None, 10, None), ("QRS", None, 20, None), ("T", None, 30, None)]),
        ("10:( 30:) 100:( 150:t 160:)", [("T", 100, 150, 160)]),
        ("5:) 100:( 150:t 160:) 170:(", [("T", 100, 150, 160)]),
    ],
)
def test_waves_of_a_lead(
    write_record: Writer, text: str, waves: list[tuple[str, int | None, int, int | None]]
) -> None:
    path = write_record(leads=("ii", "v1"))
    beside(path, ".ii", text)
    record = read(path)
    found = [
        tuple(None if t is None else round(t * 500) for t in (w.onset_s, w.peak_s, w.offset_s))
        for w in record.waves
    ]
    assert found == [wave[1:] for wave in waves]
    assert [wave.kind for wave in record.waves] == [wave[0] for wave in waves]
    assert {wave.lead for wave in record.waves} == {"II"}
    assert record.annotated == {"waves"}
    assert "no waves are annotated in lead V1" in record.warnings
    marked = sum(time is not None for wave in waves for time in wave[1:])
    assert bool(text.count(":") - marked) == any(
        "belong to no wave" in w or "more than once" in w for w in record.warnings
    )


def test_wave_files_of_absent_leads_are_not_read(write_record: Writer) -> None:
    path = write_record(leads=("I", "V1"))
    beside(path, ".ii", "10:( 20:N 30:)")
    assert read(path).annotated == frozenset()


WAVES = [
    Wave(None, "P", 0.1, 0.15, 0.2),
    Wave("II", "P", 0.11, 0.15, 0.2),
    Wave(None, "QRS", 0.2, 0.25, 0.3),
    Wave(None, "QRS", 0.9, 0.95, 1.0),
    Wave(None, "T", 0.3, None, 0.5),
    Wave(None, "T", None, 1.1, None),
]
BEATS = [Beat(0.26, "V"), Beat(0.7, "S"), Beat(5000.0, "Q")]


def test_wfdb_reads_the_consensus_and_the_beats(tmp_path: Path) -> None:
    write_annotations(tmp_path / "r.atr", 500, WAVES, BEATS)
    found = wfdb.rdann(str(tmp_path / "r"), "atr")
    assert found.fs == 500
    assert found.symbol == [*"(p)(V)()S(N)tQ"]
    assert found.sample.tolist() == [
        *[50, 75, 100, 100, 130, 150, 150, 250, 350, 450, 475, 500, 550, 2_500_000]
    ]
    assert found.num.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 1, 1, 1, 1, 2, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["r.atr"]


def test_written_beats_are_read_again(write_record: Writer) -> None:
    path = write_record()
    write_annotations(path.with_suffix(".atr"), 500, WAVES, BEATS[:2])
    assert [(b.time_s, b.kind) for b in read(path).beats] == [(0.26, "V"), (0.7, "S"), (0.95, "N")]


def test_rhythms_are_marks_that_hold_until_the_next(write_record: Writer) -> None:
    path = write_record()
    duration_s = read(path).duration_s
    spans = (Rhythm(0.0, 0.2, "sinus"), Rhythm(0.2, 0.3, "AF"))
    write_annotations(path.with_suffix(".atr"), 500, WAVES, BEATS[:2], spans, duration_s)
    found = wfdb.rdann(str(path.with_suffix("")), "atr")
    marks = [(s, a.rstrip("\0")) for s, a in zip(found.sample, found.aux_note, strict=True) if a]
    assert marks == [(0, "(N"), (100, "(AFIB"), (150, "(UNKNOWN")]
    again = read(path)
    assert [(r.start_s, r.kind) for r in again.rhythms] == [
        (0.0, "N"), (0.2, "AFIB"), (0.3, "UNKNOWN"),
    ]  # fmt: skip
    assert again.rhythms[-1].end_s == duration_s
    assert [beat.kind for beat in again.beats] == ["V", "S", "N"]
    assert {"beats", "rhythms"} <= again.annotated


def test_a_rhythm_to_the_end_is_not_ended_and_a_gap_is_none(tmp_path: Path) -> None:
    spans = [Rhythm(0.0, 4.0, "other"), Rhythm(6.0, 9.8, "paced")]
    write_annotations(tmp_path / "r.atr", 250, [], [], spans, 10.0)
    found = wfdb.rdann(str(tmp_path / "r"), "atr")
    assert found.sample.tolist() == [0, 1000, 1500]
    assert [a.rstrip("\0") for a in found.aux_note] == ["(OTHER", "(UNKNOWN", "(P"]


def test_nothing_found_is_a_valid_file(tmp_path: Path) -> None:
    write_annotations(tmp_path / "r.atr", 257.5, [], [])
    assert len(wfdb.rdann(str(tmp_path / "r"), "atr").sample) == 0


@pytest.mark.parametrize(
    ("rate_hz", "beat"), [(0, 1.0), (np.nan, 1.0), (500, -1.0), (500, np.nan), (500, np.inf)]
)
def test_impossible_times_are_refused_and_nothing_is_written(
    tmp_path: Path, rate_hz: float, beat: float
) -> None:
    path = tmp_path / "r.atr"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="must be"):
        write_annotations(path, rate_hz, [], [Beat(beat, "N")])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.atr"
    path.write_bytes(b"old")

    def fail(self: Path, target: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_annotations(path, 500, WAVES, BEATS)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
