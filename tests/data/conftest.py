"""Entries of packs that exist in memory only, and a small pack on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fascicle.data.pack import Entry, Pack, open_pack, write_pack
from fascicle.record import LEADS, Beat, Record, Rhythm, Wave
from fascicle.signal.chain import Preprocessing

PLAIN = Preprocessing(
    rate_hz=250.0, jump_mv=None, lowpass_hz=None, baseline="none", trimmed_mean=None
)


def _entry(**known: Any) -> Entry:
    """Return an entry of ten seconds of twelve leads at 250 Hz, with what is given."""
    blank: dict[str, Any] = {
        "key": "set/1",
        "name": "1",
        "patient": known.get("key", "set/1"),
        "fold": 1,
        "source": "set",
        "leads": LEADS,
        "rate_hz": 500.0,
        "samples": 2500,
        "shard": "00000",
        "offset": 0,
        "scale": np.ones(12, dtype=np.float32),
        "age": None,
        "sex": None,
        "labels": {},
        "annotated": frozenset(),
        "waves": (),
        "beats": (),
        "rhythms": (),
    }
    return Entry(**(blank | known))


@pytest.fixture(scope="session")
def entry() -> Callable[..., Entry]:
    return _entry


def make_record(place: int) -> Record:
    """Return record `place`: other leads, lengths and annotations each time, with a stranger."""
    rng = np.random.default_rng(place)
    leads = (*LEADS[: 12 - 3 * (place % 3)], "Resp")
    samples = (2500, 3000, 1000)[place % 3]
    return Record(
        name=f"r{place}",
        signal=rng.normal(0, 0.5, (len(leads), samples)).astype(np.float32),
        rate_hz=250.0,
        leads=leads,
        age=float(20 + place) if place % 2 else None,
        sex="F" if place % 2 else None,
        waves=(
            Wave("I", "QRS", 1.0, 1.05, 1.1),
            Wave("I", "T", None, 1.4, 1.5),
        ),
        beats=(Beat(1.0, "N", symbol="N"), Beat(2.5, "V", symbol="V")),
        rhythms=(Rhythm(0.0, 3.0, "N"),),
        labels={"SCP-ECG": frozenset({"NORM", "SR"}), "SNOMED-CT": frozenset()},
        annotated=frozenset({"beats", "rhythms"}),
    )


ITEMS = [(f"set/{i}", f"set/p{i}", "set", i % 3) for i in range(7)]


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Return an open pack of seven records in one shard."""
    folder: Path = tmp_path_factory.mktemp("pack")
    write_pack(folder, ITEMS, make_record, PLAIN)
    return open_pack(folder)


@pytest.fixture
def records() -> Callable[[int], Record]:
    return make_record


@pytest.fixture
def items() -> list[tuple[str, str, str, int]]:
    return list(ITEMS)


@pytest.fixture
def plain() -> Preprocessing:
    """Return a preprocessing that changes nothing."""
    return PLAIN
