"""Names of leads: standard where known; and limb leads derived from I and II."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fascicle.errors import BadRequest
from fascicle.record import LEADS, Record, Signal

ALIASES = {
    **{lead.upper(): lead for lead in LEADS},
    **{f"C{n}": f"V{n}" for n in range(1, 7)},
    **{f"{mark}{lead}": lead for mark in "DL" for lead in LEADS[:3]},
    **{f"{mark}{n}": lead for mark in ("D", "L", "LEAD") for n, lead in enumerate(LEADS[:3], 1)},
}
"""Spelling in capitals without blanks -> standard name."""

MODIFIED = {"MLI": "I", "MLII": "II", "MLIII": "III", **{f"MV{n}": f"V{n}" for n in range(1, 7)}}
"""Leads with electrodes on the torso (Holter recorders) -> the standard lead they stand for."""

_PREFIX = re.compile(r"^(LEAD|ECG|EKG|ABLEITUNG)(?=[A-Z])")


def standard_name(raw: str) -> str | None:
    """Return the standard name of a lead ("avr" -> "aVR", "Lead II", "MLII" -> "II"), or None."""
    text = _squeeze(raw)
    return ALIASES.get(text) or MODIFIED.get(text)


def _squeeze(raw: str) -> str:
    """Return a name in capitals without blanks and "lead"; a sign before it stays."""
    return _PREFIX.sub("", re.sub(r"\s+|(?<=\w)[_.:\-]+", "", raw).upper())


def name_leads(
    raw: Sequence[str | None], lead_names: Sequence[str] | None
) -> tuple[tuple[str, ...], list[str]]:
    """Return a unique name per lead, standard where known, and what a user should know of them.

    Parameters
    ----------
    raw
        The file's own names; None where it gives none.
    lead_names
        Names that override the file's, one per lead.

    Raises
    ------
    BadRequest
        `lead_names` are not as many as the leads, or name a lead twice.
    """
    if lead_names is not None:
        return _given_names(raw, lead_names), []
    if len(raw) == len(LEADS) and all(name is None for name in raw):
        return LEADS, ["leads are not named: taken as I, II, III, aVR, aVL, aVF, V1 to V6"]
    texts = [
        name.strip() if name and name.strip() else f"channel {n}" for n, name in enumerate(raw, 1)
    ]
    if len(texts) == 1 and standard_name(texts[0]) is None:
        return ("I",), [f"the only lead, {texts[0]!r}, has no standard name: taken as lead I"]
    return _standardise(texts)


def _standardise(texts: list[str]) -> tuple[tuple[str, ...], list[str]]:
    plain = [ALIASES.get(_squeeze(text)) for text in texts]
    taken: set[str] = set()
    names, notes = [], []
    for text, name in zip(texts, plain, strict=True):
        stand_in = MODIFIED.get(_squeeze(text))
        if name is None and stand_in is not None and stand_in not in plain:
            name = stand_in
            notes.append(f"lead {text!r} is a modified lead, read as {name}")
        elif name is None:
            name = text
            notes.append(f"lead name {text!r} is not standard: kept as it is")
        if name in taken:
            again = next(
                f"{name} ({n})" for n in range(2, len(texts) + 2) if f"{name} ({n})" not in taken
            )
            notes.append(f"lead {name!r} is there more than once: this one is called {again!r}")
            name = again
        taken.add(name)
        names.append(name)
    return tuple(names), notes


def _given_names(raw: Sequence[str | None], lead_names: Sequence[str]) -> tuple[str, ...]:
    given = lead_names.split(",") if isinstance(lead_names, str) else list(lead_names)
    names = tuple(standard_name(name) or name.strip() for name in given)
    if len(names) != len(raw):
        found = ", ".join(name or "unnamed" for name in raw)
        raise BadRequest(
            f"lead_names: expected {len(raw)} names for the leads {found}, came {len(names)}"
        )
    if len(set(names)) != len(names) or "" in names:
        raise BadRequest(
            f"lead_names: expected each name once and none empty, came {', '.join(names)}"
        )
    return names


def derive(record: Record) -> Record:
    """Return the record with those of III, aVR, aVL, aVF that it lacks, computed from I and II.

    Einthoven: III = II - I; Goldberger: aVR = -(I + II) / 2, aVL = I - II / 2, aVF = II - I / 2.
    They follow the recorded leads and are listed in `derived`. Without I and II nothing changes.
    """
    if not {"I", "II"} <= set(record.leads):
        return record
    one, two = record.lead("I"), record.lead("II")
    half = np.float32(0.5)
    sources: dict[str, Signal] = {
        "III": two - one,
        "aVR": -(one + two) * half,
        "aVL": one - two * half,
        "aVF": two - one * half,
    }
    absent = [lead for lead in sources if lead not in record.leads]
    if not absent:
        return record
    return replace(
        record,
        signal=np.vstack([record.signal, *(sources[lead] for lead in absent)]),
        leads=(*record.leads, *absent),
        derived=record.derived | frozenset(absent),
    )
