"""Is a folder a sound copy of a data set, whole or in part?

Checked are, of every record that is there: its header, the size of each signal file against the
header, its annotation files, every checksum when SHA256SUMS.txt is there, and that it can be read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from fascicle.data.checksums import SUMS, parse_checksums, sha256_of
from fascicle.data.header_sizes import signal_file_sizes
from fascicle.data.sources import SOURCES, Item, Source
from fascicle.errors import BadData, BadRequest, FascicleError

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one record or file, by its path below the folder."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a folder holds of a source.

    Parameters
    ----------
    records, expected
        Records that are there, and records of the full set.
    patients
        Different patients among them, as far as the set tells.
    verified
        Files whose checksum is right; 0 without SHA256SUMS.txt.
    faults
        What is wrong, in the order of the records.
    """

    name: str
    folder: Path
    records: int
    expected: int
    patients: int
    verified: int
    faults: tuple[Fault, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with what is there; a partial set can be."""
        return not self.faults

    @property
    def partial(self) -> bool:
        """Whether records of the full set are not there."""
        return self.records < self.expected


def recognise(folder: Path) -> tuple[str, ...]:
    """Return the names of the sources that the folder holds: "ptbxl" and "ptbxl100" for both."""
    return tuple(name for name, source in SOURCES.items() if _is(source, folder))


def _is(source: Source, folder: Path) -> bool:
    try:
        return bool(source.index(folder))
    except BadData:
        return False


def check(
    folder: Path, name: str, *, read: bool = True, progress: Progress | None = None
) -> CheckReport:
    """Return what is wrong with a folder that should hold a source.

    Parameters
    ----------
    folder
        The set's own folder, as `fetch` leaves it.
    name
        A key of `SOURCES`; `recognise` finds it.
    read
        Also read every record with its annotations and labels (some milliseconds for each).
    progress
        Called with steps done, steps in all, and the last record's key or file's path.

    Raises
    ------
    BadRequest
        For an unknown source.
    BadData
        When the folder does not hold this source, or its list of checksums is damaged.
    """
    if name not in SOURCES:
        raise BadRequest(f"unknown source {name!r}, expected one of {', '.join(SOURCES)}")
    source = SOURCES[name]
    items = source.index(folder)
    sums = _listed(source, folder)
    steps = len(items) + len(sums)
    faults = dict.fromkeys(_leftovers(folder), "left by a download that did not end")
    for done, item in enumerate(items, start=1):
        for path, reason in _faults_of(item, source, read):
            faults.setdefault(path.relative_to(folder).as_posix(), reason)
        if progress is not None:
            progress(done, steps, item.key)
    wrong = 0
    for done, (listed, sha256) in enumerate(sums.items(), start=len(items) + 1):
        if reason := _compare(folder / listed, sha256):
            wrong += 1
            faults.setdefault(listed, reason)  # the first reason for a file is the plainest
        if progress is not None:
            progress(done, steps, listed)
    patients = len({item.patient for item in items})
    found = tuple(Fault(path, reason) for path, reason in faults.items())
    return CheckReport(name, folder, len(items), source.records, patients, len(sums) - wrong, found)


def _leftovers(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.part"))


def _listed(source: Source, folder: Path) -> dict[str, str]:
    """The source's part of SHA256SUMS.txt, without records of which no file is there."""
    path = folder / SUMS
    if not path.is_file():
        return {}
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadData(f"{path}: cannot be read: {error.strerror}") from error
    sums = {
        listed: sha256
        for listed, sha256 in parse_checksums(text, str(path)).items()
        if any(fnmatchcase(listed, pattern) for pattern in source.include)
    }
    begun = {_stem(listed) for listed in sums if (folder / listed).is_file()}
    return {listed: sha256 for listed, sha256 in sums.items() if _stem(listed) in begun}


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))


def _compare(path: Path, sha256: str) -> str:
    if not path.is_file():
        return "is not there"
    try:
        found = sha256_of(path)
    except BadData as error:
        return str(error)
    return "" if found == sha256 else f"expected SHA-256 {sha256}, got {found}"


def _faults_of(item: Item, source: Source, read: bool) -> list[tuple[Path, str]]:
    """What is wrong with one record: path and reason."""
    header = item.path.with_name(f"{item.path.name}.hea")
    try:
        sizes = signal_file_sizes(header)
    except BadData as error:
        return [(header, str(error))]
    needed = [item.path.with_name(item.path.name + suffix) for suffix in source.annotations]
    faults = [(path, "is not there") for path in (*sizes, *needed) if not path.is_file()]
    for path, size in sizes.items():
        if size is not None and path.is_file() and path.stat().st_size != size:
            found = path.stat().st_size
            faults.append((path, f"expected {size} bytes by its header, got {found}"))
    if read and not faults:
        try:
            source.load(item)
        except FascicleError as error:
            return [(item.path, str(error))]
    return faults
