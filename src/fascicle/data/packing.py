"""From a data set's folder to an open pack, made once and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from fascicle.data.pack import SCHEMA, Pack, open_pack, write_pack
from fascicle.data.sources import SOURCES
from fascicle.errors import BadData, BadRequest
from fascicle.record import Record
from fascicle.signal.chain import Preprocessing
from fascicle.synth import CONDITIONS, Noise, synthesize

SYNTHETIC = 1200
"""Records of the source "synth": every condition in turn, seeded by its place.

Half of a condition's records have its usual rates, half any rate at which it can be.
"""
SYNTHETIC_EDITION = 3
"""Other records of that source have another number, so that their packs are written anew."""

Progress = Callable[[Iterable[int], str], Iterable[int]]


def no_progress(shards: Iterable[int], title: str) -> Iterable[int]:
    """Return the shards as they are."""
    del title
    return shards


def pack_source(
    name: str,
    data_dir: Path,
    packs_dir: Path,
    preprocessing: Preprocessing,
    progress: Progress = no_progress,
) -> Pack:
    """Return the pack of a source, written first where it is not there yet.

    Parameters
    ----------
    name
        A key of `SOURCES`, or "synth" for synthetic ECGs, which need no folder.
    data_dir
        Folder that holds the data sets, each under its name.
    packs_dir
        Where packs are kept; each combination of source, folder and settings has its own.
    preprocessing
        How each signal is prepared.
    progress
        Wraps the shard numbers, for a progress bar with this title.

    Raises
    ------
    BadRequest
        If there is no such source.
    BadData
        If the set is not there or not whole.
    """
    folder = pack_folder(name, data_dir, packs_dir, preprocessing)
    if not (folder / "pack.json").exists():
        items, load = _synthetic() if name == "synth" else _real(name, data_dir)
        write_pack(
            folder, items, load, preprocessing, lambda shards: progress(shards, f"pack {name}")
        )
    return open_pack(folder)


def pack_folder(name: str, data_dir: Path, packs_dir: Path, preprocessing: Preprocessing) -> Path:
    """Return where `pack_source` keeps this pack."""
    place = str(data_dir.resolve()) if name != "synth" else f"edition {SYNTHETIC_EDITION}"
    settings = json.dumps([SCHEMA, asdict(preprocessing), place])
    return packs_dir / f"{name}-{hashlib.sha256(settings.encode()).hexdigest()[:10]}"


def _real(
    name: str, data_dir: Path
) -> tuple[list[tuple[str, str, str, int]], Callable[[int], Record]]:
    if name not in SOURCES:
        raise BadRequest(f"no source {name!r}; known: {', '.join(SOURCES)}, synth")
    source = SOURCES[name]
    folder = data_dir / name.removesuffix("100")
    if not folder.is_dir():
        raise BadData(f"{folder}: no such folder; `fascicle data fetch {name}` gets the set")
    items = source.index(folder)
    listed = [(item.key, item.patient, name, item.fold) for item in items]
    return listed, lambda place: source.load(items[place])


def _synthetic() -> tuple[list[tuple[str, str, str, int]], Callable[[int], Record]]:
    names = tuple(CONDITIONS)
    listed = [(f"synth/{i}", f"synth/{i}", "synth", i % 10) for i in range(SYNTHETIC)]

    def load(place: int) -> Record:
        turn, condition = divmod(place, len(names))
        low, high = CONDITIONS[names[condition]].allowed_bpm
        bpm = low * (high / low) ** np.random.default_rng((place, turn)).random()
        return synthesize(
            names[condition],
            seed=place,
            heart_rate_bpm=float(bpm) if turn % 2 else None,
            rate_hz=250.0,
            noise=Noise(),
        )

    return listed, load
