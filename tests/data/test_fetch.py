"""The downloads are tried against a server on loopback that misbehaves on demand."""

from __future__ import annotations

import hashlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fascicle.data import fetch as fetch_module
from fascicle.data.checksums import SUMS, parse_checksums
from fascicle.data.fetch import Fetched, fetch
from fascicle.errors import BadData, BadRequest

FILES = {
    "RECORDS": b"100\n",
    "100.hea": b"100 2 360 650000\n",
    "100.dat": bytes(range(256)) * 4000,
    "100.atr": b"\x00\x00",
    "mitdbdir/intro.htm": b"not a part of the source",
}
WANTED = 4


@dataclass
class Mirror:
    """What the server holds, how it misbehaves, and what it was asked."""

    files: dict[str, bytes]
    url: str = ""
    break_after: dict[str, list[int]] = field(default_factory=dict)
    status: dict[str, list[int]] = field(default_factory=dict)
    ranges: bool = True
    shifted: bool = False
    stalls: threading.Event | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)

    def times(self, path: str) -> int:
        return Counter(name for name, _ in self.asked)[path]


def sums_of(files: dict[str, bytes]) -> bytes:
    lines = [f"{hashlib.sha256(data).hexdigest()} {path}\n" for path, data in files.items()]
    return "".join(lines).encode()


class Handler(BaseHTTPRequestHandler):
    mirror: Mirror

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        mirror, path = self.mirror, self.path.removeprefix("/files/")
        wanted = self.headers.get("Range", "")
        mirror.asked.append((path, wanted))
        if mirror.status.get(path):
            self.send_error(mirror.status[path].pop(0))
        elif path not in mirror.files:
            self.send_error(404)
        else:
            self.send_file(path, wanted if mirror.ranges else "")

    def send_file(self, path: str, wanted: str) -> None:
        data, mirror = self.mirror.files[path], self.mirror
        start = int(wanted.removeprefix("bytes=").removesuffix("-") or 0)
        if start and start >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        if wanted:
            told = start + 1 if mirror.shifted else start
            self.send_header("Content-Range", f"bytes {told}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        cuts = mirror.break_after.get(path)
        end = start + cuts.pop(0) if cuts else len(data)
        self.wfile.write(data[start:end])
        if end < len(data) and mirror.stalls is not None:
            self.wfile.flush()
            mirror.stalls.wait(30)


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    state = Mirror({**FILES, SUMS: sums_of(FILES)})
    handler = type("MirrorHandler", (Handler,), {"mirror": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}/files"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield state
        if state.stalls is not None:
            state.stalls.set()
        server.shutdown()
        thread.join()


def get(mirror: Mirror, dest: Path, name: str = "mitdb", tries: int = 3) -> Fetched:
    return fetch(name, dest, base_url=mirror.url, tries=tries, timeout_s=5, pause_s=0.01)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def wanted_files(mirror: Mirror) -> dict[str, bytes]:
    return {name: data for name, data in mirror.files.items() if "/" not in name}


def test_the_source_s_files_are_fetched_and_no_others(mirror: Mirror, tmp_path: Path) -> None:
    steps: list[tuple[int, int, str]] = []
    found = fetch(
        "mitdb",
        tmp_path / "new" / "mitdb",
        base_url=mirror.url + "/",
        progress=lambda done, total, path: steps.append((done, total, path)),
    )
    assert found == Fetched(files=WANTED, downloaded=WANTED)
    assert contents(tmp_path / "new" / "mitdb") == wanted_files(mirror)
    assert [(done, total) for done, total, _ in steps] == [(n, WANTED) for n in (1, 2, 3, 4)]
    assert {path for _, _, path in steps} == set(FILES) - {"mitdbdir/intro.htm"}


def test_a_second_run_asks_for_the_list_alone(mirror: Mirror, tmp_path: Path) -> None:
    get(mirror, tmp_path)
    mirror.asked.clear()
    assert get(mirror, tmp_path) == Fetched(files=WANTED, downloaded=0)
    assert mirror.asked == [(SUMS, "")]


def test_a_changed_file_is_fetched_again(mirror: Mirror, tmp_path: Path) -> None:
    get(mirror, tmp_path)
    (tmp_path / "100.dat").write_bytes(FILES["100.dat"][:-1] + b"x")
    assert get(mirror, tmp_path).downloaded == 1
    assert contents(tmp_path) == wanted_files(mirror)


def test_ptbxl_at_one_rate_leaves_the_other(mirror: Mirror, tmp_path: Path) -> None:
    files = {
        "ptbxl_database.csv": b"a",
        "records100/00000/00001_lr.dat": b"b",
        "records500/00000/00001_hr.dat": b"c",
    }
    mirror.files = {**files, SUMS: sums_of(files)}
    get(mirror, tmp_path, "ptbxl100")
    assert set(contents(tmp_path)) == {SUMS, "ptbxl_database.csv", "records100/00000/00001_lr.dat"}
    assert get(mirror, tmp_path, "ptbxl") == Fetched(files=2, downloaded=1)


def test_a_broken_connection_is_resumed(mirror: Mirror, tmp_path: Path) -> None:
    mirror.break_after["100.dat"] = [300_000, 200_000]
    get(mirror, tmp_path)
    assert contents(tmp_path) == wanted_files(mirror)
    asked = [wanted for path, wanted in mirror.asked if path == "100.dat"]
    assert asked == ["", "bytes=300000-", "bytes=500000-"]


def test_a_server_without_ranges_starts_from_nothing(mirror: Mirror, tmp_path: Path) -> None:
    mirror.ranges = False
    mirror.break_after["100.dat"] = [300_000]
    get(mirror, tmp_path)
    assert contents(tmp_path) == wanted_files(mirror)


def test_a_connection_that_always_breaks_is_given_up(mirror: Mirror, tmp_path: Path) -> None:
    mirror.break_after["100.dat"] = [1000] * 50
    with pytest.raises(BadData, match=r"100\.dat: not received in 3 tries.*broke off"):
        get(mirror, tmp_path)
    assert mirror.times("100.dat") == 3
    assert (tmp_path / "100.dat.part").read_bytes() == FILES["100.dat"][:3000]
    assert not (tmp_path / "100.dat").exists()


@pytest.mark.parametrize(
    ("leftover", "requests"),
    [
        (FILES["100.dat"][:70_000], 1),
        (b"something else", 2),
        (FILES["100.dat"], 1),
        (FILES["100.dat"] + b"more", 2),
        (b"", 1),
    ],
    ids=["good", "foreign", "complete", "too long", "empty"],
)
def test_leftovers_of_a_killed_run(
    mirror: Mirror, tmp_path: Path, leftover: bytes, requests: int
) -> None:
    (tmp_path / "100.dat.part").write_bytes(leftover)
    (tmp_path / f"{SUMS}.part").write_bytes(b"half a list")
    get(mirror, tmp_path)
    assert contents(tmp_path) == wanted_files(mirror)
    assert mirror.times("100.dat") == requests


def test_a_killed_process_is_continued(mirror: Mirror, tmp_path: Path) -> None:
    mirror.stalls = threading.Event()
    mirror.break_after["100.dat"] = [524_288]
    part = tmp_path / "100.dat.part"
    code = "import sys, pathlib; from fascicle.data.fetch import fetch; "
    code += "fetch('mitdb', pathlib.Path(sys.argv[1]), base_url=sys.argv[2])"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path), mirror.url]) as process:
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size == 524_288):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "100.dat").exists()
    get(mirror, tmp_path)
    assert contents(tmp_path) == wanted_files(mirror)
    assert ("100.dat", "bytes=524288-") in mirror.asked  # several files are asked for at once


def test_a_wrong_checksum_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["100.dat"] = b"not what the list says"
    with pytest.raises(BadData, match=r"100\.dat: expected SHA-256 [0-9a-f]{64}, received"):
        get(mirror, tmp_path)
    assert not {"100.dat", "100.dat.part"} & set(contents(tmp_path))
    assert mirror.times("100.dat") == 2


def test_what_is_not_there_is_said_at_once(mirror: Mirror, tmp_path: Path) -> None:
    del mirror.files["100.atr"]
    with pytest.raises(BadData, match=r"/files/100\.atr: the server answered 404"):
        get(mirror, tmp_path)
    assert mirror.times("100.atr") == 1
    del mirror.files[SUMS]
    with pytest.raises(BadData, match=r"SHA256SUMS\.txt: the server answered 404"):
        get(mirror, tmp_path)


def test_a_busy_server_is_asked_again(mirror: Mirror, tmp_path: Path) -> None:
    mirror.status["100.dat"] = [503, 429]
    get(mirror, tmp_path)
    assert contents(tmp_path) == wanted_files(mirror)


def test_a_server_that_stays_busy_is_given_up(mirror: Mirror, tmp_path: Path) -> None:
    mirror.status["100.dat"] = [503] * 50
    with pytest.raises(BadData, match="not received in 2 tries, at last: 503"):
        get(mirror, tmp_path, tries=2)
    assert mirror.times("100.dat") == 2


def test_no_server_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(BadData, match="not received in 2 tries"):
            fetch("mitdb", tmp_path / "set", base_url=url, tries=2, pause_s=0.01)
    assert list(tmp_path.iterdir()) == []  # an empty folder would pass for the set


def test_a_silent_server_is_given_up(mirror: Mirror, tmp_path: Path) -> None:
    mirror.stalls = threading.Event()
    mirror.break_after["100.dat"] = [10, 10]
    with pytest.raises(BadData, match=r"not received in 2 tries, at last: .*timed out"):
        fetch("mitdb", tmp_path, base_url=mirror.url, tries=2, timeout_s=0.2, pause_s=0.01)


def test_another_range_than_asked_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    mirror.shifted = True
    (tmp_path / "100.dat.part").write_bytes(FILES["100.dat"][:100])
    with pytest.raises(BadData, match="asked for bytes from 100"):
        get(mirror, tmp_path)


def test_an_endless_file_is_refused(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_module, "MAX_FILE_BYTES", 100_000)
    with pytest.raises(BadData, match="larger than 100000 bytes"):
        get(mirror, tmp_path)


ESCAPES = ["../100.dat", "/100.dat", "a/../../100.dat", "..\\100.dat", "C:100.dat", "..", "10\x1b0"]


@pytest.mark.parametrize("path", ESCAPES)
def test_paths_that_lead_out_are_refused(mirror: Mirror, tmp_path: Path, path: str) -> None:
    mirror.files[SUMS] += b"0" * 64 + f" {path}\n".encode()
    with pytest.raises(BadData, match=r"line 6: .* is no plain path in the folder"):
        get(mirror, tmp_path / "set")
    assert set(contents(tmp_path)) == {f"set/{SUMS}.part"}
    assert {name for name, _ in mirror.asked} == {SUMS}


def test_links_that_lead_out_are_refused(mirror: Mirror, tmp_path: Path) -> None:
    files = {"data/1.dat": b"a"}
    mirror.files = {**files, SUMS: sums_of(files)}
    (tmp_path / "outside").mkdir()
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "data").symlink_to(tmp_path / "outside")
    with pytest.raises(BadData, match="a link leads out"):
        get(mirror, tmp_path / "set", "ludb")
    assert contents(tmp_path / "outside") == {}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_ends_the_download(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "100.dat.part").symlink_to("/dev/full")
    with pytest.raises(BadData, match=r"100\.dat\.part: cannot be written: No space left"):
        get(mirror, tmp_path)
    assert mirror.times("100.dat") == 1


def test_a_file_in_the_way_of_the_folder_is_said(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "set").touch()
    with pytest.raises(BadData, match=r"set/SHA256SUMS.*cannot be written: Not a dir"):
        get(mirror, tmp_path / "set")


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (b"<html>please log in</html>", "line 1: expected a SHA-256"),
        (b"", "the list of files is empty"),
        (b"0" * 64 + b" other.txt\n", r"lists no file such as \[12\]"),
        (b"0" * 64 + b" a\n" + b"1" * 64 + b" a\n", "a has two different hashes"),
    ],
)
def test_a_list_that_is_none_is_refused(
    mirror: Mirror, tmp_path: Path, listed: bytes, said: str
) -> None:
    mirror.files[SUMS] = listed
    with pytest.raises(BadData, match=said):
        get(mirror, tmp_path)
    assert SUMS not in contents(tmp_path)


@pytest.mark.parametrize("form", ["{} {}", "{}  {}", "{} *{}", "{}  ./{}", "\n{} {}\r"])
def test_lists_in_all_usual_forms_are_read(form: str) -> None:
    assert parse_checksums(form.format("A" * 64, "data/1.i"), "") == {"data/1.i": "a" * 64}


@pytest.mark.parametrize("url", ["http://[", "http://" + "a" * 70 + ".invalid", "http://a:b/"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadData, match="http://"):
        fetch("mitdb", tmp_path, base_url=url, tries=1)


def test_impossible_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="unknown source 'mit', expected one of mitdb, ludb"):
        fetch("mit", tmp_path)
    for url in ("ftp://127.0.0.1/", "file:///etc", "mitdb"):
        with pytest.raises(BadRequest, match="expected an https:// or http:// address"):
            fetch("mitdb", tmp_path, base_url=url)
    with pytest.raises(BadRequest, match="at least 1"):
        fetch("mitdb", tmp_path, workers=0)
    assert contents(tmp_path) == {}
