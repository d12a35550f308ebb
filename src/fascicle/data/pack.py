"""Training packs: prepared signals in memory-mapped shards, annotations in JSON lines beside them.

A pack is a folder: `pack.json` (settings, written last), and per shard `00000.i16` (each record's
leads one after the other, int16) with `00000.jsonl` (a line per record: where it lies, its scale
in mV per count, leads, labels, beats, waves). Packing is resumable: a finished shard stays.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fascicle.errors import BadData
from fascicle.files import write_whole
from fascicle.record import LEADS, Beat, Record, Rhythm, Wave
from fascicle.signal.chain import Preprocessing, prepare

SCHEMA = 2
RECORDS_PER_SHARD = 256


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of a pack: what is known of it without its samples.

    `rate_hz` is the rate at which it was recorded; `samples` are at the pack's.
    """

    key: str
    name: str
    patient: str
    fold: int
    source: str
    leads: tuple[str, ...]
    rate_hz: float
    samples: int
    shard: str
    offset: int
    scale: NDArray[np.float32]
    age: float | None
    sex: str | None
    labels: dict[str, frozenset[str]]
    annotated: frozenset[str]
    waves: tuple[Wave, ...]
    beats: tuple[Beat, ...]
    rhythms: tuple[Rhythm, ...]


@dataclass(frozen=True, slots=True)
class Pack:
    """An open pack. `entries` are in the order in which they were packed."""

    folder: Path
    preprocessing: Preprocessing
    entries: tuple[Entry, ...]
    shards: dict[str, NDArray[np.int16]]

    def window(self, entry: Entry, start: int, samples: int, out: NDArray[np.float32]) -> int:
        """Write samples from `start` in mV into `out` (12, samples) and return how many are there.

        Absent leads and samples beyond the record's end stay as they are in `out`.
        """
        stop = min(start + samples, entry.samples)
        counts = self.shards[entry.shard][
            entry.offset : entry.offset + len(entry.leads) * entry.samples
        ].reshape(len(entry.leads), entry.samples)
        rows = [LEADS.index(lead) for lead in entry.leads]
        out[rows, : stop - start] = counts[:, start:stop] * entry.scale[:, None]
        return stop - start


def draw_windows(
    pack: Pack, count: int, samples: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return windows (count, 12, samples) in mV, of entries and at starts with equal chances.

    Absent leads and samples beyond a record's end are 0. Raises ValueError if the pack is empty.
    """
    windows = np.zeros((count, len(LEADS), samples), dtype=np.float32)
    for out, place in zip(windows, rng.integers(len(pack.entries), size=count), strict=True):
        entry = pack.entries[place]
        start = int(rng.integers(max(entry.samples - samples, 0) + 1))
        pack.window(entry, start, samples, out)
    return windows


def write_pack(
    folder: Path,
    items: Sequence[tuple[str, str, str, int]],
    load: Callable[[int], Record],
    preprocessing: Preprocessing,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> None:
    """Write a pack of the records that `load(index)` gives; finished shards are kept.

    Parameters
    ----------
    folder
        Where the pack lies, made if need be.
    items
        (key, patient, source, fold) of each record.
    load
        Place in `items` -> record; its leads that are not among `LEADS` are left out.
    preprocessing
        How each signal is prepared.
    progress
        Wraps the shard numbers, for a progress bar.

    Raises
    ------
    BadData
        If the folder holds a pack of other records or other settings, or a record has no samples
        or no standard lead.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "schema": SCHEMA,
        "preprocessing": asdict(preprocessing),
        "records": len(items),
        "keys": _digest(items),
    }
    _claim(folder, settings)
    shards = range(0, len(items), RECORDS_PER_SHARD)
    for first in progress(shards):
        name = f"{first // RECORDS_PER_SHARD:05d}"
        if not (folder / f"{name}.jsonl").exists():
            chosen = range(first, min(first + RECORDS_PER_SHARD, len(items)))
            _write_shard(folder, name, [(items[i], load(i)) for i in chosen], preprocessing)
    write_whole(folder / "pack.json", json.dumps(settings, indent=1).encode())


def open_pack(folder: Path) -> Pack:
    """Return a pack for reading. Raises BadData if it is absent, unfinished or of another kind."""
    try:
        settings = json.loads((folder / "pack.json").read_text())
    except FileNotFoundError:
        raise BadData(f"{folder}: no pack.json; not a pack, or packing did not finish") from None
    except ValueError as error:
        raise BadData(f"{folder}/pack.json: not JSON ({error})") from None
    if settings.get("schema") != SCHEMA:
        raise BadData(f"{folder}: pack schema {SCHEMA} expected, found {settings.get('schema')}")
    entries, shards = [], {}
    for path in sorted(folder.glob("*.jsonl")):
        found = _read_entries(path)
        entries.extend(found)
        shards[path.stem] = _open_shard(path.with_suffix(".i16"), found)
    if len(entries) != settings["records"]:
        raise BadData(f"{folder}: {settings['records']} records expected, found {len(entries)}")
    return Pack(folder, Preprocessing(**settings["preprocessing"]), tuple(entries), shards)


def _read_entries(path: Path) -> list[Entry]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [_entry(json.loads(line), path.stem) for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(f"{path}: not the entries of a pack ({error!r})") from None


def _open_shard(path: Path, entries: Sequence[Entry]) -> NDArray[np.int16]:
    wanted = 2 * sum(len(entry.leads) * entry.samples for entry in entries)
    found = path.stat().st_size if path.exists() else 0
    if found != wanted:
        raise BadData(f"{path}: {wanted} bytes expected, found {found}")
    # A plain view of the map: slicing a memmap itself costs more than the samples of a window.
    return np.asarray(np.memmap(path, dtype="<i2", mode="r"))


def _digest(items: Sequence[tuple[str, str, str, int]]) -> str:
    import hashlib

    return hashlib.sha256(json.dumps(list(items)).encode()).hexdigest()


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Refuse a folder that was begun with other settings."""
    path = folder / "settings.json"
    wanted = json.dumps(settings, sort_keys=True)
    if path.exists():
        if path.read_text() != wanted:
            raise BadData(f"{folder}: holds a pack of other records or settings; choose another")
    else:
        write_whole(path, wanted.encode())


def _write_shard(
    folder: Path,
    name: str,
    records: list[tuple[tuple[str, str, str, int], Record]],
    preprocessing: Preprocessing,
) -> None:
    parts: list[NDArray[np.int16]] = []
    lines: list[str] = []
    offset = 0
    for (key, patient, source, fold), record in records:
        rows = [row for row, lead in enumerate(record.leads) if lead in LEADS]
        if not rows or not record.samples:
            raise BadData(f"{key}: no samples of a standard lead; leads: {', '.join(record.leads)}")
        signal = prepare(record.signal[rows], record.rate_hz, preprocessing)
        peak = np.abs(signal).max(axis=1, initial=0.0)
        scale = np.where(peak > 1e-30, peak / 32767, 1e-3).astype(np.float32)
        parts.append(np.rint(signal / scale[:, None]).astype("<i2"))
        lines.append(
            json.dumps(
                {
                    "key": key,
                    "patient": patient,
                    "source": source,
                    "fold": fold,
                    "name": record.name,
                    "leads": [record.leads[row] for row in rows],
                    "rate_hz": record.rate_hz,
                    "samples": signal.shape[1],
                    "offset": offset,
                    "scale": [float(value) for value in scale],
                    "age": record.age,
                    "sex": record.sex,
                    "labels": {system: sorted(codes) for system, codes in record.labels.items()},
                    "annotated": sorted(record.annotated),
                    "waves": [
                        [w.lead, w.kind, w.onset_s, w.peak_s, w.offset_s] for w in record.waves
                    ],
                    "beats": [[beat.time_s, beat.kind, beat.symbol] for beat in record.beats],
                    "rhythms": [[r.start_s, r.end_s, r.kind] for r in record.rhythms],
                }
            )
        )
        offset += signal.size
    write_whole(folder / f"{name}.i16", b"".join(part.tobytes() for part in parts))
    write_whole(folder / f"{name}.jsonl", ("\n".join(lines) + "\n").encode())


def _entry(line: dict[str, Any], shard: str) -> Entry:
    return Entry(
        key=line["key"],
        name=line["name"],
        patient=line["patient"],
        fold=line["fold"],
        source=line["source"],
        leads=tuple(line["leads"]),
        rate_hz=line["rate_hz"],
        samples=line["samples"],
        shard=shard,
        offset=line["offset"],
        scale=np.asarray(line["scale"], dtype=np.float32),
        age=line["age"],
        sex=line["sex"],
        labels={system: frozenset(codes) for system, codes in line["labels"].items()},
        annotated=frozenset(line["annotated"]),
        waves=tuple(Wave(*wave) for wave in line["waves"]),
        beats=tuple(Beat(time_s, kind, 1.0, symbol) for time_s, kind, symbol in line["beats"]),
        rhythms=tuple(Rhythm(*span) for span in line["rhythms"]),
    )
