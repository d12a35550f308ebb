"""The records that teach a new class: from a list of the user's own files, or from a source."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fascicle.data.sources import SOURCES, Item
from fascicle.errors import BadFile, BadRequest, FascicleError
from fascicle.io import read
from fascicle.labels import (
    Term,
    cinc_codes,
    ludb_diagnoses,
    scp_statements,
    superclasses,
)
from fascicle.predict import Model, Prepared, choose_leads
from fascicle.record import Record
from fascicle.signal.quality import assess

Progress = Callable[[Sequence[Any], str], Iterable[Any]]
OWN = "own"
"""System of a code that its user made up and gave no system."""
LISTED = ("path", "label")
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Case:
    """One record: its name, whose it is, whether the class holds, and what reads it."""

    name: str
    patient: str
    holds: bool
    load: Callable[[], Record]


def find_term(code: str, name: str | None = None) -> Term:
    """Return the class of a code such as "SCP-ECG:2AVB", or "2AVB" where one system has it.

    Parameters
    ----------
    code
        Of a known system; or, with a name, any.
    name
        What people read; that of the system's table if None.

    Raises
    ------
    BadRequest
        If the code is unknown and has no name, or is of several systems.
    """
    known = [
        term
        for vocabulary in (superclasses(), scp_statements(), cinc_codes(), ludb_diagnoses())
        for term in vocabulary.terms
        if code in (term.code, f"{term.system}:{term.code}")
    ]
    if len(known) > 1:
        said = ", ".join(f"{term.system}:{term.code}" for term in known)
        raise BadRequest(f"the code {code!r} is of several systems; say which: {said}")
    if known:
        return Term(known[0].system, known[0].code, name or known[0].name)
    if not name:
        raise BadRequest(f"no known system has the code {code!r}; a code of your own needs --name")
    system, colon, own = code.rpartition(":")
    if not own.strip() or (colon and not system.strip()):
        raise BadRequest(f"a code such as OURS:BRUGADA or BRUGADA expected, not {code!r}")
    return Term(system if colon else OWN, own, name)


def listed(
    path: Path, term: Term, read_file: Callable[[Path], Record] = read
) -> tuple[list[Case], int]:
    """Return the cases of a list, and how many lines have no label and are left out.

    The list is CSV with the columns path, label and, if there is one, patient. A path is
    relative to the list. A label is 1 or 0, or the codes that hold, with ";" between them. Without
    a patient every file is one. `read_file` is asked for a record when it is needed.

    Raises
    ------
    BadFile
        If it is no such list, or names a file twice.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadFile(f"{path}: cannot be read as a list ({reason})") from None
    columns = list(rows[0]) if rows else []
    if not set(LISTED) <= set(columns):
        raise BadFile(
            f"{path}: rows with the columns {', '.join(LISTED)} expected, found {columns}"
        )
    cases: dict[Path, Case] = {}
    unlabelled = 0
    for line, row in enumerate(rows, 2):
        said, label = (row["path"] or "").strip(), (row["label"] or "").strip()
        if not said:
            raise BadFile(f"{path} line {line}: no path")
        if not label:
            unlabelled += 1
            continue
        file_path = path.parent / said
        whole = file_path.resolve()
        if whole in cases:
            raise BadFile(f"{path} line {line}: {said} stands there twice")
        patient = (row.get("patient") or "").strip() or said
        cases[whole] = Case(said, patient, _holds(label, term), partial(read_file, file_path))
    return list(cases.values()), unlabelled


def _holds(label: str, term: Term) -> bool:
    codes = {code.strip() for code in label.split(";")}
    return label == "1" or not codes.isdisjoint({term.code, f"{term.system}:{term.code}"})


def of_source(
    source: str, items: Sequence[Item], term: Term, progress: Progress
) -> tuple[list[Case], int]:
    """Return the cases of a source's records, and how many say nothing of the code's system."""
    load = SOURCES[source].load
    cases = []
    for item in progress(items, "labels"):
        codes = load(item).labels.get(term.system)
        if codes is not None:
            cases.append(Case(item.key, item.patient, term.code in codes, partial(load, item)))
    return cases, len(items) - len(cases)


def thin(cases: Sequence[Case], negatives: int, rng: np.random.Generator) -> list[Case]:
    """Return all positives and at most so many negatives, drawn; 0 keeps all."""
    places = [place for place, case in enumerate(cases) if not case.holds]
    if not negatives or len(places) <= negatives:
        return list(cases)
    kept = set(rng.choice(places, size=negatives, replace=False).tolist())
    return [case for place, case in enumerate(cases) if case.holds or place in kept]


def embed_all(
    model: Model,
    embed: Callable[[Prepared], NDArray[np.float32]],
    cases: Sequence[Case],
    progress: Progress,
) -> NDArray[np.float64]:
    """Return (record, embedding) of what the model is told of each record.

    Raises
    ------
    BadFile
        Naming the files that cannot be read.
    """
    found: list[NDArray[np.float32]] = []
    failed: list[str] = []
    for case in progress(cases, "embeddings"):
        try:
            record = choose_leads(case.load(), None)
            found.append(embed(model.prepare(record, assess(record))))
        except FascicleError as error:
            failed.append(f"{case.name} ({error})")
        except OSError as error:
            failed.append(f"{case.name} ({error.strerror})")
    if failed:
        more = f"; and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
        raise BadFile(f"{len(failed)} of {len(cases)} records: {'; '.join(failed[:SHOWN])}{more}")
    return np.stack(found).astype(np.float64)
