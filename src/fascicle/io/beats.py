"""Beats of annotation files of MIT format, alone or by the folder, for scoring beat by beat.

`read` takes the annotations beside a signal; here a detector's output needs no signal at all.
Times stay whole samples, so that a score does not hang on rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from fascicle.errors import BadFile, BadRequest
from fascicle.io.header import Header, read_header
from fascicle.io.marks import BEATS, Mark, decode_marks
from fascicle.io.raw import read_bytes
from fascicle.labels import aami_kind
from fascicle.record import BeatKind

FLUTTER_WAVE = "!"
ESCAPES = frozenset("ejn")
_OTHERS: dict[str, BeatKind] = {"B": "N", "r": "V", "?": "Q"}  # as bxb; not in MIT-BIH
_NOT_BEATS = frozenset({".hea", ".dat", ".mat", ".json", ".csv", ".png", ".svg", ".pdf", ".txt"})
_LAST = 2**62

SLOWEST_HZ, FASTEST_HZ = 1.0, 1e6
RATES = f"{SLOWEST_HZ:g} to {FASTEST_HZ:g}"


@dataclass(frozen=True, slots=True)
class BeatMarks:
    """Beats in ascending samples; a kind of None is a flutter wave outside any bracket.

    `flutter` are the spans [first, last] between "[" and "]"; what is marked inside is left out.
    """

    samples: tuple[int, ...]
    kinds: tuple[BeatKind | None, ...]
    flutter: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class BeatFiles:
    """A record's reference and estimate; `length` is its samples at `rate_hz`, None if unknown."""

    name: str
    rate_hz: float
    length: int | None
    reference: BeatMarks
    estimate: BeatMarks


def pair_files(
    reference: Path, estimate: Path, suffix: str | None = None
) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Return the pairs of annotation files, and the reference's records that have no estimate.

    Parameters
    ----------
    reference, estimate
        Two files; or two folders (may be one), where files of one stem belong together. The
        reference's are `.atr`.
    suffix
        Of the estimate's files, such as ".qrs", where its folder holds several kinds.

    Raises
    ------
    BadFile, BadRequest
        A file and a folder, no pair, several kinds of files, or an estimate without reference.
    """
    if reference.is_dir() != estimate.is_dir():
        raise BadRequest(f"expected two files or two folders, came {reference} and {estimate}")
    if not reference.is_dir():
        return [(reference, estimate)], []
    wanted = {path.stem: path for path in sorted(reference.glob("*.atr"))}
    if not wanted:
        raise BadFile(f"{reference}: expected annotation files (.atr), found none")
    kind = _suffix(reference, estimate, suffix)
    found = {path.stem: path for path in sorted(estimate.glob(f"*{kind}")) if path.is_file()}
    if not found:
        raise BadFile(f"{estimate}: expected annotation files ({kind}), found none")
    alone = sorted(found.keys() - wanted.keys())
    if alone:
        raise BadFile(f"{found[alone[0]]}: expected its reference {alone[0]}.atr in {reference}")
    pairs = [(wanted[name], path) for name, path in found.items()]
    return pairs, [name for name in wanted if name not in found]


def _suffix(reference: Path, estimate: Path, given: str | None) -> str:
    """Return the suffix of the estimate's annotation files."""
    if given is not None:
        return given if given.startswith(".") else f".{given}"
    kinds = {path.suffix for path in estimate.iterdir() if path.is_file() and path.suffix}
    kinds -= _NOT_BEATS
    if reference.resolve() == estimate.resolve():
        kinds.discard(".atr")
    if len(kinds) != 1:
        raise BadRequest(
            f"{estimate}: expected one kind of annotation files, found "
            f"{', '.join(sorted(kinds)) or 'none'}; name it with --suffix"
        )
    return kinds.pop()


def read_beat_files(reference: Path, estimate: Path, escape: BeatKind = "N") -> BeatFiles:
    """Return the beats of two annotation files on one clock.

    The clock is that of the header beside the reference, or what the reference states itself; the
    estimate's own statement, else the header beside it, else that clock tells what its samples are.

    Parameters
    ----------
    reference, estimate
        Annotation files.
    escape
        Class of escape beats (e j n): this project has "N", `bxb` "S".

    Raises
    ------
    BadFile
        A file cannot be read, or none tells a possible sampling rate.
    """
    marks, stated_hz = _decode(reference)
    header = _header(reference)
    rate_hz = stated_hz if header is None else header.rate_hz
    if rate_hz is None:
        raise BadFile(f"{reference}: no sampling rate: expected {reference.stem}.hea beside it")
    theirs, their_hz = _decode(estimate)
    if their_hz is None:
        beside = _header(estimate)
        their_hz = rate_hz if beside is None else beside.rate_hz
    for path, clock_hz in ((reference, rate_hz), (reference, stated_hz), (estimate, their_hz)):
        if clock_hz is not None and not SLOWEST_HZ <= clock_hz <= FASTEST_HZ:
            raise BadFile(f"{path}: expected {RATES} samples per second, came {clock_hz:g}")
    return BeatFiles(
        name=reference.stem,
        rate_hz=rate_hz,
        length=None if header is None else header.samples,
        reference=_beats(marks, rate_hz / (stated_hz or rate_hz), escape),
        estimate=_beats(theirs, rate_hz / their_hz, escape),
    )


def _decode(path: Path) -> tuple[list[Mark], float | None]:
    try:
        return decode_marks(read_bytes(path))
    except ValueError as error:
        raise BadFile(f"{path}: not an annotation file: {error}") from error


def _header(path: Path) -> Header | None:
    beside = path.with_suffix(".hea")
    return read_header(beside) if beside.is_file() else None


def _beats(marks: list[Mark], scale: float, escape: BeatKind) -> BeatMarks:
    """Return the beats outside flutter; each sample times `scale`, halves up."""
    samples: list[int] = []
    kinds: list[BeatKind | None] = []
    flutter: list[tuple[int, int]] = []
    onset: int | None = None
    for mark in marks:
        sample = min(math.floor(mark.sample * scale + 0.5), _LAST)
        if onset is not None:
            if mark.symbol == "]":
                flutter.append((onset, sample))
                onset = None
        elif mark.symbol == "[":
            onset = sample
        elif mark.symbol in BEATS or mark.symbol == FLUTTER_WAVE:
            samples.append(sample)
            kinds.append(_kind(mark.symbol, escape))
    if onset is not None:
        flutter.append((onset, _LAST))
    return BeatMarks(tuple(samples), tuple(kinds), tuple(flutter))


def _kind(symbol: str, escape: BeatKind) -> BeatKind | None:
    if symbol == FLUTTER_WAVE:
        return None
    return escape if symbol in ESCAPES else _OTHERS.get(symbol) or aami_kind(symbol)
