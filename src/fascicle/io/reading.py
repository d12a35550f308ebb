"""The door: a path becomes a Record, whatever the file is."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from fascicle.errors import BadFile, BadRequest
from fascicle.io.annotations import annotate
from fascicle.io.arrays import read_npy, read_npz
from fascicle.io.comments import age_of, codes_of, sex_of
from fascicle.io.header import MOST_SIGNALS
from fascicle.io.leads import name_leads
from fascicle.io.raw import Raw
from fascicle.io.records import find_header, read_wfdb
from fascicle.io.tables import read_table
from fascicle.io.units import check_unit, doubt_scale
from fascicle.record import Record

READERS: dict[str, Callable[[Path, str | None], Raw]] = {
    ".hea": read_wfdb,
    ".dat": read_wfdb,
    ".mat": read_wfdb,
    ".csv": read_table,
    ".tsv": read_table,
    ".txt": read_table,
    ".npy": read_npy,
    ".npz": read_npz,
}
"""Suffix -> reader (path, unit) -> Raw. A path with no suffix or another names a WFDB record."""

_OF_SIGNAL = re.compile(r"signal ('[^']*') (.*)", re.DOTALL)
_VERB = re.compile(r"\b(?:has|is)\b")
PLURAL = {"has": "have", "is": "are"}

SLOWEST_HZ, FASTEST_HZ = 20.0, 100_000.0
"""Rates at which an ECG can have been sampled: beyond these the header is wrong."""


def read(
    path: Path | str,
    *,
    rate_hz: float | None = None,
    unit: str | None = None,
    lead_names: Sequence[str] | None = None,
    annotations: bool = True,
) -> Record:
    """Return the ECG in a file, in mV, with the annotations that lie beside it.

    Nothing is derived, filtered or resampled.

    Parameters
    ----------
    path
        A WFDB record (`x.hea`, `x.dat`, `x.mat` or `x`), a table (`.csv .tsv .txt`) or an array
        (`.npy .npz`).
    rate_hz
        Samples per second where the file does not say; overrides what it says.
    unit
        "uV", "mV", "V", "adu" or a gain such as "1000/mV"; overrides what the file says.
    lead_names
        A name per lead; overrides the file's names.
    annotations
        Whether to read `x.atr` and LUDB's `x.i` ... `x.v6` beside a WFDB record.

    Raises
    ------
    BadFile
        The file is not an ECG, is damaged, or lacks something that is not given here.
    BadRequest
        An argument is impossible.
    """
    path = Path(path)
    if rate_hz is not None and not SLOWEST_HZ <= rate_hz <= FASTEST_HZ:
        raise BadRequest(f"rate_hz: expected {SLOWEST_HZ:g} to {FASTEST_HZ:g}, came {rate_hz}")
    check_unit(unit)
    reader = READERS.get(path.suffix.lower(), read_wfdb)
    raw = reader(path, unit)
    if len(raw.leads) > MOST_SIGNALS:
        raise BadFile(f"{path}: expected at most {MOST_SIGNALS} leads, came {len(raw.leads)}")
    warnings = list(raw.warnings)
    rate = _rate(raw, rate_hz, path, warnings)
    doubt_scale(raw.signal, warnings)
    leads, notes = name_leads(raw.leads, lead_names)
    age, age_notes = age_of(raw.comments)
    sex, sex_notes = sex_of(raw.comments)
    codes, code_notes = codes_of(raw.comments)
    base = find_header(path).with_suffix("") if reader is read_wfdb else path.with_suffix("")
    record = Record(
        name=base.name,
        signal=raw.signal,
        rate_hz=rate,
        leads=leads,
        age=age,
        sex=sex,
        source=str(path),
        labels={} if codes is None else {"SNOMED-CT": codes},
        warnings=(*merge_notes(warnings), *notes, *age_notes, *sex_notes, *code_notes),
    )
    if annotations and reader is read_wfdb:
        return annotate(record, base, rate / raw.samples_per_frame)
    return record


def merge_notes(notes: Iterable[str]) -> list[str]:
    """Return the notes with those that say the same of several signals as one."""
    merged: dict[str, list[str]] = {}
    for note in notes:
        found = _OF_SIGNAL.fullmatch(note)
        signals = merged.setdefault(found[2] if found else note, [])
        if found:
            signals.append(found[1])
    return [_of_signals(signals, text) for text, signals in merged.items()]


def _of_signals(signals: list[str], text: str) -> str:
    if len(signals) > 1:
        said = _VERB.sub(lambda verb: PLURAL[verb[0]], text, count=1)
        return f"signals {', '.join(signals)} {said}"
    return f"signal {signals[0]} {text}" if signals else text


def _rate(raw: Raw, given_hz: float | None, path: Path, warnings: list[str]) -> float:
    """Return the sampling rate, checked."""
    stated_hz = raw.rate_hz
    if given_hz is not None:
        if stated_hz is not None and not math.isclose(stated_hz, given_hz, rel_tol=1e-3):
            warnings.append(
                f"the file says {stated_hz:g} Hz, {given_hz:g} Hz was given and is used"
            )
        return float(given_hz)
    if stated_hz is None:
        said = f" ({'; '.join(warnings)})" if warnings else ""
        raise BadFile(f"{path}: no sampling rate in the file: give it (--rate, rate_hz){said}")
    if not SLOWEST_HZ <= stated_hz <= FASTEST_HZ:
        raise BadFile(
            f"{path}: expected a sampling rate of {SLOWEST_HZ:g} to {FASTEST_HZ:g} Hz,"
            f" came {stated_hz:g}"
        )
    return stated_hz
