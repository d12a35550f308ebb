"""Thousands of damaged files: each is a Record or one of our errors, quickly and in little memory.

And hundreds of harmless changes, which must read identically. Every case is fixed by its seed.
"""

from __future__ import annotations

import io
import re
import signal
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from fascicle.errors import BadFile, BadRequest
from fascicle.io.marks import Mark, encode_marks
from fascicle.io.reading import read
from fascicle.record import LEADS, Record

CASES = 200
LONGEST_S = 5.0
LARGEST_BYTES = 2**28
ADU = np.round(90 * np.sin(np.arange(540).reshape(3, 180) / 7)).astype(np.int64)
NAMES = ("I", "MLII", "V1")
MARKS = [
    Mark(5, "+", aux="(N"),
    Mark(20, "N"),
    Mark(60, "A", num=1),
    Mark(100, "V"),
    Mark(170, "N"),
]
WAVES = [Mark(10 * n, "(N)(t)"[n % 6]) for n in range(1, 18)]
ABSURD = [
    b"0",
    b"-1",
    b"999999999999",
    b"1e999",
    b"nan",
    b"",
    b"x",
    b"\xff",
    b"1000000",
    b"/",
    b"#",
]

Files = dict[str, bytes]
Rng = np.random.Generator


def wfdb_files(fmt: int, data: bytes, extra: str = "") -> Files:
    lines = ["r 3 500 180\n", *(f"r.dat {fmt}{extra} 200(1)/mV 12 0 0 0 0 {n}\n" for n in NAMES)]
    text = "".join(lines) + "#Age: 50\n#Sex: F\n#Dx: 426783006, 164889003\n"
    return {"r.hea": text.encode(), "r.dat": data}


def flac() -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, ADU.T.astype("int16"), 500, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def archive() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, signal=ADU / 200, rate_hz=500, leads=NAMES, unit="mV")
    return buffer.getvalue()


def array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, ADU / 200)
    return buffer.getvalue()


def table(separator: str) -> bytes:
    rows = [("time_s", *NAMES), *((n / 500, *row) for n, row in enumerate(ADU.T / 200))]
    return "".join(separator.join(map(str, row)) + "\n" for row in rows).encode()


PLAIN = ADU.T.astype("<i2").tobytes()
MAT = np.array([30, 3, 180, 0, 4], "<i4").tobytes() + b"val\0" + PLAIN
ONE = b"a 1 500 180\na.dat 16 200/mV 12 0 0 0 0 II\n"
SEEDS: dict[str, tuple[str, Files]] = {
    "format 16": ("r.hea", {**wfdb_files(16, PLAIN), "r.atr": encode_marks(MARKS, 500)}),
    "format 212": ("r.hea", wfdb_files(212, bytes(range(256)) * 4)),
    "format 8": ("r.hea", wfdb_files(8, bytes(range(256)) * 3)),
    "format 24": ("r.hea", wfdb_files(24, bytes(range(256)) * 7)),
    "format 310": ("r.hea", wfdb_files(310, bytes(range(256)) * 4)),
    "frames": ("r.hea", wfdb_files(160, PLAIN * 2, "x2:3")),
    "cinc": (
        "r.mat",
        {"r.hea": wfdb_files(16, b"", "+24")["r.hea"].replace(b".dat", b".mat"), "r.mat": MAT},
    ),
    "flac": ("r.hea", wfdb_files(516, flac())),
    "segments": (
        "m.hea",
        {
            "m.hea": b"m/4 2 500 400\nl 0\na 180\n~ 40\nb 180\n#Age: 4\n",
            "l.hea": b"l 2 500 0\n~ 0 200/mV 12 0 0 0 0 II\n~ 0 200/mV 12 0 0 0 0 V\n",
            "a.hea": ONE,
            "b.hea": ONE.replace(b"a 1", b"b 1").replace(b"a.dat", b"b.dat"),
            "a.dat": PLAIN,
            "b.dat": PLAIN,
        },
    ),
    "waves": ("r.hea", {**wfdb_files(16, PLAIN), "r.i": encode_marks(WAVES, 500)}),
    "csv": ("r.csv", {"r.csv": table(",")}),
    "tsv": ("r.tsv", {"r.tsv": table("\t")}),
    "txt": ("r.txt", {"r.txt": table(" ")}),
    "npy": ("r.npy", {"r.npy": array()}),
    "npz": ("r.npz", {"r.npz": archive()}),
}


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def flip(data: bytes, rng: Rng) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        changed[rng.integers(len(changed))] = rng.integers(256)
    return bytes(changed)


def cut(data: bytes, rng: Rng) -> bytes:
    return data[: rng.integers(len(data))]


def drop(data: bytes, rng: Rng) -> bytes:
    start, stop = sorted(rng.integers(len(data), size=2))
    return data[:start] + data[stop:]


def repeat(data: bytes, rng: Rng) -> bytes:
    start, stop = sorted(rng.integers(len(data), size=2))
    return data[:stop] + data[start:]


def absurd_field(data: bytes, rng: Rng) -> bytes:
    """Replace one number or word by an absurd one."""
    found = list(re.finditer(rb"[^\s,/()+x:]+", data[:4000]))
    if not found:
        return flip(data, rng)
    chosen = found[rng.integers(len(found))]
    return data[: chosen.start()] + ABSURD[rng.integers(len(ABSURD))] + data[chosen.end() :]


def absurd_integer(data: bytes, rng: Rng) -> bytes:
    """Overwrite four bytes by a huge, negative or null integer."""
    start = int(rng.integers(max(len(data) - 4, 1)))
    word = [b"\xff\xff\xff\x7f", b"\xff" * 4, b"\0" * 4, b"\0\0\0\x80"][rng.integers(4)]
    return data[:start] + word + data[start + 4 :]


def shuffle_lines(data: bytes, rng: Rng) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join(lines[index] for index in rng.permutation(len(lines)))


MUTATIONS: tuple[Callable[[bytes, Rng], bytes], ...] = (
    *(flip, flip, cut, drop, repeat),
    *(absurd_field, absurd_field, absurd_field, absurd_integer, shuffle_lines),
)


def write(files: Files, folder: Path) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)


def outcome(path: Path) -> Record | None:
    """Return what a file reads as, None if it is refused in one line; fail on all else."""
    rate_hz = 500 if path.suffix == ".npy" else None
    said = ""
    try:
        with at_most(LONGEST_S):
            record = read(path, rate_hz=rate_hz)
    except BadFile as error:
        said = str(error)
    if said:
        assert str(path.parent) in said
        assert "\n" not in said
        return None
    assert not np.isinf(record.signal).any()
    assert record.samples > 0
    assert all(0 <= beat.time_s < record.duration_s for beat in record.beats)
    assert all(warning and "\n" not in warning for warning in record.warnings)
    return record


@pytest.mark.parametrize("kind", SEEDS)
def test_damaged_files_are_records_or_refused(tmp_path: Path, kind: str) -> None:
    name, files = SEEDS[kind]
    write(files, tmp_path)
    assert outcome(tmp_path / name) is not None
    refused = 0
    tracemalloc.start()
    for case in range(CASES):
        rng = np.random.default_rng([case, *kind.encode()])
        changed = dict(files)
        for _ in range(int(rng.integers(1, 3))):
            target = list(files)[rng.integers(len(files))]
            mutate = MUTATIONS[rng.integers(len(MUTATIONS))]
            changed[target] = mutate(changed[target] or b"0", rng)
        write(changed, tmp_path)
        refused += outcome(tmp_path / name) is None
        peak = tracemalloc.get_traced_memory()[1]
        assert peak < LARGEST_BYTES, f"case {case} took {peak} bytes"
    tracemalloc.stop()
    assert CASES // 20 < refused < CASES


def test_there_are_two_thousand_damaged_files() -> None:
    assert CASES * len(SEEDS) >= 2000


@pytest.mark.parametrize("seed", range(200))
def test_random_bytes_are_refused(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for suffix in (".hea", ".csv", ".npy", ".npz"):
        path = tmp_path / f"r{suffix}"
        path.write_bytes(rng.bytes(int(rng.integers(1, 2000))))
        assert outcome(path) is None


def harmless_header(lines: list[str], comments: list[str], rng: Rng) -> bytes:
    """Return a header with comments anywhere, and other blanks and line ends."""
    blanks = [" ", "  ", "\t", " \t "]
    out = [
        "".join(part + blanks[rng.integers(4)] for part in line.split())
        if rng.random() < 0.7
        else line
        for line in lines
    ]
    for index in rng.permutation(len(comments)):
        space = blanks[rng.integers(4)] if rng.random() < 0.5 else ""
        comment = f"{space if rng.random() < 0.3 else ''}#{space}{comments[index]}{space}"
        out.insert(int(rng.integers(len(out) + 1)), comment)
    for _ in range(int(rng.integers(3))):
        out.insert(int(rng.integers(len(out) + 1)), blanks[rng.integers(4)])
    end = ["\n", "\r\n", "\r"][rng.integers(3)]
    return (end.join(out) + end * int(rng.integers(3))).encode()


def assert_same(record: Record, expected: Record) -> None:
    np.testing.assert_array_equal(record.signal, expected.signal)
    for part in (
        "name",
        "rate_hz",
        "leads",
        "age",
        "sex",
        "labels",
        "beats",
        "rhythms",
        "warnings",
    ):
        assert getattr(record, part) == getattr(expected, part), part


def test_harmless_changes_of_a_header_change_nothing(tmp_path: Path) -> None:
    files = {**wfdb_files(16, PLAIN), "r.atr": encode_marks(MARKS, 500)}
    write(files, tmp_path)
    lines = files["r.hea"].decode().splitlines()
    expected = read(tmp_path / "r.hea")
    assert expected.age == 50
    comments = [line[1:] for line in lines if line.startswith("#")]
    for seed in range(300):
        changed = harmless_header(lines[:4], comments, np.random.default_rng(seed))
        (tmp_path / "r.hea").write_bytes(changed)
        assert_same(read(tmp_path / "r.hea"), expected)


def test_harmless_changes_of_a_table_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(table(","))
    expected = read(path)
    assert (expected.rate_hz, expected.leads) == (500, ("I", "II", "V1"))
    for seed in range(200):
        rng = np.random.default_rng(seed)
        lines = table(",").decode().splitlines()
        mark = [",", ", ", " , ", ";", "\t", " ;"][rng.integers(6)]
        quote = ["", '"'][rng.integers(2)]
        lines = [mark.join(f"{quote}{c}{quote}" for c in line.split(",")) for line in lines]
        for _ in range(int(rng.integers(4))):
            lines.insert(
                int(rng.integers(len(lines) + 1)), ["", "  ", "# note, 1"][rng.integers(3)]
            )
        end = ["\n", "\r\n", "\r"][rng.integers(3)]
        start = ["", "\ufeff"][rng.integers(2)]
        path.write_bytes((start + end.join(lines) + end * int(rng.integers(3))).encode())
        assert_same(read(path), expected)


def test_a_record_that_fills_memory_is_refused(tmp_path: Path) -> None:
    """A few bytes cannot make the reader allocate much, however the sizes are spread."""
    write({"r.dat": PLAIN}, tmp_path)
    many = "".join(f"r.dat 16 200/mV 16 0 0 0 0 {n}\n" for n in range(256))
    for text in [
        f"r 256 500 99999999\n{many}",
        "r 1 500 540\nr.dat 16:999999999 200/mV 16 0 0 0 0 I\n",
        "r 1 500 1\nr.dat 16x999999999 200/mV 16 0 0 0 0 I\n",
        "r 1 500 540\nr.dat 16+999999999999 200/mV 16 0 0 0 0 I\n",
        "r 1 500\nr.dat 16+999999999999 200/mV 16 0 0 0 0 I\n",
        "r 1 500 999999999\nr.dat 516 200/mV 16 0 0 0 0 I\n",
        "r/1 1 500 999999999999\n~ 999999999999\n",
    ]:
        (tmp_path / "r.hea").write_text(text)
        tracemalloc.start()
        record = outcome(tmp_path / "r.hea")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**22
        assert record is None or np.isnan(record.signal).all()


def test_bad_requests_are_not_bad_files(tmp_path: Path) -> None:
    write(wfdb_files(16, PLAIN), tmp_path)
    with pytest.raises(BadRequest):
        read(tmp_path / "r.hea", lead_names=LEADS)
