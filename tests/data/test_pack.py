"""Packs: what goes in comes out, and a broken pack is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fascicle.data.pack as pack_module
from fascicle.data.pack import Pack, open_pack, write_pack
from fascicle.errors import BadData
from fascicle.files import write_whole
from fascicle.record import LEADS, Record
from fascicle.signal.chain import Preprocessing, prepare

Items = list[tuple[str, str, str, int]]
Load = Callable[[int], Record]


class Killed(Exception):
    """Stands for a process that ends in the middle."""


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_entries_carry_what_the_records_know(pack: Pack, items: Items, records: Load) -> None:
    assert [(e.key, e.patient, e.source, e.fold) for e in pack.entries] == items
    for place, entry in enumerate(pack.entries):
        record = records(place)
        assert entry.leads == tuple(lead for lead in record.leads if lead in LEADS)
        assert entry.samples == record.samples
        assert (entry.name, entry.age, entry.sex) == (record.name, record.age, record.sex)
        assert entry.labels == record.labels
        assert entry.annotated == record.annotated
        assert entry.waves == record.waves
        assert entry.beats == record.beats
        assert entry.rhythms == record.rhythms


def test_signals_come_back_within_half_a_count(pack: Pack, records: Load) -> None:
    for place, entry in enumerate(pack.entries):
        record = records(place)
        out = np.full((12, entry.samples), np.nan, dtype=np.float32)
        assert pack.window(entry, 0, entry.samples, out) == entry.samples
        for row, lead in enumerate(LEADS):
            if lead not in entry.leads:
                assert np.isnan(out[row]).all()  # left as it was
                continue
            count = np.abs(record.lead(lead)).max() / 32767
            assert np.abs(out[row] - record.lead(lead)).max() <= 0.51 * count


@pytest.mark.parametrize("start", [0, 1, 499, 2000, 2499])
def test_a_window_is_a_part_of_the_prepared_signal(pack: Pack, start: int) -> None:
    entry = pack.entries[3]
    whole = np.zeros((12, entry.samples), dtype=np.float32)
    pack.window(entry, 0, entry.samples, whole)
    out = np.full((12, 600), -9, dtype=np.float32)
    there = pack.window(entry, start, 600, out)
    assert there == min(600, entry.samples - start)
    assert np.array_equal(out[:, :there], whole[:, start : start + there])
    assert (out[:, there:] == -9).all()


def test_signals_are_prepared(tmp_path: Path, records: Load, items: Items) -> None:
    how = Preprocessing(rate_hz=125.0)
    write_pack(tmp_path, items[:1], records, how)
    pack = open_pack(tmp_path)
    assert pack.preprocessing == how
    expected = prepare(records(0).signal[:12], 250.0, how)
    out = np.zeros((12, expected.shape[1]), dtype=np.float32)
    assert pack.window(pack.entries[0], 0, out.shape[1], out) == out.shape[1]
    assert np.abs(out - expected).max() <= 0.51 * np.abs(expected).max() / 32767


def test_flat_and_faint_leads_stay_finite(
    tmp_path: Path, records: Load, items: Items, plain: Preprocessing
) -> None:
    signal = records(0).signal.copy()
    signal[0] = 0
    signal[1] = 1e-42  # under a count of float32
    write_pack(tmp_path, items[:1], lambda _: replace(records(0), signal=signal), plain)
    pack = open_pack(tmp_path)
    out = np.ones((12, 2500), dtype=np.float32)
    pack.window(pack.entries[0], 0, 2500, out)
    assert (out[:2] == 0).all()
    assert np.isfinite(out).all()


@pytest.mark.parametrize("per_shard", [1, 3, 7, 100])
def test_shards_do_not_show(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pack: Pack,
    items: Items,
    records: Load,
    plain: Preprocessing,
    per_shard: int,
) -> None:
    monkeypatch.setattr(pack_module, "RECORDS_PER_SHARD", per_shard)
    write_pack(tmp_path, items, records, plain)
    other = open_pack(tmp_path)
    assert len(other.shards) == -(-7 // per_shard)
    for a, b in zip(pack.entries, other.entries, strict=True):
        assert a.key == b.key
        first, second = (np.zeros((12, a.samples), dtype=np.float32) for _ in range(2))
        pack.window(a, 0, a.samples, first)
        other.window(b, 0, b.samples, second)
        assert np.array_equal(first, second)


def test_a_killed_pack_goes_on_and_equals_an_unbroken_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    items: Items,
    records: Load,
    plain: Preprocessing,
) -> None:
    monkeypatch.setattr(pack_module, "RECORDS_PER_SHARD", 2)
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    read: list[int] = []

    def load(place: int) -> Record:
        if place == 3 and len(read) == 3:
            raise Killed
        read.append(place)
        return records(place)

    with pytest.raises(Killed):
        write_pack(broken, items, load, plain)
    with pytest.raises(BadData, match="did not finish"):
        open_pack(broken)
    before = {name: (broken / name).stat().st_mtime_ns for name in ("00000.i16", "00000.jsonl")}
    read.append(-1)
    write_pack(broken, items, load, plain)
    assert read == [0, 1, 2, -1, 2, 3, 4, 5, 6]
    assert before == {name: (broken / name).stat().st_mtime_ns for name in before}
    write_pack(unbroken, items, records, plain)
    assert _files(broken) == _files(unbroken)


def test_progress_sees_each_shard(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    items: Items,
    records: Load,
    plain: Preprocessing,
) -> None:
    monkeypatch.setattr(pack_module, "RECORDS_PER_SHARD", 3)
    seen: list[int] = []

    def progress(shards: Iterable[int]) -> Iterable[int]:
        assert isinstance(shards, Sequence)  # a bar needs to know how many
        for shard in shards:
            seen.append(shard)
            yield shard

    write_pack(tmp_path, items, records, plain, progress)
    assert len(seen) == 3


def test_a_failure_leaves_no_half_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    items: Items,
    records: Load,
    plain: Preprocessing,
) -> None:
    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_pack(tmp_path, items, records, plain)
    assert _files(tmp_path) == {}


def test_a_shard_counts_only_with_its_entries(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    items: Items,
    records: Load,
    plain: Preprocessing,
) -> None:
    replace_file = write_whole

    def fail_at_entries(path: Path, content: bytes) -> None:
        if path.suffix == ".jsonl":
            raise Killed
        replace_file(path, content)

    monkeypatch.setattr(pack_module, "write_whole", fail_at_entries)
    with pytest.raises(Killed):
        write_pack(tmp_path, items, records, plain)
    monkeypatch.undo()
    write_pack(tmp_path, items, records, plain)
    assert len(open_pack(tmp_path).entries) == 7


def test_other_settings_or_records_are_refused(
    tmp_path: Path, items: Items, records: Load, plain: Preprocessing
) -> None:
    write_pack(tmp_path, items, records, plain)
    before = _files(tmp_path)
    with pytest.raises(BadData, match="other records or settings"):
        write_pack(tmp_path, items, records, replace(plain, rate_hz=500.0))
    with pytest.raises(BadData, match="other records or settings"):
        write_pack(tmp_path, items[:-1], records, plain)
    with pytest.raises(BadData, match="other records or settings"):
        write_pack(tmp_path, [("set/x", *items[0][1:]), *items[1:]], records, plain)
    assert _files(tmp_path) == before


def test_a_record_without_a_standard_lead_is_refused(
    tmp_path: Path, items: Items, records: Load, plain: Preprocessing
) -> None:
    def strange(place: int) -> Record:
        return replace(records(place), leads=("Resp",), signal=records(place).signal[:1])

    with pytest.raises(BadData, match=r"set/0.*Resp"):
        write_pack(tmp_path, items, strange, plain)


@pytest.mark.parametrize("size", [0, 1, 1001, 50_000])
def test_a_truncated_shard_is_refused(
    tmp_path: Path, items: Items, records: Load, plain: Preprocessing, size: int
) -> None:
    write_pack(tmp_path, items, records, plain)
    shard = tmp_path / "00000.i16"
    shard.write_bytes(shard.read_bytes()[:size])
    with pytest.raises(BadData, match=rf"00000\.i16.*found {size}"):
        open_pack(tmp_path)


def test_a_shard_that_is_too_long_or_absent_is_refused(
    tmp_path: Path, items: Items, records: Load, plain: Preprocessing
) -> None:
    write_pack(tmp_path, items, records, plain)
    shard = tmp_path / "00000.i16"
    content = shard.read_bytes()
    shard.write_bytes(content + b"\0\0")
    with pytest.raises(BadData, match="bytes expected"):
        open_pack(tmp_path)
    shard.unlink()
    with pytest.raises(BadData, match="found 0"):
        open_pack(tmp_path)


def test_entries_that_are_cut_short_or_missing_are_refused(
    tmp_path: Path, items: Items, records: Load, plain: Preprocessing
) -> None:
    write_pack(tmp_path, items, records, plain)
    lines = tmp_path / "00000.jsonl"
    content = lines.read_text()
    for damaged in (content[:-40], "{}\n", "[1]\n", "\n"):
        lines.write_text(damaged)
        with pytest.raises(BadData, match=r"00000\.jsonl"):
            open_pack(tmp_path)
    lines.unlink()
    with pytest.raises(BadData, match="7 records expected, found 0"):
        open_pack(tmp_path)


def test_a_folder_that_is_no_pack_is_refused(
    tmp_path: Path, items: Items, records: Load, plain: Preprocessing
) -> None:
    with pytest.raises(BadData, match=r"no pack\.json"):
        open_pack(tmp_path)
    write_pack(tmp_path, items, records, plain)
    settings = tmp_path / "pack.json"
    tree = json.loads(settings.read_text())
    settings.write_text(json.dumps(tree | {"schema": 99}))
    with pytest.raises(BadData, match="schema 2 expected, found 99"):
        open_pack(tmp_path)
    settings.write_text("{")
    with pytest.raises(BadData, match="not JSON"):
        open_pack(tmp_path)
