"""Download of a published data set: only what is absent, every file checked, broken ones resumed.

A file is received as NAME.part and gets its name only after its SHA-256 is right, so a killed run
leaves nothing wrong behind and the next run goes on where it stopped. One run per folder at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from fascicle.data.checksums import SUMS, parse_checksums, sha256_of
from fascicle.data.sources import SOURCES
from fascicle.errors import BadData, BadRequest

CHUNK_BYTES = 1 << 18
MAX_FILE_BYTES = 1 << 30
MAX_LIST_BYTES = 1 << 26
MAX_PAUSE_S = 30.0
PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
PARTIAL_CONTENT = 206
RANGE_NOT_SATISFIABLE = 416

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Fetched:
    """How many files of the source are there, and how many of them were downloaded now."""

    files: int
    downloaded: int


@dataclass(frozen=True, slots=True)
class _Server:
    """Where to download from and how patiently; `stop` ends all downloads at their next chunk."""

    url: str
    tries: int
    timeout_s: float
    pause_s: float
    stop: threading.Event = field(default_factory=threading.Event)


def fetch(
    name: str,
    dest: Path,
    *,
    base_url: str | None = None,
    workers: int = 4,
    tries: int = 5,
    timeout_s: float = 30.0,
    pause_s: float = 1.0,
    progress: Progress | None = None,
) -> Fetched:
    """Return what was downloaded to make `dest` a verified copy of a source's published files.

    Parameters
    ----------
    name
        A key of `SOURCES`; "ptbxl" and "ptbxl100" share a folder.
    dest
        The set's own folder; made if it is not there.
    base_url
        Folder of another server with the same files; None is the source's own at PhysioNet.
    workers
        Files received at the same time.
    tries, timeout_s, pause_s
        Tries for one file, silence after which a try has failed, pause before the second try
        (doubled for each further one, 30 s at most).
    progress
        Called with files done, files in all, and the last file's path.

    Raises
    ------
    BadRequest
        For an unknown source or an address that is not HTTP.
    BadData
        If a file is not there, does not have its checksum, cannot be written, or its path would
        lead out of `dest`; or the server stays silent.
    """
    if name not in SOURCES:
        raise BadRequest(f"unknown source {name!r}, expected one of {', '.join(SOURCES)}")
    url = (base_url or SOURCES[name].url).rstrip("/") + "/"
    if not url.startswith(("https://", "http://")):
        raise BadRequest(f"{url}: expected an https:// or http:// address")
    if workers < 1 or tries < 1:
        raise BadRequest(f"workers and tries must be at least 1, not {workers} and {tries}")
    server = _Server(url, tries, timeout_s, pause_s)
    wanted = _wanted(server, dest, SOURCES[name].include)
    pool = ThreadPoolExecutor(workers)
    try:
        jobs = {
            pool.submit(_fetch_file, server, dest, path, sha256): path
            for path, sha256 in wanted.items()
        }
        return _collect(jobs, progress)
    finally:
        server.stop.set()
        pool.shutdown(cancel_futures=True)


def _wanted(server: _Server, dest: Path, include: tuple[str, ...]) -> dict[str, str]:
    """Fetch the list of files anew and return the source's part of it, path -> SHA-256."""
    target = _target(dest, SUMS)
    part = target.with_name(SUMS + ".part")
    with _writing(part):
        part.unlink(missing_ok=True)
    _receive(server, SUMS, part, MAX_LIST_BYTES)
    text = part.read_text(encoding="utf-8", errors="replace")
    sums = parse_checksums(text, server.url + SUMS)
    wanted = {
        path: sha256
        for path, sha256 in sums.items()
        if any(fnmatchcase(path, pattern) for pattern in include)
    }
    if not wanted:
        raise BadData(f"{server.url + SUMS}: lists no file such as {include[0]}")
    with _writing(target):
        part.replace(target)
    return wanted


def _collect(jobs: dict[Future[bool], str], progress: Progress | None) -> Fetched:
    downloaded = 0
    for done, job in enumerate(as_completed(jobs), start=1):
        downloaded += job.result()
        if progress is not None:
            progress(done, len(jobs), jobs[job])
    return Fetched(len(jobs), downloaded)


def _fetch_file(server: _Server, dest: Path, path: str, sha256: str) -> bool:
    """Bring one file to its place and return whether it had to be downloaded."""
    target = _target(dest, path)
    if target.is_file() and sha256_of(target) == sha256:
        return False
    part = target.with_name(target.name + ".part")
    found = ""
    for _ in range(2):  # a leftover of something else fails its checksum: once more from nothing
        _receive(server, path, part, MAX_FILE_BYTES)
        found = sha256_of(part)
        with _writing(target):
            if found == sha256:
                part.replace(target)
                return True
            part.unlink()
    raise BadData(f"{server.url}{path}: expected SHA-256 {sha256}, received {found}")


def _target(dest: Path, path: str) -> Path:
    """Return where a file goes; links may not lead out of `dest`."""
    target = dest / path
    with _writing(target.parent):
        if not target.parent.resolve().is_relative_to(dest.resolve()):
            raise BadData(f"{target}: a link leads out of {dest}")
    return target


def _receive(server: _Server, path: str, part: Path, limit: int) -> None:
    """Receive a file of at most `limit` bytes into `part`, after what is there."""
    url = server.url + quote(path)
    trouble = ""
    for attempt in range(server.tries):
        if attempt and server.stop.wait(min(server.pause_s * 2 ** (attempt - 1), MAX_PAUSE_S)):
            break
        try:
            return _try_once(server, url, part, limit)
        except HTTPError as error:
            error.close()
            if error.code == RANGE_NOT_SATISFIABLE and part.exists():
                return None  # nothing is left to send: the checksum tells if that is right
            if error.code not in PASSING_STATUS:
                raise BadData(f"{url}: the server answered {error.code} {error.reason}") from error
            trouble = f"{error.code} {error.reason}"
        except ValueError as error:
            raise BadData(f"{url}: not an address: {error}") from error
        except (OSError, HTTPException) as error:
            trouble = str(error) or type(error).__name__
    raise BadData(f"{url}: not received in {server.tries} tries, at last: {trouble}")


def _try_once(server: _Server, url: str, part: Path, limit: int) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urlopen(request, timeout=server.timeout_s) as response:
        if have and response.status == PARTIAL_CONTENT:
            if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                raise BadData(f"{url}: asked for bytes from {have}, the server sent others")
        else:
            have = 0
            with _writing(part):  # not before the server answers: no empty folder is left
                part.parent.mkdir(parents=True, exist_ok=True)
            _write(part, "wb", b"")
        while chunk := response.read(CHUNK_BYTES):
            have += len(chunk)
            if have > limit:
                raise BadData(f"{url}: larger than {limit} bytes")
            _write(part, "ab", chunk)
            if server.stop.is_set():
                raise ConnectionError("stopped")
        if response.length:
            raise ConnectionError(f"connection broke off {response.length} bytes before the end")


def _write(path: Path, mode: str, chunk: bytes) -> None:
    with _writing(path), path.open(mode) as out:
        out.write(chunk)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn a failure of the disk, unlike one of the network, into the end of the download."""
    try:
        yield
    except OSError as error:
        raise BadData(f"{path}: cannot be written: {error.strerror or error}") from error
