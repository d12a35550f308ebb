"""The vocabularies of the public data sets, read from `fascicle/tables` when first asked for.

Each table's origin and licence stand in `tables/README.md`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from fascicle.errors import BadRequest
from fascicle.labels.vocabulary import Term, Vocabulary

SNOMED: Final = "SNOMED-CT"
SINUS_RHYTHM: Final = "426783006"
"""SNOMED CT: the Challenge score is 0 for always saying this."""
SCP: Final = "SCP-ECG"
SUPERCLASS: Final = "PTB-XL superclass"
HEART_AXIS: Final = "PTB-XL heart axis"
AAMI: Final = "AAMI EC57"
MIT_BEAT: Final = "MIT-BIH beat"
MIT_RHYTHM: Final = "MIT-BIH rhythm"
LUDB: Final = "LUDB"

# `record` has the same words; these two rooms do not import each other.
BeatKind = Literal["N", "S", "V", "F", "Q"]


def _lines(table: str) -> list[str]:
    path = files("fascicle").joinpath("tables", f"{table}.csv")
    return path.read_text(encoding="utf-8").splitlines()


def rows(table: str) -> list[dict[str, str]]:
    """Return the rows of one of our tables, each by column name."""
    return list(csv.DictReader(_lines(table)))


def _plain(system: str, table: str) -> Vocabulary:
    return Vocabulary(tuple(Term(system, row["code"], row["name"]) for row in rows(table)))


def _cinc_terms() -> tuple[Term, ...]:
    found = rows("challenge_scored") + rows("challenge_unscored")
    # Some of the names have two blanks in a row.
    return tuple(Term(SNOMED, row["SNOMEDCTCode"], " ".join(row["Dx"].split())) for row in found)


@cache
def cinc_codes() -> Vocabulary:
    """Return all 133 codes of the PhysioNet/CinC Challenge 2021, the 30 scored ones first.

    Nothing is merged here: the equivalent pairs are four pairs of classes.
    """
    return Vocabulary(_cinc_terms())


@cache
def _weight_groups() -> tuple[tuple[str, ...], ...]:
    header = next(csv.reader(_lines("challenge_weights")))
    return tuple(tuple(group.split("|")) for group in header[1:])


@cache
def challenge_classes() -> Vocabulary:
    """Return the 26 scored classes of the Challenge 2021, in the order of its weights.

    Of each pair that the Challenge scores as one (CLBBB LBBB, CRBBB RBBB, PAC SVPB, PVC VPB) the
    first that the weights name stays, and the second counts as it.
    """
    names = {term.code: term for term in _cinc_terms()}
    groups = _weight_groups()
    merged = {(SNOMED, other): group[0] for group in groups for other in group[1:]}
    return Vocabulary(tuple(names[group[0]] for group in groups), merged)


def challenge_weights() -> NDArray[np.float64]:
    """Return the Challenge's reward matrix, (26, 26), rows and columns as `challenge_classes`."""
    table = list(csv.reader(_lines("challenge_weights")))[1:]
    return np.array([row[1:] for row in table], dtype=np.float64)


@cache
def scp_statements() -> Vocabulary:
    """Return the 71 SCP-ECG statements of PTB-XL, in the order of its table."""
    # The published table leaves the name of its first column empty.
    return Vocabulary(
        tuple(Term(SCP, row[""], row["description"]) for row in rows("scp_statements"))
    )


@cache
def superclasses() -> Vocabulary:
    """Return PTB-XL's five diagnostic superclasses: NORM MI STTC CD HYP."""
    return _plain(SUPERCLASS, "superclasses")


@cache
def _superclass_table() -> Mapping[str, str]:
    return MappingProxyType({row[""]: row["diagnostic_class"] for row in rows("scp_statements")})


def superclass_of(code: str) -> str | None:
    """Return the superclass of an SCP statement, None for statements of form and rhythm.

    Raises BadRequest for a code that is no SCP statement of PTB-XL.
    """
    if code not in _superclass_table():
        raise BadRequest(f"{code!r} is none of PTB-XL's 71 SCP statements")
    return _superclass_table()[code] or None


@cache
def aami_classes() -> Vocabulary:
    """Return the five beat classes of ANSI/AAMI EC57: N S V F Q."""
    return _plain(AAMI, "aami_classes")


@cache
def _aami_table() -> Mapping[str, BeatKind]:
    return MappingProxyType(
        {row["code"]: cast(BeatKind, row["aami"]) for row in rows("mit_bih_beats")}
    )


def aami_kind(symbol: str) -> BeatKind | None:
    """Return the AAMI class of a MIT-BIH annotation symbol, None when it marks no beat."""
    return _aami_table().get(symbol)


@cache
def rhythms() -> Vocabulary:
    """Return the 15 rhythm marks of the MIT-BIH Arrhythmia Database, without their bracket."""
    return _plain(MIT_RHYTHM, "mit_bih_rhythms")


def ludb_code(text: str) -> str:
    """Return the code of one LUDB statement: its own words in small letters."""
    words = " ".join(text.lower().split()).rstrip(". ")
    return words.removeprefix("rhythm: ")


def ludb_codes(text_fields: Iterable[str]) -> frozenset[str]:
    """Return the codes of LUDB diagnosis texts: cells of `ludb.csv` or comments of a header.

    LUDB has no codes, so a statement is its own code (`ludb_code`). One that `ludb_diagnoses`
    does not list keeps its words and is not lost.

    Parameters
    ----------
    text_fields
        Texts of one or more lines, a statement a line, without age, sex and record number.
    """
    lines = (line for text in text_fields for line in text.splitlines())
    return frozenset(code for line in lines if (code := ludb_code(line)))


@cache
def ludb_diagnoses() -> Vocabulary:
    """Return the rhythm, axis and diagnosis statements that LUDB's documents and records hold."""
    return Vocabulary(
        tuple(Term(LUDB, ludb_code(row["name"]), row["name"]) for row in rows("ludb_diagnoses"))
    )
