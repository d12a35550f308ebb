"""Splits by patient, and the check that refuses one that leaks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fascicle.data.pack import Entry
from fascicle.errors import BadData

KNOWN_EXCEPTION = frozenset({"mitdb/201", "mitdb/202"})
"""One patient on both sides of de Chazal's split of MIT-BIH (the one named exception)."""


def choose(entries: Iterable[Entry], folds: Sequence[int] | None) -> tuple[Entry, ...]:
    """Return the entries of these folds; None takes all."""
    return tuple(entry for entry in entries if folds is None or entry.fold in folds)


def check_leaks(train: Iterable[Entry], held_out: Iterable[Entry]) -> None:
    """Refuse a split in which a recording or a patient is on both sides.

    Records of different sets meet through their keys: CinC's HR00001 and PTB-XL's 00001 carry
    the same key, and so the same patient.

    Raises
    ------
    BadData
        Naming the first records that leak.
    """
    train, held_out = list(train), list(held_out)
    patients = {
        entry.key: entry.patient for entry in (*train, *held_out) if entry.patient != entry.key
    }

    def person(entry: Entry) -> str:
        return patients.get(entry.key, entry.patient)

    taught: dict[str, set[str]] = {}
    for entry in train:
        taught.setdefault(person(entry), set()).add(entry.key)
    leaks = [
        (key, entry.key, person(entry))
        for entry in held_out
        for key in sorted(taught.get(person(entry), ()))
        if {key, entry.key} != KNOWN_EXCEPTION
    ]
    if leaks:
        shown = "; ".join(f"{a} and {b} ({who})" for a, b, who in leaks[:3])
        raise BadData(f"the split leaks {len(leaks)} pairs of records by patient: {shown}")
